#pragma once
// `minke report`: what a run did and what it cost, as HTML and Markdown with plots.

#include "base/files.h"

namespace minke {

// run: the folder of one run, or that of `minke run` with its stages. Writes report.html, report.md
// and report-plots/ into it. What a run did not measure is left out; a folder without a run is an
// Error.
void write_report(const fs::path& run);

}  // namespace minke
