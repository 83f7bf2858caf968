#pragma once
// Lines from a person, with editing and history on a terminal, or from a pipe.

#include <memory>
#include <optional>
#include <string>

namespace minke {

// Not thread-safe.
class LineReader {
 public:
  virtual ~LineReader() = default;
  // The next line without its end; lines that end with a backslash are joined. Nothing at the end
  // of the input (Ctrl-D).
  std::optional<std::string> read();

 protected:
  virtual std::optional<std::string> read_line(bool goes_on) = 0;
};

// From standard input: by libedit if it is a terminal. history: the file that keeps the lines; ""
// for none.
std::unique_ptr<LineReader> make_line_reader(const std::string& history);
// From any stream, without prompts.
std::unique_ptr<LineReader> make_stream_reader(std::istream& input);

// Catches SIGINT while it lives: Ctrl-C sets a flag instead of ending the program. One at a time.
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  static bool is_interrupted();  // since the watch began
};

}  // namespace minke
