#pragma once
// The system calls that a sandboxed program may make.

#include <vector>

struct sock_filter;

namespace minke {

// The filter as a program for the kernel: calls that are not on the list fail with EPERM (clone3
// with ENOSYS, so that the C library falls back to clone, whose flags can be checked). An Error
// where libseccomp is missing or does not know this machine.
std::vector<sock_filter> sandbox_filter();

}  // namespace minke
