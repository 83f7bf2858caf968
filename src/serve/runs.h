#pragma once
// A folder of training runs, as the web page's Runs reads it. Only names that a listing of the
// folder gives are ever part of a path.

#include "api/json.h"
#include "base/files.h"

namespace minke {

// {"runs": [{"name", "modified", "stages": [...]}]}, newest first. A stage is a subfolder that is
// itself a run.
Json list_runs(const fs::path& folder);
// Whole lines of metrics.jsonl or samples.jsonl from a byte on, as many as an answer may hold:
// {"lines": [...], "next": byte}; from the beginning if the file is shorter than that byte. A file
// that is not there has no lines. An unknown run is an ApiError of 404.
Json run_lines(const fs::path& folder, const std::string& run, const char* file, int64_t after);
// ledger.json as it is; null while there is none.
std::string run_ledger(const fs::path& folder, const std::string& run);

}  // namespace minke
