#pragma once
// Logging to stderr; stdout belongs to data. Thread-safe.

#include <spdlog/spdlog.h>

#include <string>

namespace minke {

// Sends the log to stderr. level: trace, debug, info, warn, error or off; another is an Error.
void set_up_log(const std::string& level);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

}  // namespace minke
