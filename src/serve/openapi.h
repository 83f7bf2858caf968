#pragma once
// The interface, described for machines.

#include <string>

namespace minke {

// An OpenAPI 3.1 document of the paths under /v1 and of the server's own.
const std::string& openapi_document();

}  // namespace minke
