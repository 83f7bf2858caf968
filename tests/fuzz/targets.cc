#include "targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include "api/blocks.h"
#include "api/error.h"
#include "api/request.h"
#include "base/error.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "io/stored_matrix.h"
#include "text/gguf_tokenizer.h"
#include "text/tokenizer.h"

namespace minke::fuzz {
namespace {

// The bytes as a file without a disk.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const uint8_t> bytes) : descriptor_(::memfd_create("fuzz", 0)) {
    require(descriptor_ >= 0 && ::write(descriptor_, bytes.data(), bytes.size()) ==
                                    static_cast<ssize_t>(bytes.size()),
            "no file in memory");
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;

  fs::path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

template <typename Read>
bool succeeds(Read&& read) {
  try {
    read();
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Reads every byte, for the sanitizer to judge.
void touch(std::span<const std::byte> bytes) {
  volatile uint8_t sum = 0;
  for (const std::byte byte : bytes) sum = static_cast<uint8_t>(sum + std::to_integer<int>(byte));
}

bool read_safetensors(std::span<const uint8_t> bytes) {
  const MemoryFile file(bytes);
  return succeeds([&] {
    const SafetensorsReader reader(file.path());
    for (const auto& entry : reader.tensors()) {
      const StoredTensor& tensor = entry.second;
      touch(tensor.data);
      succeeds([&] { stored_matrix(reader, tensor); });
      std::vector<float> values(static_cast<size_t>(tensor.size()));
      succeeds([&] { reader.copy_as_f32(tensor, values.data()); });
    }
  });
}

void read_values(const GgufReader& reader, const std::string& key) {
  succeeds([&] { reader.integer(key); });
  succeeds([&] { reader.number(key); });
  succeeds([&] { reader.boolean(key); });
  succeeds([&] { reader.string(key); });
  succeeds([&] { reader.integers(key); });
  succeeds([&] { reader.numbers(key); });
  succeeds([&] { reader.strings(key); });
}

bool read_gguf(std::span<const uint8_t> bytes) {
  const MemoryFile file(bytes);
  return succeeds([&] {
    const GgufReader reader(file.path());
    for (const auto& [key, value] : reader.metadata()) read_values(reader, key);
    succeeds([&] { load_gguf_tokenizer(reader).encode("Hello, world"); });
    for (const auto& entry : reader.tensors()) {
      touch(entry.second.data);
      succeeds([&] {
        const StoredMatrix matrix = stored_matrix(entry.second);
        touch({matrix.row(matrix.rows - 1), static_cast<size_t>(matrix.row_bytes())});
      });
    }
  });
}

bool read_tokenizer_json(std::span<const uint8_t> bytes) {
  const MemoryFile file(bytes);
  return succeeds([&] {
    const Tokenizer tokenizer = Tokenizer::load(file.path());
    for (const std::string& text : {std::string("Hello, world! 123 中文 e\u0301\r\n  x"),
                                    std::string("\xff<think> don't"), std::string(300, 'a')})
      succeeds([&] { tokenizer.decode(tokenizer.encode(text, {true, true}), true); });
  });
}

// The body of an HTTP request, in all of its meanings.
bool read_request(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto accepts = [](auto&& parse) {
    try {
      parse();
      return true;
    } catch (const ApiError& error) {
      error_json(error);
      return false;
    }
  };
  return accepts([&] {
    const Json body = parse_body(text);
    const bool is_known = accepts([&] { parse_chat_request(body); }) |
                          accepts([&] { parse_completion_request(body); }) |
                          accepts([&] { parse_embedding_request(body); }) |
                          accepts([&] { parse_chat_request(chat_of_messages(body).body()); }) |
                          accepts([&] { parse_chat_request(chat_of_responses(body).body()); });
    if (!is_known) refuse_form("", "the body asks for nothing");
  });
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {{"safetensors", read_safetensors},
                                          {"gguf", read_gguf},
                                          {"tokenizer", read_tokenizer_json},
                                          {"request", read_request}};
  return all;
}

}  // namespace minke::fuzz
