#include "report/html.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace minke {
namespace {

constexpr std::array<const char*, 6> colors = {"#2a6f97", "#e09f3e", "#9e2a2b",
                                               "#588157", "#7b5ea7", "#6c757d"};

const char* color(size_t index) { return colors[index % colors.size()]; }

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string svg_text(double x, double y, const std::string& text, const char* anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escaped(text));
}

std::string legend(const std::vector<std::string>& names) {
  std::string out = "<p>";
  for (size_t i = 0; i < names.size(); ++i)
    out += fmt::format("<span style=\"color:{}\">&#9632;</span> {} &nbsp; ", color(i),
                       escaped(names[i]));
  return out + "</p>\n";
}

std::string row(const std::vector<std::string>& cells, const char* tag) {
  std::string out = "<tr>";
  for (const std::string& cell : cells) out += fmt::format("<{0}>{1}</{0}>", tag, escaped(cell));
  return out + "</tr>\n";
}

// Maps a range of decades to pixels.
struct LogAxis {
  double low, high, begin, end;
  double at(double value) const {
    return begin + (std::log10(value) - low) / (high - low) * (end - begin);
  }
};

LogAxis axis_of(const std::vector<Line>& lines, bool x, double begin, double end) {
  double low = 1e300, high = 0;
  for (const Line& line : lines)
    for (const auto& point : line.points) {
      low = std::min(low, x ? point.first : point.second);
      high = std::max(high, x ? point.first : point.second);
    }
  const double first = std::floor(std::log10(low) + 1e-9),
               last = std::ceil(std::log10(high) - 1e-9);
  return {first, std::max(last, first + 1), begin, end};
}

}  // namespace

HtmlReport::HtmlReport(const std::string& title) {
  body_ = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n"
      "<style>body{{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}"
      "table{{border-collapse:collapse}}td,th{{padding:.15em .8em;text-align:right;"
      "border-bottom:1px solid #ddd}}td:first-child,th:first-child{{text-align:left}}"
      "svg{{width:100%;font:12px sans-serif}}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escaped(title));
}

void HtmlReport::add_heading(const std::string& text) {
  body_ += fmt::format("<h2>{}</h2>\n", escaped(text));
}

void HtmlReport::add_paragraph(const std::string& text) {
  body_ += fmt::format("<p>{}</p>\n", escaped(text));
}

void HtmlReport::add_table(const std::vector<std::string>& header, const Rows& rows) {
  body_ += "<table>\n" + row(header, "th");
  for (const auto& cells : rows) body_ += row(cells, "td");
  body_ += "</table>\n";
}

void HtmlReport::add_bars(const std::vector<Bar>& bars, const std::vector<std::string>& part_names,
                          const std::string& unit, double limit) {
  constexpr double left = 220, width = 560, height = 28;
  double most = limit;
  for (const Bar& bar : bars) {
    double sum = 0;
    for (const double part : bar.parts) sum += part;
    most = std::max(most, sum);
  }
  if (most <= 0) return;
  const double bottom = static_cast<double>(bars.size()) * height;
  body_ += legend(part_names) + fmt::format("<svg viewBox=\"0 0 900 {:.0f}\">\n", bottom + 24);
  for (size_t i = 0; i < bars.size(); ++i) {
    const double y = static_cast<double>(i) * height;
    double x = left, sum = 0;
    body_ += svg_text(left - 8, y + 17, bars[i].label, "end");
    for (size_t p = 0; p < bars[i].parts.size(); ++p) {
      const double length = bars[i].parts[p] / most * width;
      body_ += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"20\" "
          "fill=\"{}\"/>\n",
          x, y + 3, length, color(p));
      x += length;
      sum += bars[i].parts[p];
    }
    body_ += svg_text(x + 6, y + 17, fmt::format("{:.3g} {}", sum, unit));
  }
  if (limit > 0) {
    const double x = left + limit / most * width;
    body_ += fmt::format(
                 "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"{1:.1f}\" "
                 "stroke=\"#000\" stroke-dasharray=\"4 3\"/>\n",
                 x, bottom) +
             svg_text(x, bottom + 16, fmt::format("limit {:.3g} {}", limit, unit), "middle");
  }
  body_ += "</svg>\n";
}

void HtmlReport::add_lines(const std::vector<Line>& lines, const std::string& x,
                           const std::string& y) {
  const LogAxis across = axis_of(lines, true, 70, 860), up = axis_of(lines, false, 280, 10);
  std::vector<std::string> names;
  names.reserve(lines.size());
  for (const Line& line : lines) names.push_back(line.label);
  body_ += legend(names) + "<svg viewBox=\"0 0 900 330\">\n";
  const auto rule = [&](double x1, double y1, double x2, double y2) {
    body_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" "
        "stroke=\"#ddd\"/>\n",
        x1, y1, x2, y2);
  };
  for (double decade = across.low; decade <= across.high; ++decade) {
    const double at = across.at(std::pow(10, decade));
    rule(at, up.begin, at, up.end);
    body_ += svg_text(at, up.begin + 16, fmt::format("1e{:.0f}", decade), "middle");
  }
  for (double decade = up.low; decade <= up.high; ++decade) {
    const double at = up.at(std::pow(10, decade));
    rule(across.begin, at, across.end, at);
    body_ += svg_text(across.begin - 6, at + 4, fmt::format("1e{:.0f}", decade), "end");
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string points;
    for (const auto& [px, py] : lines[i].points)
      points += fmt::format("{:.1f},{:.1f} ", across.at(px), up.at(py));
    body_ += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" "
        "stroke-width=\"2\"/>\n",
        points, color(i));
  }
  body_ += svg_text(450, 318, x, "middle") + svg_text(4, 10, y) + "</svg>\n";
}

}  // namespace minke
