#include "base/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace minke {
namespace {

int affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

// The path of this process's cgroup below /sys/fs/cgroup (version 2), "" when there is none.
std::string cgroup_path() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("0::", 0) == 0) return line.substr(3);
  return "";
}

// A limit holds for a group and everything below it, so the smallest on the way up counts.
template <typename Read>
void walk_cgroups(Read read) {
  std::string path = cgroup_path();
  for (;;) {
    read("/sys/fs/cgroup" + path);
    if (path.empty() || path == "/") return;
    path = path.substr(0, path.rfind('/'));
  }
}

int granted_cores() {
  double cores = affinity_cores();
  const auto limit = [&](double quota, double period) {
    if (quota > 0 && period > 0) cores = std::min(cores, std::ceil(quota / period));
  };
  walk_cgroups([&](const std::string& folder) {
    double quota = 0, period = 0;
    if (std::ifstream(folder + "/cpu.max") >> quota >> period) limit(quota, period);
  });
  double quota = 0, period = 0;  // version 1
  std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
  std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  limit(quota, period);
  return std::max(1, static_cast<int>(cores));
}

int64_t granted_memory() {
  int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const auto limit = [&](const std::string& path) {
    int64_t value = 0;
    if (std::ifstream(path) >> value && value > 0) bytes = std::min(bytes, value);
  };
  walk_cgroups([&](const std::string& folder) { limit(folder + "/memory.max"); });
  limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  return bytes;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0)
      return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown CPU";
}

int64_t status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.rfind(key, 0) == 0) return std::stoll(line.substr(key.size() + 1)) * 1024;
  return 0;
}

}  // namespace

const Machine& machine() {
  static const Machine instance{granted_cores(), granted_memory(), cpu_name()};
  return instance;
}

std::string cache_folder() {
  if (const char* folder = std::getenv("MINKE_CACHE")) return folder;
  if (const char* folder = std::getenv("XDG_CACHE_HOME")) return std::string(folder) + "/minke";
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "/tmp") + "/.cache/minke";
}

int64_t peak_resident_bytes() { return status_bytes("VmHWM"); }

int64_t resident_bytes() { return status_bytes("VmRSS"); }

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace minke
