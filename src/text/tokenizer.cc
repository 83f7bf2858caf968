#include "text/tokenizer.h"

#include <utf8proc.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/machine.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace minke {
namespace {

struct Workspace {
  PreTokenizer::Workspace pre_tokenizer;
  Bpe::Workspace bpe;
};

// Workspaces that threads borrow, so that encode() is const and caches last. There are as many as
// cores: with more threads than that (a server has one for each connection) some wait, instead of
// 4 MB for each that ever encoded at the same time as the others. Thread-safe.
class WorkspacePool {
 public:
  class Loan {
   public:
    explicit Loan(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Loan() { pool_.give_back(std::move(workspace_)); }
    Loan(const Loan&) = delete;
    Workspace& operator*() { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !idle_.empty() || made_ < machine().cores; });
    if (idle_.empty()) {
      auto workspace = std::make_unique<Workspace>();
      ++made_;
      return workspace;
    }
    auto workspace = std::move(idle_.back());
    idle_.pop_back();
    return workspace;
  }
  void give_back(std::unique_ptr<Workspace> workspace) {
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(workspace));
    }
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int made_ = 0;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

// Text in which every byte is below 0xCC has no character above U+02FF: it is in form C already.
bool needs_nfc(std::string_view text) {
  for (const char c : text)
    if (static_cast<uint8_t>(c) >= 0xCC) return true;
  return false;
}

std::string to_nfc(std::string_view text) {
  uint8_t* result = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto length = utf8proc_map(reinterpret_cast<const uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &result, options);
  if (length < 0) fail("normalising a text failed: {}", utf8proc_errmsg(length));
  const std::unique_ptr<uint8_t, decltype(&std::free)> owner(result, std::free);
  return {reinterpret_cast<const char*>(result), static_cast<size_t>(length)};
}

// -1 for bytes without a token. Some vocabularies (SmolLM2's) lack control characters and bytes
// that valid UTF-8 hardly has; one without a printable character of ASCII is damaged.
std::array<int32_t, 256> byte_ids(const TokenizerDefinition& definition) {
  std::array<int32_t, 256> ids;
  ids.fill(-1);
  for (size_t id = 0; id < definition.tokens.size(); ++id)
    if (definition.tokens[id].size() == 1)
      ids[static_cast<uint8_t>(definition.tokens[id][0])] = static_cast<int32_t>(id);
  for (int byte = ' '; byte <= '~'; ++byte)
    if (ids[byte] < 0) fail("the tokenizer's vocabulary has no token for the byte 0x{:02X}", byte);
  return ids;
}

std::unordered_map<std::string, int32_t> whole_pieces(const TokenizerDefinition& definition) {
  std::unordered_map<std::string, int32_t> pieces;
  if (!definition.ignore_merges) return pieces;
  for (size_t id = 0; id < definition.tokens.size(); ++id)
    pieces.emplace(definition.tokens[id], static_cast<int32_t>(id));
  for (const AddedToken& token : definition.added) pieces.erase(token.content);
  return pieces;
}

}  // namespace

struct Tokenizer::Parts {
  explicit Parts(const TokenizerDefinition& from)
      : tokens(from.tokens),
        nfc(from.nfc),
        adds_bos(from.adds_bos),
        bos(from.bos),
        eos(from.eos),
        pad(from.pad),
        eot(from.eot),
        pre_tokenizer(from.patterns),
        bpe(from.merges, byte_ids(from), whole_pieces(from)),
        special(from.tokens.size()) {
    for (const AddedToken& token : from.added) {
      const std::string content = token.normalized && nfc ? to_nfc(token.content) : token.content;
      (token.normalized ? normalized_tokens : raw_tokens).add(content, token.id);
      special[token.id] = token.special;
      added.emplace(token.content, token.id);
    }
  }

  // Valid UTF-8 with added tokens in it: those of the raw text first, then those of the normalised.
  void encode_marked(std::string_view text, Workspace& workspace, std::vector<int32_t>& out) const {
    const auto on_token = [&](int32_t id) { out.push_back(id); };
    const auto on_text = [&](std::string_view part) { encode_plain(part, workspace, out); };
    raw_tokens.split(
        text,
        [&](std::string_view part) {
          if (nfc && needs_nfc(part))
            normalized_tokens.split(to_nfc(part), on_text, on_token);
          else
            normalized_tokens.split(part, on_text, on_token);
        },
        on_token);
  }

