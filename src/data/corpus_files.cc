#include "data/corpus_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "data/extract.h"
#include "data/input_stream.h"
#include "text/utf8.h"

namespace minke {
namespace {

constexpr size_t block_bytes = 1 << 18;
constexpr size_t text_document_bytes = 1 << 20;
constexpr size_t dict_document_bytes = 16 << 10;
constexpr size_t smallest_page = 100;
constexpr size_t largest_page = 256 << 20;

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool is_compression(const std::string& extension) {
  return extension == ".gz" || extension == ".dz" || extension == ".zst";
}

std::optional<FileKind> kind_of(fs::path path) {
  static const std::unordered_map<std::string, FileKind> kinds = {
      {".txt", FileKind::text},      {".text", FileKind::text}, {".md", FileKind::text},
      {".markdown", FileKind::text}, {".rst", FileKind::text},  {".jsonl", FileKind::jsonl},
      {".ndjson", FileKind::jsonl},  {".html", FileKind::html}, {".htm", FileKind::html},
      {".xhtml", FileKind::html},    {".pod", FileKind::pod},   {".dict", FileKind::dict}};
  if (is_compression(lower_case(path.extension()))) path.replace_extension();
  const auto found = kinds.find(lower_case(path.extension()));
  return found == kinds.end() ? std::nullopt : std::optional(found->second);
}

CorpusFile corpus_file(const fs::path& path, std::string name, FileKind kind, bool named) {
  std::error_code ignored;
  const auto size = fs::file_size(path, ignored);
  const int64_t bytes = ignored ? 0 : static_cast<int64_t>(size);
  // Of text, that is; a few bytes may also be a great deal.
  const bool compressed = is_compression(lower_case(path.extension()));
  constexpr int64_t least = 1 << 20;
  return {path, std::move(name), kind, named, compressed ? 6 * bytes + least : bytes};
}

bool is_left_out(const std::string& name) { return name.starts_with('.') || name.starts_with('_'); }

void find_in_folder(const fs::path& folder, std::vector<CorpusFile>& files) {
  const auto start = static_cast<std::ptrdiff_t>(files.size());
  // Links to folders are not followed: what they lead to would come twice.
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto entry = fs::recursive_directory_iterator(folder, options);
       entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename();
    const bool hidden = is_left_out(name);
    std::error_code ignored;  // a link that leads nowhere is a file that cannot be opened
    if (entry->is_directory(ignored)) {
      if (hidden) entry.disable_recursion_pending();
    } else if (const auto kind = kind_of(entry->path()); kind && !hidden) {
      const std::string relative = entry->path().lexically_relative(folder);
      files.push_back(corpus_file(entry->path(), relative, *kind, false));
    }
  }
  std::sort(files.begin() + start, files.end(),
            [](const CorpusFile& a, const CorpusFile& b) { return a.name < b.name; });
}

// Text has no NUL and is nearly all valid UTF-8; a tenth of other bytes is Latin-1 at worst.
bool is_binary(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return true;
  size_t invalid = 0;
  for (std::string_view rest = text; !rest.empty();) {
    rest.remove_prefix(valid_utf8_prefix(rest));
    if (rest.empty()) break;
    rest.remove_prefix(1);
    ++invalid;
  }
  return invalid * 10 > text.size();
}

std::string with_latin1_repaired(std::string text) {
  size_t valid = valid_utf8_prefix(text);
  if (valid == text.size()) return text;
  std::string repaired;
  for (std::string_view rest = text; !rest.empty();) {
    repaired += rest.substr(0, valid);
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    append_utf8(repaired, static_cast<uint8_t>(rest[0]));
    rest.remove_prefix(1);
    valid = valid_utf8_prefix(rest);
  }
  return repaired;
}

nlohmann::json parse_line(const std::string& line, const std::string& source) {
  try {
    return nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    constexpr size_t longest = 300;
    const std::string reason = repair_utf8(std::string_view(error.what()).substr(0, longest));
    fail("{}: not a JSON object, of which JSONL has one on each line: {}", source, reason);
  }
}

class DocumentReader {
 public:
  DocumentReader(const CorpusFile& file, const std::string& text_field,
                 const std::function<void(Document)>& use)
      : file_(file), text_field_(text_field), use_(use), stream_(file.path) {}

  void read() {
    switch (file_.kind) {
      case FileKind::text:
        return read_paragraphs(text_document_bytes, "\n\n");
      case FileKind::dict:  // an entry's further lines are indented
        return read_paragraphs(dict_document_bytes, "\n\n");
      case FileKind::jsonl:
        return read_lines();
      case FileKind::html:
      case FileKind::pod:
        return read_page();
    }
  }

