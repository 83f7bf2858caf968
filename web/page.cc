// The page's bytes, put into the program by the assembler.
#include "serve/page.h"

asm(".pushsection .rodata\n"
    ".global minke_web_page_begin\n"
    ".global minke_web_page_end\n"
    "minke_web_page_begin:\n"
    ".incbin \"" MINKE_WEB_PAGE
    "\"\n"
    "minke_web_page_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" const char minke_web_page_begin[], minke_web_page_end[];

namespace minke {

std::string_view web_page() {
  return {minke_web_page_begin, static_cast<size_t>(minke_web_page_end - minke_web_page_begin)};
}

}  // namespace minke
