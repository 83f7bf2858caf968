#pragma once
// Which code this is.

#include <string>

namespace minke {

// The release, "0.1.0".
std::string program_version();
// The commit that was built, as `git describe` tells it, "-dirty" when files had been changed;
// "unknown" when it was built outside of a git checkout.
std::string code_version();

}  // namespace minke
