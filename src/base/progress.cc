#include "base/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "base/log.h"
#include "base/machine.h"

namespace minke {

void show_progress(const std::string& line, bool keep) {
  if (spdlog::get_level() > spdlog::level::info) return;
  if (!::isatty(STDERR_FILENO)) return info("{}", line);
  fmt::print(stderr, "\r\033[K{}{}", line, keep ? "\n" : "");
  std::fflush(stderr);
}

ProgressBar::ProgressBar(std::string what)
    : what_(std::move(what)), start_(now_seconds()), shown_(start_) {}

void ProgressBar::show(double share) {
  constexpr int width = 30;
  const double now = now_seconds(), pause = ::isatty(STDERR_FILENO) ? 1 : 10;
  const bool done = share >= 1;
  if (done ? !was_shown_ : now < shown_ + pause) return;
  const int filled = static_cast<int>(std::lround(share * width));
  show_progress(fmt::format("{} [{}{}] {:3.0f} %  {:.0f} s", what_, std::string(filled, '#'),
                            std::string(width - filled, '.'), 100 * share, now - start_),
                done);
  shown_ = now;
  was_shown_ = true;
}

}  // namespace minke
