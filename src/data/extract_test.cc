#include "data/extract.h"

#include <gtest/gtest.h>

namespace minke {
namespace {

TEST(Html, KeepsProseAndDropsTheRest) {
  EXPECT_EQ(text_from_html(
                "<!DOCTYPE html><html><head><title>T</title><style>p{}</style></head><body>"
                "<nav><ul><li>Home</li></ul></nav><!-- a > b -->"
                "<h1>Head&shy;ing</h1><p>One &amp; two,\n   <b>bold</b>text.</p>"
                "<div class=\"footer x\"><div>inner</div>gone</div>"
                "<script>if (a < b) { x = '</p>' }</script><p>Last&nbsp;one: 1 < 2</p></body>"),
            "Heading\n\nOne & two, boldtext.\n\nLast one: 1 < 2\n");
}

TEST(Html, TakesTheMainPart) {
  EXPECT_EQ(
      text_from_html("<p>before</p><div role=\"main\"><div><p>inside</p></div></div><p>after</p>"),
      "inside\n");
}

TEST(Html, KeepsPreformattedText) {
  EXPECT_EQ(text_from_html("<p>See</p><pre>int  x;\n  y = <b>1</b>;\n\nend</pre>done"),
            "See\n\nint  x;\n  y = 1;\n\nend\n\ndone\n");
}

TEST(Html, ListsAndTables) {
  EXPECT_EQ(text_from_html(
                "<ul><li><p>one</p></li><li>two</li><li></li></ul>"
                "<table><tr><th>a</th><th>b</th></tr><tr><td><p>1</p></td><td>2</td></tr></table>"),
            "- one\n- two\n\na\tb\n1\t2\n");
}

TEST(Html, AnIndexGivesNothing) {
  EXPECT_EQ(text_from_html(
                "<p>Index</p><ul><li><a href=x>alpha beta</a><li><a href=\"y\">gamma</a></ul>"),
            "");
}

// HTML lets closing tags be left out, and people do: what follows is not lost.
TEST(Html, UnclosedElementsDoNotSwallowThePage) {
  EXPECT_EQ(text_from_html("<html><head><title>T</title><meta charset=utf-8>"
                           "<script>'<main>'</script><body><p>The page.<form><p>More of it."),
            "The page.\n\nMore of it.\n");
  EXPECT_EQ(text_from_html("<p>One.<nav><a href=x>Home</a></nav><p>Two.<main><p>Three."),
            "Three.\n");
}

// Each of them took minutes, or the stack.
TEST(Extract, HostilePagesTakeNoTime) {
  const auto repeated = [](std::string_view text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  EXPECT_EQ(text_from_html("<p>Text." + repeated("<script>a<b;", 200000)), "Text.\n");
  EXPECT_EQ(text_from_html("<p>Text." + repeated("<form>", 200000)), "Text.\n");
  std::string names = "<p>Text.";
  for (int i = 0; i < 50000; ++i) names += "<x" + std::to_string(i) + " class=\"toc\">";
  EXPECT_EQ(text_from_html(names), "Text.\n");
  const std::string pod = "=head1 X\n\n" + repeated("B<", 200000) + "end\n";
  EXPECT_TRUE(text_from_pod(pod).ends_with("end\n"));
}

TEST(Html, SurvivesNonsense) {
  for (const char* html :
       {"<", "<a", "<a href=\"x", "</", "<p", "&", "&#;", "<!--", "<script>x", "a<b>c<"})
    text_from_html(html);
  EXPECT_EQ(text_from_html("a < b"), "a < b\n");
}

TEST(Html, DecodesEntities) {
  EXPECT_EQ(decode_entities("&eacute;&#233;&#xE9;&yuml;&mdash;&lt;&unknown;&amp"),
            "éééÿ—<&unknown;&amp");
}

TEST(Pod, BecomesText) {
  EXPECT_EQ(
      text_from_pod(
          "use strict;\n\n=head1 NAME\n\nfoo - B<bold> C<< a->b >> and\nI<x E<lt> y>\n\n"
          "=over 4\n\n=item *\n\nfirst L<text|http://x>\n\n=item name\n\nL<perlre/\"Sec\">\n\n"
          "=back\n\n  verbatim  text\n\n  more\n\n=begin html\n\n<b>no</b>\n\n=end html\n\n"
          "Last.X<index>\n\n=cut\n\nmy $code;\n"),
      "NAME\n\nfoo - bold a->b and x < y\n\n- first text\n\nname\nSec in perlre\n\n"
      "  verbatim  text\n\n  more\n\nLast.\n");
}

TEST(Dict, LosesBracesAndSources) {
  EXPECT_EQ(text_from_dict("Word \\Word\\, n.\n   See {Other}. \n   [1913 Webster]\n"),
            "Word \\Word\\, n.\n   See Other.\n");
}

}  // namespace
}  // namespace minke
