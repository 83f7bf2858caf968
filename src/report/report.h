#pragma once
// report/: a report with tables and SVG plots, from plain rows, as one HTML page that loads nothing
// and as Markdown. May include base/.

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/files.h"

namespace minke {

using Rows = std::vector<std::vector<std::string>>;

// A horizontal bar in parts; lengths are in one unit over all bars.
struct Bar {
  std::string label;
  std::vector<double> parts;
};

struct Line {
  std::string label;
  std::vector<std::pair<double, double>> points;  // not finite: left out
  bool dots = false;                              // marks instead of a line
};

struct Axis {
  std::string label;
  bool logarithmic = false;  // only positive values are drawn
};

// Built from top to bottom; any text is shown as it is. Not thread-safe.
class Report {
 public:
  explicit Report(std::string title) : title_(std::move(title)) {}

  void add_heading(std::string text) { blocks_.emplace_back(Heading{std::move(text)}); }
  void add_paragraph(std::string text) { blocks_.emplace_back(Paragraph{std::move(text)}); }
  // Text of a program or a model, in a fixed-width type.
  void add_code(std::string text) { blocks_.emplace_back(Code{std::move(text)}); }
  void add_table(std::vector<std::string> header, Rows rows) {
    blocks_.emplace_back(Table{std::move(header), std::move(rows)});
  }
  // part_names: the legend; unit: of the lengths; limit: a mark across all bars, 0 for none.
  void add_bars(std::vector<Bar> bars, std::vector<std::string> part_names, std::string unit,
                double limit = 0) {
    blocks_.emplace_back(Bars{std::move(bars), std::move(part_names), std::move(unit), limit});
  }
  // Lines without a point that can be drawn are left out, and so is a plot without lines.
  void add_lines(std::vector<Line> lines, Axis x, Axis y) {
    blocks_.emplace_back(Lines{std::move(lines), std::move(x), std::move(y)});
  }

  std::string html() const;
  // The plots are files of their own, PLOTS/plot-N.svg, to which the text refers by that name.
  struct Markdown {
    std::string text;
    std::vector<std::pair<std::string, std::string>> plots;  // file, SVG
  };
  Markdown markdown(const std::string& plots) const;
  // FOLDER/report.html, FOLDER/report.md and FOLDER/report-plots/.
  void write(const fs::path& folder) const;

  struct Heading {
    std::string text;
  };
  struct Paragraph {
    std::string text;
  };
  struct Code {
    std::string text;
  };
  struct Table {
    std::vector<std::string> header;
    Rows rows;
  };
  struct Bars {
    std::vector<Bar> bars;
    std::vector<std::string> part_names;
    std::string unit;
    double limit = 0;
  };
  struct Lines {
    std::vector<Line> lines;
    Axis x, y;
  };

 private:
  std::string title_;
  std::vector<std::variant<Heading, Paragraph, Code, Table, Bars, Lines>> blocks_;
};

// Plots as SVG elements with their legend; "" where there is nothing to draw.
std::string draw(const Report::Bars& bars);
std::string draw(const Report::Lines& lines);
// <, >, &, and quotes as XML has them.
std::string escape_xml(const std::string& text);

}  // namespace minke