 private:
  void emit(std::string raw, const std::string& source) {
    if (file_.kind != FileKind::jsonl && is_binary(raw))
      fail("{} is not text; give plain text, JSONL, HTML or POD", source);
    std::string text = with_latin1_repaired(std::move(raw));
    if (file_.kind == FileKind::html) text = text_from_html(text);
    if (file_.kind == FileKind::pod) text = text_from_pod(text);
    if (file_.kind == FileKind::dict) text = text_from_dict(text);
    // A page with next to nothing on it is an index or leads to another.
    if (file_.kind == FileKind::html && text.size() < smallest_page) return;
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // a byte order mark is no text
    if (text.find_first_not_of(" \t\r\n\f\v") == std::string::npos) return;
    use_({std::move(text), source});
  }

  void read_page() {
    std::string page;
    while (stream_.append(page, block_bytes))
      if (page.size() > largest_page)
        fail("{} has more than {} MB; cut it into smaller files", file_.path.string(),
             largest_page >> 20);
    emit(std::move(page), file_.path);
  }

  // Documents of up to `limit` bytes, cut behind the last empty line that fits, or else the last
  // line, or else anywhere between characters.
  void read_paragraphs(size_t limit, std::string_view separator) {
    std::string text;
    bool more = true;
    while (more) {
      more = stream_.append(text, block_bytes);
      size_t begin = 0;
      while (text.size() - begin > limit) {
        const std::string_view window = std::string_view(text).substr(begin, limit);
        const size_t cut = cut_of(window, separator);
        emit(std::string(window.substr(0, cut)), file_.path);
        begin += cut;
      }
      text.erase(0, begin);
    }
    emit(std::move(text), file_.path);
  }

  size_t cut_of(std::string_view window, std::string_view separator) const {
    for (size_t at = window.rfind(separator); at != std::string_view::npos && at > 0;
         at = window.rfind(separator, at - 1)) {
      const size_t next = at + separator.size();
      const bool entry_begins = next < window.size() && window[next] != ' ' && window[next] != '\n';
      if (file_.kind != FileKind::dict || entry_begins) return next;
    }
    const size_t line = window.rfind('\n');
    return line != std::string_view::npos ? line + 1
                                          : window.size() - incomplete_utf8_suffix(window);
  }

  void read_lines() {
    std::string text;
    int64_t line = 0;
    bool more = true;
    while (more) {
      more = stream_.append(text, block_bytes);
      size_t begin = 0;
      for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
        read_object(std::string_view(text).substr(begin, end - begin), ++line);
      text.erase(0, begin);
      if (text.size() > largest_page)
        fail("{}:{}: the line has more than {} MB", file_.path.string(), line + 1,
             largest_page >> 20);
    }
    read_object(text, ++line);
  }

  void read_object(std::string_view line, int64_t number) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const std::string source = fmt::format("{}:{}", file_.path.string(), number);
    const auto object = parse_line(with_latin1_repaired(std::string(line)), source);
    if (!object.is_object()) fail("{}: not a JSON object; JSONL has one on each line", source);
    const auto text = object.find(text_field_);
    if (text == object.end() || !text->is_string())
      fail("{}: the object has no string \"{}\"; name the field that has the text", source,
           text_field_);
    emit(text->get<std::string>(), source);
  }

  const CorpusFile& file_;
  const std::string& text_field_;
  const std::function<void(Document)>& use_;
  InputStream stream_;
};

}  // namespace

std::vector<CorpusFile> find_corpus_files(const std::vector<fs::path>& inputs) {
  std::vector<CorpusFile> files;
  for (const fs::path& input : inputs) {
    if (!fs::exists(input)) fail("there is no file or folder {}", input.string());
    if (fs::is_directory(input))
      find_in_folder(input, files);
    else
      files.push_back(
          corpus_file(input, input.filename(), kind_of(input).value_or(FileKind::text), true));
  }
  return files;
}

bool is_searched(const fs::path& folder, const fs::path& path) {
  const fs::path inside =
      fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !inside.empty() && std::none_of(inside.begin(), inside.end(), [](const fs::path& part) {
    return part != "." && is_left_out(part);  // ".." among them
  });
}

void read_documents(const CorpusFile& file, const std::string& text_field,
                    const std::function<void(Document document)>& use) {
  DocumentReader(file, text_field, use).read();
}

}  // namespace minke