  // Normalised text without added tokens.
  void encode_plain(std::string_view text, Workspace& workspace, std::vector<int32_t>& out) const {
    pre_tokenizer.split(text, workspace.pre_tokenizer,
                        [&](std::string_view piece) { bpe.encode(piece, workspace.bpe, out); });
  }

  void encode_valid(std::string_view text, bool parse_special, Workspace& workspace,
                    std::vector<int32_t>& out) const {
    if (parse_special) return encode_marked(text, workspace, out);
    if (nfc && needs_nfc(text)) return encode_plain(to_nfc(text), workspace, out);
    encode_plain(text, workspace, out);
  }

  // Any bytes.
  void encode_bytes(std::string_view text, bool parse_special, Workspace& workspace,
                    std::vector<int32_t>& out) const {
    while (!text.empty()) {
      const size_t valid = valid_utf8_prefix(text);
      encode_valid(text.substr(0, valid), parse_special, workspace, out);
      text.remove_prefix(valid);
      if (text.empty()) break;
      if (const int32_t id = bpe.byte_id(text[0]); id >= 0) out.push_back(id);
      text.remove_prefix(1);
    }
  }

  std::vector<std::string> tokens;
  bool nfc, adds_bos;
  std::optional<int32_t> bos, eos, pad, eot;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  AddedTokenMatcher raw_tokens, normalized_tokens;
  std::vector<bool> special;
  std::unordered_map<std::string, int32_t> added;
  mutable WorkspacePool workspaces;
};

Tokenizer Tokenizer::load(const fs::path& path) { return Tokenizer(read_tokenizer(path)); }
Tokenizer::Tokenizer(const TokenizerDefinition& definition)
    : parts_(std::make_unique<Parts>(definition)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 2);
  if (options.add_bos && parts_->bos) ids.push_back(*parts_->bos);
  WorkspacePool::Loan workspace(parts_->workspaces);
  parts_->encode_bytes(text, options.parse_special, *workspace, ids);
  const bool is_double =
      options.add_bos && ids.size() > 1 && ids[0] == parts_->bos && ids[1] == ids[0];
  if (is_double) ids.erase(ids.begin());
  return ids;
}

std::vector<int32_t> Tokenizer::encode(std::span<const TextPart> parts) const {
  std::vector<int32_t> ids;
  std::string text;  // since the last added token
  WorkspacePool::Loan workspace(parts_->workspaces);
  const auto on_text = [&](std::string_view part) { text += part; };
  const auto on_token = [&](int32_t id) {
    parts_->encode_bytes(text, false, *workspace, ids);
    text.clear();
    ids.push_back(id);
  };
  for (const TextPart& part : parts)
    if (part.parse_special)
      parts_->raw_tokens.split(
          part.text,
          [&](std::string_view rest) { parts_->normalized_tokens.split(rest, on_text, on_token); },
          on_token);
    else
      on_text(part.text);
  parts_->encode_bytes(text, false, *workspace, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  for (const int32_t id : ids)
    if (!skip_special || !is_special(id)) text += token_bytes(id);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    fail("token id {} is not in the tokenizer's vocabulary of {}", id, vocab_size());
  return parts_->tokens[id];
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && parts_->special[id];
}

std::optional<int32_t> Tokenizer::find_special(std::string_view content) const {
  const auto found = parts_->added.find(std::string(content));
  if (found == parts_->added.end()) return std::nullopt;
  return found->second;
}

int32_t Tokenizer::require_special(std::string_view content) const {
  const auto id = find_special(content);
  if (!id)
    fail("the tokenizer has no token {}, which this needs; use one trained with it", content);
  return *id;
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(parts_->tokens.size()); }
std::optional<int32_t> Tokenizer::bos_id() const { return parts_->bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return parts_->eos; }
std::optional<int32_t> Tokenizer::pad_id() const { return parts_->pad; }
std::optional<int32_t> Tokenizer::eot_id() const { return parts_->eot; }
bool Tokenizer::adds_bos() const { return parts_->adds_bos; }

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  pending_ += tokenizer_.token_bytes(id);
  const size_t whole = pending_.size() - incomplete_utf8_suffix(pending_);
  std::string text = repair_utf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string StreamDecoder::finish() { return repair_utf8(std::exchange(pending_, {})); }

}  // namespace minke
