// A report as one HTML page.

#include "base/error.h"
#include "report/report.h"

namespace minke {
namespace {

std::string row(const std::vector<std::string>& cells, const char* tag) {
  std::string out = "<tr>";
  for (const std::string& cell : cells) out += fmt::format("<{0}>{1}</{0}>", tag, escape_xml(cell));
  return out + "</tr>\n";
}

struct ToHtml {
  std::string operator()(const Report::Heading& b) const {
    return fmt::format("<h2>{}</h2>\n", escape_xml(b.text));
  }
  std::string operator()(const Report::Paragraph& b) const {
    return fmt::format("<p>{}</p>\n", escape_xml(b.text));
  }
  std::string operator()(const Report::Code& b) const {
    return fmt::format("<pre>{}</pre>\n", escape_xml(b.text));
  }
  std::string operator()(const Report::Table& b) const {
    std::string text = "<table>\n" + row(b.header, "th");
    for (const auto& cells : b.rows) text += row(cells, "td");
    return text + "</table>\n";
  }
  template <typename Plot>
  std::string operator()(const Plot& plot) const {
    return draw(plot);
  }
};

}  // namespace

std::string Report::html() const {
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n"
      "<style>body{{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}"
      "table{{border-collapse:collapse;margin:1em 0}}td,th{{padding:.15em .8em;text-align:right;"
      "border-bottom:1px solid #ddd}}td:first-child,th:first-child{{text-align:left}}"
      "pre{{background:#f4f4f4;padding:.6em;overflow-x:auto;white-space:pre-wrap}}"
      "svg{{width:100%;height:auto}}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escape_xml(title_));
  for (const auto& block : blocks_) text += std::visit(ToHtml(), block);
  return text + "</body>\n</html>\n";
}

}  // namespace minke
