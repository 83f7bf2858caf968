#include <algorithm>
#include <cctype>
#include <optional>
#include <unordered_set>

#include "data/extract.h"
#include "data/text_builder.h"

namespace minke {
namespace {

using Names = std::unordered_set<std::string_view>;

bool is_one_of(const Names& names, std::string_view name) { return names.contains(name); }

struct Tag {
  std::string name;  // in small letters
  bool closing = false, empty = false;
  std::string_view attributes;
  size_t end = 0;  // offset behind the tag
};

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Offset behind a tag's '>', which does not count inside of quotes.
size_t tag_end(std::string_view html, size_t at) {
  char quote = '\0';
  for (; at < html.size(); ++at) {
    const char c = html[at];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if ((c == '"' || c == '\'') && html[at - 1] == '=') {
      quote = c;
    } else if (c == '>') {
      return at + 1;
    }
  }
  return html.size();
}

// The tag or comment that begins at html[at] == '<'; nothing when '<' is text.
std::optional<Tag> read_tag(std::string_view html, size_t at) {
  Tag tag;
  if (html.substr(at, 4) == "<!--") {
    const size_t end = html.find("-->", at + 4);
    tag.end = end == std::string_view::npos ? html.size() : end + 3;
    return tag;
  }
  size_t name = at + 1;
  tag.closing = name < html.size() && html[name] == '/';
  if (tag.closing) ++name;
  const bool declaration = name < html.size() && (html[name] == '!' || html[name] == '?');
  if (name >= html.size() ||
      (!declaration && !std::isalpha(static_cast<unsigned char>(html[name]))))
    return std::nullopt;
  size_t end = name;
  while (end < html.size() && (std::isalnum(static_cast<unsigned char>(html[end])) ||
                               html[end] == '-' || html[end] == ':'))
    tag.name += lower(html[end++]);
  tag.end = tag_end(html, end);
  tag.attributes = html.substr(end, tag.end - end);
  tag.empty = tag.attributes.ends_with("/>");
  return tag;
}

// The value of an attribute; empty when the tag does not have it.
std::string_view attribute(const Tag& tag, std::string_view name) {
  for (size_t at = tag.attributes.find(name); at != std::string_view::npos;
       at = tag.attributes.find(name, at + 1)) {
    const size_t quote = at + name.size() + 1;
    if (quote >= tag.attributes.size() || tag.attributes[quote - 1] != '=') continue;
    const char mark = tag.attributes[quote];
    if (mark != '"' && mark != '\'') continue;
    const size_t end = tag.attributes.find(mark, quote + 1);
    return tag.attributes.substr(quote + 1, std::min(end, tag.attributes.size()) - quote - 1);
  }
  return {};
}

bool is_void(const Tag& tag) {
  static const Names names = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                              "input", "link", "meta", "param", "source", "track", "wbr"};
  return tag.empty || is_one_of(names, tag.name);
}

// Elements without prose: what they are, or what their class or role says.
bool is_noise(const Tag& tag) {
  static const Names names = {"head",   "script", "style",    "nav",      "footer", "aside",
                              "form",   "button", "noscript", "template", "svg",    "select",
                              "iframe", "object", "title",    "math",     "audio",  "video"};
  static const Names classes = {
      "sphinxsidebar",    "related",          "footer",       "headerlink",    "docnav",
      "navheader",        "navfooter",        "navbar",       "toc",           "contents",
      "mobile-nav",       "toctree-wrapper",  "breadcrumb",   "viewcode-link", "indextable",
      "modindex-jumpbox", "genindex-jumpbox", "producttitle", "skip-link",     "linenos",
      "breadcrumbs",      "sidebar"};
  if (is_void(tag) || tag.closing) return false;
  if (is_one_of(names, tag.name) || attribute(tag, "role") == "navigation") return true;
  std::string_view rest = attribute(tag, "class");
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    if (is_one_of(classes, rest.substr(0, end))) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

// Offset of the end of the content of an element that was just opened, and behind its closing tag.
struct Extent {
  size_t content_end, end;
};

// Elements whose content is no HTML.
bool is_raw(std::string_view name) { return name == "script" || name == "style"; }

// Of a raw element, which ends at its first closing tag, or with the page.
Extent raw_extent(std::string_view html, const Tag& opening) {
  for (size_t at = html.find("</", opening.end); at != std::string_view::npos;
       at = html.find("</", at + 2)) {
    const std::string_view name = html.substr(at + 2, opening.name.size());
    if (std::equal(name.begin(), name.end(), opening.name.begin(), opening.name.end(),
                   [](char a, char b) { return lower(a) == b; }))
      return {at, tag_end(html, at + 2)};
  }
  return {html.size(), html.size()};
}

// Nothing for an element without a closing tag: HTML lets many of them be left out.
std::optional<Extent> element_extent(std::string_view html, const Tag& opening) {
  if (is_raw(opening.name)) return raw_extent(html, opening);
  int depth = 1;
  for (size_t at = html.find('<', opening.end); at != std::string_view::npos;
       at = html.find('<', at)) {
    const auto tag = read_tag(html, at);
    if (!tag) {
      ++at;
      continue;
    }
    if (tag->name == opening.name && !tag->empty) depth += tag->closing ? -1 : 1;
    if (depth == 0) return Extent{at, tag->end};
    at = tag->end;
    if (!tag->closing && is_raw(tag->name)) at = raw_extent(html, *tag).end;
  }
  return std::nullopt;
}

// The content of the element that is marked as the page's main part, or the whole page.
std::string_view main_part(std::string_view html) {
  for (size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at)) {
    const auto tag = read_tag(html, at);
    if (tag && !tag->closing && (tag->name == "main" || attribute(*tag, "role") == "main")) {
      const auto extent = element_extent(html, *tag);
      return html.substr(tag->end, (extent ? extent->content_end : html.size()) - tag->end);
    }
    at = tag ? tag->end : at + 1;
    if (tag && !tag->closing && is_raw(tag->name)) at = raw_extent(html, *tag).end;
  }
  return html;
}

class HtmlExtractor {
 public:
  std::string extract(std::string_view html) {
    for (size_t at = 0; at < html.size();) {
      const auto tag = html[at] == '<' ? read_tag(html, at) : std::nullopt;
      if (!tag) {
        const size_t end = std::min(html.find('<', at + 1), html.size());
        add_text(html.substr(at, end - at));
        at = end;
      } else {
        at = is_noise(*tag) ? end_of_noise(html, *tag) : tag->end;
        if (at == tag->end) handle(*tag);
      }
    }
    const bool mostly_links = 2 * linked_bytes_ > text_.size();
    return mostly_links ? std::string() : text_.take();
  }

