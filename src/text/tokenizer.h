#pragma once
// text/: between text and token ids. It owns tokenizers (byte-level BPE: training, encoding,
// decoding, the Hugging Face files and GGUF's metadata) and may include io/, config/ and base/.
// What must hold: the ids are those of the `tokenizers` package for any text that is valid UTF-8,
// and decode(encode(text)) is the text (normalised, if the tokenizer does that), byte for byte, for
// any bytes that the vocabulary has.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer_file.h"

namespace minke {

struct EncodeOptions {
  bool add_bos = false;       // BOS in front once, if the tokenizer has one
  bool parse_special = true;  // false: added tokens written in the text are plain text
};

// A stretch of a text that is put together from trusted and foreign parts.
struct TextPart {
  std::string text;
  bool parse_special = false;  // added tokens written in this part become tokens
};

// Immutable after construction; every const method is thread-safe. Movable.
class Tokenizer {
 public:
  // Reads a folder with tokenizer.json (and tokenizer_config.json), or the file itself.
  static Tokenizer load(const fs::path& path);
  explicit Tokenizer(const TokenizerDefinition& definition);
  Tokenizer(Tokenizer&&) noexcept;
  ~Tokenizer();

  // A byte that is in no valid UTF-8 character is a piece of its own: nothing is lost.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The parts as one text: only an added token ends a word, the seam between two parts does not.
  std::vector<int32_t> encode(std::span<const TextPart> parts) const;

  // The tokens' bytes. With skip_special, tokens that the file calls special are left out. The
  // result is valid UTF-8 only where the ids make whole characters.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // The bytes of one token, none of an id that is not used; one beyond the vocabulary is an Error.
  std::string_view token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;

  // The id of an added token, such as special::user; nothing when there is none of that text.
  std::optional<int32_t> find_special(std::string_view content) const;
  // The same, but without it there is an Error that names it.
  int32_t require_special(std::string_view content) const;

  int32_t vocab_size() const;  // the largest id + 1
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;
  std::optional<int32_t> eot_id() const;  // of a turn, where it is another token than EOS
  bool adds_bos() const;                  // the file asks for BOS in front of every text

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Decodes ids one at a time for display: what it returns is always valid UTF-8 and never ends
// inside a character. Bytes that can become no character come out as U+FFFD. Keeps a reference to
// the tokenizer. Not thread-safe.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // The text that this token completes; may be empty.
  std::string push(int32_t id);
  // What is left at the end.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace minke
