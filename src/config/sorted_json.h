#pragma once
// JSON text with very many keys: a large model has 100,000 tensors.

#include "config/json.h"

namespace minke {

// As parse_json(), but into objects with sorted keys. In the kind that keeps their order each
// insertion walks over all keys before it.
nlohmann::json parse_sorted_json(std::string_view text, std::string_view where);

}  // namespace minke
