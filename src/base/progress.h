#pragma once
// What a person sees of work that takes a while.

#include <string>

namespace minke {

// Shows a line on stderr: over the last one on a terminal, unless `keep`; as a log line elsewhere.
// Nothing where the log does not show what is for information.
void show_progress(const std::string& line, bool keep);

// Shows how much of a piece of work is done, once a second on a terminal and each ten seconds in a
// log; of short work nothing. Not thread-safe.
class ProgressBar {
 public:
  // what: "packing weights".
  explicit ProgressBar(std::string what);
  // share: of the work that is done, 0 to 1; with 1 a shown bar is kept, with the time it took.
  void show(double share);

 private:
  std::string what_;
  double start_, shown_;
  bool was_shown_ = false;
};

}  // namespace minke
