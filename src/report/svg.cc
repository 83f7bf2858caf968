// Plots as SVG, drawn from numbers alone.

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "report/report.h"

namespace minke {
namespace {

constexpr std::array<const char*, 8> colors = {"#2a6f97", "#e09f3e", "#9e2a2b", "#588157",
                                               "#7b5ea7", "#6c757d", "#c2185b", "#00897b"};

const char* color(size_t index) { return colors[index % colors.size()]; }

std::string text_at(double x, double y, const std::string& text, const char* anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape_xml(text));
}

std::string rule(double x1, double y1, double x2, double y2) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", x1, y1,
      x2, y2);
}

constexpr double page_width = 900, legend_row = 18;

std::string open_svg(double height) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      page_width, height);
}

// Names in rows from `y` on, as many to a row as have room.
struct Legend {
  std::string svg;
  double height = 0;
};
Legend legend(const std::vector<std::string>& names, double y) {
  Legend legend;
  constexpr double letter = 6.8, left = 70;
  double x = left, row = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    const double width = 26 + letter * static_cast<double>(names[i].size());
    if (x + width > page_width && x > left) {
      x = left;
      ++row;
    }
    const double at = y + row * legend_row;
    legend.svg +=
        fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"10\" fill=\"{}\"/>\n", x,
                    at + 3, color(i));
    legend.svg += text_at(x + 15, at + 12, names[i]);
    x += width;
  }
  legend.height = (row + 1) * legend_row;
  return legend;
}

// Maps values to pixels, with ticks at round numbers.
struct Scale {
  bool logarithmic;
  double low, high, begin, end;  // of the values (their logarithm), of the pixels
  std::vector<double> ticks;     // values

  double at(double value) const {
    return begin + ((logarithmic ? std::log10(value) : value) - low) / (high - low) * (end - begin);
  }
};

Scale logarithmic_scale(double least, double most, double begin, double end) {
  Scale scale{
      true, std::floor(std::log10(least) + 1e-9), std::ceil(std::log10(most) - 1e-9), begin, end,
      {}};
  scale.high = std::max(scale.high, scale.low + 1);
  const double stride = std::ceil((scale.high - scale.low) / 10);
  for (double decade = scale.low; decade <= scale.high + 1e-9; decade += stride)
    scale.ticks.push_back(std::pow(10, decade));
  return scale;
}

// Ticks at 1, 2 or 5 times a power of ten, some six of them.
Scale linear_scale(double least, double most, double begin, double end) {
  if (most <= least) most = least + (least == 0 ? 1 : std::abs(least) / 2);
  const double rough = (most - least) / 6, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough) step = factor * power;
  const double first = std::floor(least / step + 1e-9), last = std::ceil(most / step - 1e-9);
  Scale scale{false, first * step, last * step, begin, end, {}};
  for (double i = first; i <= last + 1e-9; ++i) scale.ticks.push_back(i * step);
  return scale;
}

using Points = std::vector<std::pair<double, double>>;

Points drawable(const Line& line, const Axis& x, const Axis& y) {
  Points points;
  for (const auto& [px, py] : line.points)
    if (std::isfinite(px) && std::isfinite(py) && (!x.logarithmic || px > 0) &&
        (!y.logarithmic || py > 0))
      points.emplace_back(px, py);
  return points;
}

Scale scale_of(const std::vector<Points>& lines, bool across, const Axis& axis, double begin,
               double end) {
  double least = 1e300, most = -1e300;
  for (const Points& points : lines)
    for (const auto& point : points) {
      const double value = across ? point.first : point.second;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  return axis.logarithmic ? logarithmic_scale(least, most, begin, end)
                          : linear_scale(least, most, begin, end);
}

std::string grid(const Scale& across, const Scale& up) {
  std::string svg;
  for (const double tick : across.ticks) {
    svg += rule(across.at(tick), up.begin, across.at(tick), up.end);
    svg += text_at(across.at(tick), up.begin + 16, fmt::format("{:.4g}", tick), "middle");
  }
  for (const double tick : up.ticks) {
    svg += rule(across.begin, up.at(tick), across.end, up.at(tick));
    svg += text_at(across.begin - 6, up.at(tick) + 4, fmt::format("{:.4g}", tick), "end");
  }
  return svg;
}

std::string curve(const Points& points, bool dots, const Scale& across, const Scale& up,
                  const char* stroke) {
  std::string svg, path;
  for (const auto& [x, y] : points) {
    path += fmt::format("{:.1f},{:.1f} ", across.at(x), up.at(y));
    if (dots || points.size() == 1)
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n",
                         across.at(x), up.at(y), stroke);
  }
  if (dots) return svg;
  return svg +
         fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n",
                     path, stroke);
}

}  // namespace

std::string escape_xml(const std::string& text) {
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
    else if (static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\t')
      out += c;  // XML has no other control characters
  }
  return out;
}

std::string draw(const Report::Bars& plot) {
  constexpr double left = 220, width = 560, height = 28;
  double most = plot.limit;
  for (const Bar& bar : plot.bars) {
    double sum = 0;
    for (const double part : bar.parts) sum += part;
    most = std::max(most, sum);
  }
  if (most <= 0) return "";
  const Legend names = legend(plot.part_names, 0);
  const double bottom = names.height + static_cast<double>(plot.bars.size()) * height;
  std::string svg = open_svg(bottom + 24) + names.svg;
  for (size_t i = 0; i < plot.bars.size(); ++i) {
    const double y = names.height + static_cast<double>(i) * height;
    double x = left, sum = 0;
    svg += text_at(left - 8, y + 17, plot.bars[i].label, "end");
    for (size_t p = 0; p < plot.bars[i].parts.size(); ++p) {
      const double length = plot.bars[i].parts[p] / most * width;
      svg += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"20\" fill=\"{}\"/>\n", x,
          y + 3, length, color(p));
      x += length;
      sum += plot.bars[i].parts[p];
    }
    svg += text_at(x + 6, y + 17, fmt::format("{:.3g} {}", sum, plot.unit));
  }
  if (plot.limit > 0) {
    const double x = left + plot.limit / most * width;
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#000\" "
        "stroke-dasharray=\"4 3\"/>\n",
        x, names.height, bottom);
    svg += text_at(x, bottom + 16, fmt::format("limit {:.3g} {}", plot.limit, plot.unit), "middle");
  }
  return svg + "</svg>\n";
}

std::string draw(const Report::Lines& plot) {
  std::vector<Points> lines;
  std::vector<std::string> names;
  std::vector<bool> dots;
  for (const Line& line : plot.lines) {
    Points points = drawable(line, plot.x, plot.y);
    if (points.empty()) continue;
    lines.push_back(std::move(points));
    names.push_back(line.label);
    dots.push_back(line.dots);
  }
  if (lines.empty()) return "";
  const Legend legend_rows = legend(names, 0);
  const double top = legend_rows.height + 22, bottom = top + 270;
  const Scale across = scale_of(lines, true, plot.x, 70, 860);
  const Scale up = scale_of(lines, false, plot.y, bottom, top);
  std::string svg = open_svg(bottom + 44) + legend_rows.svg + grid(across, up);
  for (size_t i = 0; i < lines.size(); ++i) svg += curve(lines[i], dots[i], across, up, color(i));
  svg += text_at(page_width / 2, bottom + 36, plot.x.label, "middle");
  return svg + text_at(4, top - 8, plot.y.label) + "</svg>\n";
}

}  // namespace minke