 private:
  // Behind the element, or behind its tag where nothing closes it: what follows may be the page.
  // Such searches read to the end of the page, so there are only so many of them.
  size_t end_of_noise(std::string_view html, const Tag& tag) {
    constexpr size_t most_unclosed = 32;
    if (unclosed_.size() == most_unclosed || unclosed_.contains(tag.name)) return tag.end;
    if (const auto extent = element_extent(html, tag)) return extent->end;
    unclosed_.insert(tag.name);
    return tag.end;
  }

  void add_text(std::string_view raw) {
    const std::string text = decode_entities(raw);
    const size_t before = text_.size();
    if (preformatted_ > 0)
      text_.add_preformatted(text);
    else
      text_.add(text);
    if (in_link_) linked_bytes_ += text_.size() - before;
  }

  void handle(const Tag& tag) {
    static const Names paragraphs = {"p",          "h1",      "h2",     "h3",     "h4",    "h5",
                                     "h6",         "ul",      "ol",     "dl",     "table", "hr",
                                     "blockquote", "section", "figure", "article"};
    static const Names lines = {"div", "br", "li", "dt", "dd", "tr", "caption", "figcaption"};
    if (tag.name == "a")
      in_link_ = !tag.closing && tag.attributes.find("href") != std::string_view::npos;
    static const Names inline_names = {"a",   "code", "span", "em",   "strong",
                                       "b",   "i",    "tt",   "kbd",  "var",
                                       "sub", "sup",  "cite", "abbr", "acronym"};
    if (is_one_of(inline_names, tag.name)) return;
    if (tag.name == "pre") {
      text_.new_line(2);
      preformatted_ = std::max(0, preformatted_ + (tag.closing ? -1 : 1));
    }
    // Some manuals make their paragraphs of <div class="para">.
    const bool division = tag.name == "div" && attribute(tag, "class") == "para";
    const bool cell = tag.name == "td" || tag.name == "th";
    if (cell || tag.name == "tr") in_cell_ = cell && !tag.closing;
    if (tag.name == "li") item_depth_ = std::max(0, item_depth_ + (tag.closing ? -1 : 1));
    const bool inner_paragraph = tag.name == "p" && item_depth_ > 0;
    if (in_cell_ && !cell)
      text_.add(" ");
    else if ((is_one_of(paragraphs, tag.name) && !inner_paragraph) || division)
      text_.new_line(2);
    else if (is_one_of(lines, tag.name) || inner_paragraph)
      text_.new_line();
    if (tag.name == "li") text_.set_prefix(tag.closing ? "" : "- ");
    if (tag.closing) return;
    if (cell) text_.separate();
  }

  TextBuilder text_;
  std::unordered_set<std::string> unclosed_;  // names of noise that has no closing tag
  int preformatted_ = 0, item_depth_ = 0;
  bool in_cell_ = false;
  bool in_link_ = false;
  size_t linked_bytes_ = 0;
};

}  // namespace

std::string text_from_html(std::string_view html) {
  return HtmlExtractor().extract(main_part(html));
}

}  // namespace minke
