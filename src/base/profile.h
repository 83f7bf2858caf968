#pragma once
// Where time goes, by part of the model and operation. Off unless start_profile() was called; then
// operations that the calling thread starts are timed, and those inside another are part of it.

#include <cstdint>
#include <string>
#include <vector>

namespace minke {

// What limits an operation.
enum class ProfileLimit { memory, f32, bf16, int8 };

struct ProfileEntry {
  std::string part, operation;  // "experts", "weight gradient"
  ProfileLimit limit = ProfileLimit::memory;
  int64_t calls = 0;
  double seconds = 0;
  double work = 0;  // bytes, or operations of the arithmetic unit
};

// Begins anew; for the calling thread. Not while operations run.
void start_profile();
// Ends it and returns what was timed, longest first.
std::vector<ProfileEntry> stop_profile();

// Names the part that the operations in its scope belong to; the innermost counts.
class ProfilePart {
 public:
  explicit ProfilePart(const char* name);
  ~ProfilePart();
  ProfilePart(const ProfilePart&) = delete;
  ProfilePart& operator=(const ProfilePart&) = delete;

 private:
  const char* before_;
};

// Times one operation: a name that lives for ever, what limits it, and how much it does.
class ProfileScope {
 public:
  ProfileScope(const char* operation, ProfileLimit limit, double work);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  bool active_;
  double start_ = 0;
  const char* operation_;
  ProfileLimit limit_;
  double work_;
};

}  // namespace minke
