#include "infer/stop_strings.h"

#include <algorithm>
#include <utility>

namespace minke {

StopStrings::StopStrings(const std::vector<std::string>& stops) {
  std::copy_if(stops.begin(), stops.end(), std::back_inserter(stops_),
               [](const std::string& stop) { return !stop.empty(); });
}

// Length of the longest end of the pending text that begins a stop string.
size_t StopStrings::kept_back() const {
  size_t longest = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, pending_.size()); n > longest; --n)
      if (pending_.compare(pending_.size() - n, n, stop, 0, n) == 0) longest = n;
  return longest;
}

std::string StopStrings::push(const std::string& text) {
  pending_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_)
    if (const size_t at = pending_.find(stop); at < first) {
      first = at;
      found_ = stop;
    }
  const size_t shown = first != std::string::npos ? first : pending_.size() - kept_back();
  std::string result = pending_.substr(0, shown);
  pending_.erase(0, first != std::string::npos ? pending_.size() : shown);
  return result;
}

std::string StopStrings::finish() { return std::exchange(pending_, {}); }

}  // namespace minke
