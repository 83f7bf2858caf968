#include "chat/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <atomic>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>

namespace minke {
namespace {

std::atomic<bool> interrupted = false;

void on_interrupt(int) { interrupted = true; }

char* prompt(EditLine* editor) {
  static char first[] = "> ", further[] = ". ";
  bool* goes_on = nullptr;
  el_get(editor, EL_CLIENTDATA, &goes_on);
  return goes_on && *goes_on ? further : first;
}

class TerminalReader : public LineReader {
 public:
  explicit TerminalReader(std::string history_file) : history_file_(std::move(history_file)) {
    std::setlocale(LC_CTYPE, "C.UTF-8");  // lines are UTF-8 whatever the environment says
    editor_ = el_init("minke", stdin, shown_, stderr);
    history_ = history_init();
    constexpr int most_lines = 1000;
    history(history_, &event_, H_SETSIZE, most_lines);
    if (!history_file_.empty()) history(history_, &event_, H_LOAD, history_file_.c_str());
    el_set(editor_, EL_CLIENTDATA, &goes_on_);
    el_set(editor_, EL_PROMPT, prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    // Ctrl-C clears the line: as a key, as libedit takes no notice of the first signal.
    el_set(editor_, EL_SETTY, "-d", "-isig", nullptr);
    el_set(editor_, EL_BIND, "^C", "em-kill-line", nullptr);
  }
  ~TerminalReader() override {
    if (!history_file_.empty()) {
      std::error_code ignored;  // without a folder there is no history, which harms nothing
      std::filesystem::create_directories(std::filesystem::path(history_file_).parent_path(),
                                          ignored);
      history(history_, &event_, H_SAVE, history_file_.c_str());
    }
    history_end(history_);
    el_end(editor_);
  }
  TerminalReader(const TerminalReader&) = delete;
  TerminalReader& operator=(const TerminalReader&) = delete;

 protected:
  std::optional<std::string> read_line(bool goes_on) override {
    goes_on_ = goes_on;
    int count = 0;
    const char* text = el_gets(editor_, &count);
    if (!text || count <= 0) {
      std::fputc('\n', shown_);
      std::fflush(shown_);
      return std::nullopt;
    }
    std::string line(text, static_cast<size_t>(count));
    while (line.ends_with('\n')) line.pop_back();
    if (!line.empty()) history(history_, &event_, H_ENTER, line.c_str());
    return line;
  }

 private:
  std::string history_file_;
  // Answers may go to a file: prompts and what is typed do not.
  std::FILE* shown_ = ::isatty(STDOUT_FILENO) ? stdout : stderr;
  EditLine* editor_;
  History* history_;
  HistEvent event_{};
  bool goes_on_ = false;
};

class StreamReader : public LineReader {
 public:
  explicit StreamReader(std::istream& input) : input_(input) {}

 protected:
  std::optional<std::string> read_line(bool) override {
    std::string line;
    if (!std::getline(input_, line)) return std::nullopt;
    return line;
  }

 private:
  std::istream& input_;
};

}  // namespace

std::optional<std::string> LineReader::read() {
  std::optional<std::string> line = read_line(false);
  while (line && line->ends_with('\\')) {
    line->back() = '\n';
    const std::optional<std::string> more = read_line(true);
    if (!more) break;
    *line += *more;
  }
  return line;
}

std::unique_ptr<LineReader> make_line_reader(const std::string& history) {
  if (!::isatty(STDIN_FILENO)) return make_stream_reader(std::cin);
  return std::make_unique<TerminalReader>(history);
}

std::unique_ptr<LineReader> make_stream_reader(std::istream& input) {
  return std::make_unique<StreamReader>(input);
}

InterruptWatch::InterruptWatch() {
  interrupted = false;
  std::signal(SIGINT, on_interrupt);
}
InterruptWatch::~InterruptWatch() { std::signal(SIGINT, SIG_DFL); }
bool InterruptWatch::is_interrupted() { return interrupted; }

}  // namespace minke
