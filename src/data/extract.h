#pragma once
// Clean text from documentation's formats. Each function takes a whole file's content as valid
// UTF-8 and returns its prose: headings, paragraphs and lists as lines, preformatted text as it
// stands, none of the markup or the navigation. Pure functions, thread-safe.

#include <string>
#include <string_view>

namespace minke {

// HTML. Scripts, styles, forms, navigation and a page's frame are left out; of a page that marks
// its main part, only that part is taken. A page that is mostly links (an index) gives no text.
std::string text_from_html(std::string_view html);

// Perl's POD, also between the code of a module.
std::string text_from_pod(std::string_view pod);

// Entries of a dictd database: the braces of cross-references and the lines that only name a source
// are left out.
std::string text_from_dict(std::string_view entries);

// Replaces HTML's character references, such as &eacute; and &#8212;. Unknown ones stay.
std::string decode_entities(std::string_view text);

}  // namespace minke
