#pragma once
// Cuts text into pieces that no token crosses. Patterns are applied in sequence, each inside the
// pieces that the one before left. PCRE2 runs them, compiled to machine code where it can.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;
struct pcre2_real_jit_stack_8;

namespace minke {

// One step: a match is a piece, and so is each stretch between two matches ("Split, Isolated" in a
// tokenizer.json). What is not kept ("Removed") is lost to the tokens.
struct SplitPattern {
  SplitPattern(std::string text) : regex(std::move(text)) {}  // NOLINT: a pattern is its text
  SplitPattern(const char* text) : regex(text) {}             // NOLINT
  bool operator==(const SplitPattern&) const = default;

  std::string regex;  // in the syntax of tokenizer.json files (Oniguruma's)
  bool keep_matches = true, keep_rest = true;
  bool prefix_space = false;  // before: a space in front of each piece that begins with none
};
using SplitPatterns = std::vector<SplitPattern>;

// DeepSeek-V3's three patterns; with individual_digits the first one takes one digit, not three.
SplitPatterns deepseek_v3_patterns(bool individual_digits = false);

// What a ByteLevel pre-tokenizer's use_regex stands for: GPT-2's pattern.
extern const char* const gpt2_pattern;

// Immutable after construction and thread-safe; each thread brings a Workspace.
class PreTokenizer {
 public:
  // What one thread needs while it matches. Movable.
  class Workspace {
   public:
    Workspace();
    ~Workspace();
    Workspace(Workspace&& other) noexcept;
    Workspace& operator=(Workspace&&) = delete;

   private:
    friend class PreTokenizer;
    pcre2_real_match_data_8* match_ = nullptr;
    pcre2_real_match_context_8* context_ = nullptr;
    pcre2_real_jit_stack_8* stack_ = nullptr;
  };

  // A pattern that does not compile is an Error that shows it.
  explicit PreTokenizer(const SplitPatterns& patterns);
  PreTokenizer(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Calls on_piece(std::string_view) for each piece, in order; together they are the text (unless a
  // pattern removes some of it or adds spaces), which must be valid UTF-8.
  template <typename OnPiece>
  void split(std::string_view text, Workspace& workspace, OnPiece&& on_piece) const {
    split_from(0, text, workspace, on_piece);
  }

 private:
  struct Match {
    size_t begin, end;
  };

  // The first match of a pattern at or after `from`, in bytes; an empty one at the text's end when
  // there is none. It is never empty otherwise.
  Match find(size_t pattern, std::string_view text, size_t from, Workspace& workspace) const;

  template <typename OnPiece>
  void split_from(size_t pattern, std::string_view text, Workspace& workspace,
                  OnPiece&& on_piece) const {
    if (text.empty()) return;
    if (pattern == codes_.size()) return on_piece(text);
    const SplitPattern& step = patterns_[pattern];
    std::string spaced;
    if (step.prefix_space && text[0] != ' ') text = spaced.append(" ").append(text);
    for (size_t at = 0; at < text.size();) {
      const Match match = find(pattern, text, at, workspace);
      if (step.keep_rest)
        split_from(pattern + 1, text.substr(at, match.begin - at), workspace, on_piece);
      if (step.keep_matches)
        split_from(pattern + 1, text.substr(match.begin, match.end - match.begin), workspace,
                   on_piece);
      at = match.end;
    }
  }

  SplitPatterns patterns_;
  std::vector<pcre2_real_code_8*> codes_;  // of each pattern
  bool compiled_ = true;                   // to machine code
};

}  // namespace minke
