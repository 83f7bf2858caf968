#include "data/input_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace minke {

class InputStream::Decoder {
 public:
  virtual ~Decoder() = default;
  virtual size_t read(char* data, size_t bytes) = 0;  // 0 at the end
};

namespace {

// A corpus is read more than once, which a pipe cannot give; opening one must not wait either.
int open_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail("cannot open {}: {}", path.string(), std::strerror(errno));
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) return descriptor;
  ::close(descriptor);
  fail("{} is no file but a pipe or a device, which cannot be read twice; write it to a file first",
       path.string());
}

// Plain and gzip files; zlib tells them apart.
class ZlibDecoder : public InputStream::Decoder {
 public:
  explicit ZlibDecoder(const fs::path& path) : path_(path), file_(gzdopen(open_file(path), "rb")) {
    require(file_ != nullptr, "no memory to read {}", path.string());
    gzbuffer(file_, 1 << 17);
  }
  ~ZlibDecoder() override { gzclose(file_); }

  size_t read(char* data, size_t bytes) override {
    const int count = gzread(file_, data, static_cast<unsigned>(bytes));
    int code = 0;
    const char* message = gzerror(file_, &code);
    if (count < 0 || code == Z_BUF_ERROR)
      fail("cannot read {}: {}", path_.string(),
           code == Z_ERRNO       ? std::strerror(errno)
           : code == Z_BUF_ERROR ? "it is cut off"
                                 : message);
    return static_cast<size_t>(count);
  }

 private:
  fs::path path_;
  gzFile file_;
};

class ZstdDecoder : public InputStream::Decoder {
 public:
  explicit ZstdDecoder(const fs::path& path) : path_(path), file_(path) {}

  size_t read(char* data, size_t bytes) override {
    ZSTD_outBuffer output{data, bytes, 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size && !refill()) break;
      pending_ = ZSTD_decompressStream(stream_.get(), &output, &input_);
      if (ZSTD_isError(pending_))
        fail("cannot read {}: {}", path_.string(), ZSTD_getErrorName(pending_));
    }
    return output.pos;
  }

 private:
  bool refill() {
    const size_t count = file_.read(buffer_.data(), buffer_.size());
    if (count == 0 && pending_ != 0) fail("cannot read {}: it is cut off", path_.string());
    input_ = {buffer_.data(), count, 0};
    return count > 0;
  }

  fs::path path_;
  ZlibDecoder file_;
  std::vector<char> buffer_ = std::vector<char>(ZSTD_DStreamInSize());
  ZSTD_inBuffer input_{nullptr, 0, 0};
  size_t pending_ = 0;  // bytes of the frame that are still to come, as far as zstd knows
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_{ZSTD_createDStream(),
                                                                     ZSTD_freeDStream};
};

// The magic number of a frame, or of one to skip, with which parallel compressors begin.
bool is_zstd(const fs::path& path) {
  ZlibDecoder file(path);
  uint32_t magic = 0;
  if (file.read(reinterpret_cast<char*>(&magic), sizeof magic) != sizeof magic) return false;
  return magic == ZSTD_MAGICNUMBER ||
         (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

}  // namespace

InputStream::InputStream(const fs::path& path) {
  if (is_zstd(path))
    decoder_ = std::make_unique<ZstdDecoder>(path);
  else
    decoder_ = std::make_unique<ZlibDecoder>(path);
}

InputStream::~InputStream() = default;

bool InputStream::append(std::string& text, size_t bytes) {
  const size_t before = text.size();
  text.resize(before + bytes);
  size_t count = 0;
  while (count < bytes) {
    const size_t more = decoder_->read(text.data() + before + count, bytes - count);
    if (more == 0) break;
    count += more;
  }
  text.resize(before + count);
  return count > 0;
}

}  // namespace minke
