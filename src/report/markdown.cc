// A report as Markdown, with its plots beside it.

#include "base/error.h"
#include "report/report.h"

namespace minke {
namespace {

// What would begin or end a cell, or be read as HTML or emphasis.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += ' ';
      continue;
    }
    if (std::string_view("|<>*_`\\[]").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + escaped(cell) + " |";
  return out + "\n";
}

struct ToMarkdown {
  Report::Markdown& page;
  const std::string& folder;

  void operator()(const Report::Heading& b) { page.text += "\n## " + escaped(b.text) + "\n\n"; }
  void operator()(const Report::Paragraph& b) { page.text += escaped(b.text) + "\n\n"; }
  // Indented, so that no text can end the block.
  void operator()(const Report::Code& b) {
    std::string text = "    ";
    for (const char c : b.text) text += c == '\n' ? std::string("\n    ") : std::string(1, c);
    page.text += text + "\n\n";
  }
  void operator()(const Report::Table& b) {
    page.text += row(b.header) + "|";
    for (size_t i = 0; i < b.header.size(); ++i) page.text += i == 0 ? "---|" : "---:|";
    page.text += "\n";
    for (const auto& cells : b.rows) page.text += row(cells);
    page.text += "\n";
  }
  template <typename Plot>
  void operator()(const Plot& plot) {
    std::string svg = draw(plot);
    if (svg.empty()) return;
    const std::string file = fmt::format("plot-{}.svg", page.plots.size() + 1);
    page.plots.emplace_back(file, std::move(svg));
    page.text += fmt::format("![plot]({}/{})\n\n", folder, file);
  }
};

}  // namespace

Report::Markdown Report::markdown(const std::string& plots) const {
  Markdown page;
  page.text = "# " + escaped(title_) + "\n\n";
  ToMarkdown write{page, plots};
  for (const auto& block : blocks_) std::visit(write, block);
  return page;
}

void Report::write(const fs::path& folder) const {
  const std::string plots = "report-plots";
  const Markdown page = markdown(plots);
  AtomicFolder scratch(folder / plots);
  for (const auto& [file, svg] : page.plots) write_file(scratch.path() / file, svg);
  scratch.commit();
  write_file(folder / "report.md", page.text);
  write_file(folder / "report.html", html());
}

}  // namespace minke
