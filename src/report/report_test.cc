#include "report/report.h"

#include <gtest/gtest.h>

#include <limits>

namespace minke {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t times = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++times;
  return times;
}

TEST(Report, TextIsShownAsItIs) {
  Report report("a < b");
  report.add_paragraph("<script>x</script> & *y*");
  report.add_code("one\n<think>two");
  report.add_table({"name", "value"}, {{"a|b", "1"}, {"<i>", "2"}});
  const std::string html = report.html();
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;x&lt;/script&gt; &amp; *y*"), std::string::npos);
  EXPECT_NE(html.find("<pre>one\n&lt;think&gt;two</pre>"), std::string::npos);
  const std::string markdown = report.markdown("plots").text;
  EXPECT_NE(markdown.find("# a \\< b"), std::string::npos);
  EXPECT_NE(markdown.find("    one\n    <think>two"), std::string::npos);
  EXPECT_NE(markdown.find("| a\\|b | 1 |"), std::string::npos);
}

TEST(Report, LinesAreDrawnWhereTheirAxesHaveAPlaceForThem) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Line line{"curve", {{0, 1}, {1, nan}, {10, 3}, {100, 2}}};
  const std::string linear = draw(Report::Lines{{line}, {"x"}, {"y"}});
  EXPECT_EQ(count(linear, "<polyline"), 1u);
  const size_t begin = linear.find("points=\"") + 8;
  EXPECT_EQ(count(linear.substr(begin, linear.find('"', begin) - begin), ","), 3u);
  const std::string logarithmic = draw(Report::Lines{{line}, {"x", true}, {"y"}});
  const size_t start = logarithmic.find("points=\"") + 8;
  EXPECT_EQ(count(logarithmic.substr(start, logarithmic.find('"', start) - start), ","), 2u);
  EXPECT_EQ(draw(Report::Lines{{{"nothing", {{1, nan}}}}, {"x"}, {"y"}}), "");
}

// The first and the last point of a rising line lie inside of the frame, the last one higher.
TEST(Report, AxesCoverTheirValues) {
  for (const auto& [low, high] : {std::pair{0.0, 1.0}, {22.4, 87.1}, {-3.0, 1e6}, {5.0, 5.0}}) {
    const std::string svg = draw(Report::Lines{{{"l", {{0, low}, {1, high}}}}, {"x"}, {"y"}});
    double x1, y1, x2, y2;
    const size_t at = svg.find("points=\"") + 8;
    ASSERT_EQ(std::sscanf(svg.c_str() + at, "%lf,%lf %lf,%lf", &x1, &y1, &x2, &y2), 4) << svg;
    for (const double x : {x1, x2}) EXPECT_TRUE(x >= 70 && x <= 860) << x;
    EXPECT_TRUE(y1 <= 311 && y2 >= 39 && y2 <= y1) << y1 << " " << y2;
  }
}

TEST(Report, BarsAddUp) {
  const std::string svg = draw(Report::Bars{{{"a", {1, 2}}, {"b", {0.5, 0}}}, {"x", "y"}, "h", 4});
  EXPECT_NE(svg.find(">3 h<"), std::string::npos);
  EXPECT_NE(svg.find("limit 4 h"), std::string::npos);
  EXPECT_EQ(draw(Report::Bars{{{"a", {0}}}, {"x"}, "h"}), "");
}

TEST(Report, FilesLieBesideOneAnother) {
  const fs::path folder = fs::path(testing::TempDir()) / "minke-report-test";
  fs::create_directories(folder);
  Report report("title");
  report.add_lines({{"l", {{0, 1}, {1, 2}}}}, {"x"}, {"y"});
  for (int time = 0; time < 2; ++time) report.write(folder);  // the second one replaces the first
  EXPECT_NE(read_file(folder / "report.md").find("report-plots/plot-1.svg"), std::string::npos);
  EXPECT_NE(read_file(folder / "report-plots" / "plot-1.svg").find("<svg"), std::string::npos);
  EXPECT_NE(read_file(folder / "report.html").find("<svg"), std::string::npos);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace minke
