#pragma once
// report/: a report as one HTML file with tables and SVG plots, from plain rows; it loads nothing.
// May include base/.

#include <string>
#include <vector>

namespace minke {

using Rows = std::vector<std::vector<std::string>>;

// A horizontal bar in parts; lengths are in one unit over all bars.
struct Bar {
  std::string label;
  std::vector<double> parts;
};

struct Line {
  std::string label;
  std::vector<std::pair<double, double>> points;  // positive; both axes are logarithmic
};

// Builds the page from top to bottom. Text is escaped.
class HtmlReport {
 public:
  explicit HtmlReport(const std::string& title);

  void add_heading(const std::string& text);
  void add_paragraph(const std::string& text);
  void add_table(const std::vector<std::string>& header, const Rows& rows);
  // part_names: the legend; unit: of the lengths; limit: a mark across all bars, 0 for none.
  void add_bars(const std::vector<Bar>& bars, const std::vector<std::string>& part_names,
                const std::string& unit, double limit = 0);
  void add_lines(const std::vector<Line>& lines, const std::string& x, const std::string& y);

  std::string text() const { return body_ + "</body>\n</html>\n"; }

 private:
  std::string body_;
};

}  // namespace minke
