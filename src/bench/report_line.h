#pragma once
// What benchmarks of a model print: one JSON object, or its entries line by line.

#include <nlohmann/json.hpp>
#include <string>

namespace minke {

// Of this machine and the model.
nlohmann::ordered_json begin_report(const std::string& model);
void print_report(const nlohmann::ordered_json& line, bool json);

}  // namespace minke
