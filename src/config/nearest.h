#pragma once
// The nearest of several words, for "did you mean".

#include <string>
#include <string_view>
#include <vector>

namespace minke {

// The candidate that the fewest inserted, removed or replaced bytes turn into `word`; of equals the
// first. Of dotted keys, one whose last part is the word's wins. "" without candidates.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace minke
