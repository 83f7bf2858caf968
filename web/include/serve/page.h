#pragma once
// The web page that the server answers at /: one HTML file without references to any other, in
// UTF-8. It is built from web/, whose library minke_web has its bytes. Its security policy stands
// inside; a server adds the header "Content-Security-Policy: frame-ancestors 'none'", which only a
// header can say.

#include <string_view>

namespace minke {

// Lives as long as the program.
std::string_view web_page();

}  // namespace minke
