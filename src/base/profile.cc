#include "base/profile.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/machine.h"

namespace minke {
namespace {

using Key = std::tuple<std::string, std::string, ProfileLimit>;

// Of the profiled thread; on every other it stays off.
struct Profile {
  bool on = false;
  bool inside = false;  // an operation is being timed
  const char* part = "other";
  std::map<Key, ProfileEntry> entries;
};

thread_local Profile profile;

}  // namespace

void start_profile() {
  profile = Profile();
  profile.on = true;
}

std::vector<ProfileEntry> stop_profile() {
  std::vector<ProfileEntry> entries;
  entries.reserve(profile.entries.size());
  for (const auto& [key, entry] : profile.entries) entries.push_back(entry);
  std::sort(entries.begin(), entries.end(),
            [](const ProfileEntry& a, const ProfileEntry& b) { return a.seconds > b.seconds; });
  profile = Profile();
  return entries;
}

ProfilePart::ProfilePart(const char* name) : before_(profile.part) { profile.part = name; }
ProfilePart::~ProfilePart() { profile.part = before_; }

ProfileScope::ProfileScope(const char* operation, ProfileLimit limit, double work)
    : active_(profile.on && !profile.inside), operation_(operation), limit_(limit), work_(work) {
  if (!active_) return;
  profile.inside = true;
  start_ = now_seconds();
}

ProfileScope::~ProfileScope() {
  if (!active_) return;
  profile.inside = false;
  ProfileEntry& entry = profile.entries[{profile.part, operation_, limit_}];
  entry.part = profile.part;
  entry.operation = operation_;
  entry.limit = limit_;
  ++entry.calls;
  entry.seconds += now_seconds() - start_;
  entry.work += work_;
}

}  // namespace minke
