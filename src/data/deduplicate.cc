#include "data/deduplicate.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string>

#include "base/files.h"
#include "text/hash.h"
#include "text/utf8.h"

namespace minke {
namespace {

constexpr size_t gram_words = 5;

// Calls use(hash) for each word of valid UTF-8: a run of ASCII letters and digits, or one character
// outside of ASCII.
template <typename Use>
void for_each_word(std::string_view text, Use&& use) {
  std::string word;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (std::isalnum(byte) && byte < 0x80) {
      word += static_cast<char>(std::tolower(byte));
      ++at;
      continue;
    }
    if (!word.empty()) use(hash_bytes(word));
    word.clear();
    const size_t length = std::max<size_t>(1, utf8_character(text.substr(at)));
    if (byte >= 0x80) use(hash_bytes(text.substr(at, length)));
    at += length;
  }
  if (!word.empty()) use(hash_bytes(word));
}

constexpr uint64_t empty_slot = ~uint64_t{0};
using Slots = std::array<uint64_t, minhash_slots>;

// Smallest hash in each slot over all 5-grams; a text shorter than five words is one gram, and one
// without words is one word.
Slots smallest_hashes(std::string_view text) {
  Slots slots;
  slots.fill(empty_slot);
  std::array<uint64_t, gram_words> window{};
  size_t words = 0;
  const auto add_gram = [&] {
    uint64_t gram = 0;
    for (size_t i = 0; i < gram_words; ++i) gram = mix64(gram ^ window[(words + i) % gram_words]);
    uint64_t& slot = slots[gram >> 57];
    slot = std::min(slot, gram << 7);
  };
  for_each_word(text, [&](uint64_t word) {
    window[words++ % gram_words] = word;
    if (words >= gram_words) add_gram();
  });
  if (words == 0) window[0] = hash_bytes(text);
  if (words < gram_words) add_gram();
  return slots;
}

uint64_t key_of_band(const MinHash& signature, int band, int rows) {
  const auto* begin = reinterpret_cast<const char*>(signature.data() + band * rows);
  return hash_bytes({begin, rows * sizeof(uint16_t)}, static_cast<uint64_t>(band)) >> 1;
}

}  // namespace

ContentHash content_hash(std::string_view text) {
  const std::string digits = sha256(text);
  ContentHash hash;
  std::from_chars(digits.data(), digits.data() + 16, hash.high, 16);
  std::from_chars(digits.data() + 16, digits.data() + 32, hash.low, 16);
  return hash;
}

MinHash min_hash(std::string_view text) {
  const Slots slots = smallest_hashes(text);
  MinHash signature;
  for (int i = 0; i < minhash_slots; ++i) {
    // The slot that an empty one borrows from depends on its number alone, so that two documents
    // with the same filled slots borrow alike. At least one slot is filled.
    int from = i;
    for (uint64_t attempt = 1; slots[from] == empty_slot; ++attempt)
      from = static_cast<int>(mix64(static_cast<uint64_t>(i) << 32 | attempt) % minhash_slots);
    // With the slot's number, whose bits the hashes leave free: the slots of a short text borrow
    // from one or two, and 16 bits of these alone would soon be those of another text.
    signature[i] = static_cast<uint16_t>(mix64(slots[from] + static_cast<uint64_t>(i)));
  }
  return signature;
}

double similarity(const MinHash& a, const MinHash& b) {
  int equal = 0;
  for (int i = 0; i < minhash_slots; ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / minhash_slots;
}

Deduplicator::Verdict Deduplicator::add(const ContentHash& hash, const MinHash& signature) {
  if (!seen_.insert(hash).second) return Verdict::exact_duplicate;
  if (threshold_ <= 0) return Verdict::is_new;
  if (has_near_duplicate(signature)) return Verdict::near_duplicate;
  remember(signature);
  return Verdict::is_new;
}

bool Deduplicator::has_near_duplicate(const MinHash& signature) const {
  for (int band = 0; band < bands; ++band) {
    int32_t document = newest_in_band_.find(key_of_band(signature, band, rows));
    for (int i = 0; document != PairMap::none && i < most_candidates; ++i) {
      if (similarity(signatures_[document], signature) >= threshold_) return true;
      document = previous_[static_cast<size_t>(document) * bands + band];
    }
  }
  return false;
}

void Deduplicator::remember(const MinHash& signature) {
  const auto document = static_cast<int32_t>(signatures_.size());
  signatures_.push_back(signature);
  for (int band = 0; band < bands; ++band) {
    int32_t& newest = newest_in_band_.insert(key_of_band(signature, band, rows));
    previous_.push_back(newest);
    newest = document;
  }
}

}  // namespace minke
