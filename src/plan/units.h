#pragma once
// Numbers for a person to read.

#include <string>

namespace minke {

std::string whole_text(double value);                             // 671,026,419,200
std::string decimal_text(double value, const std::string& unit);  // 7.3 GFLOP
std::string bytes_text(double bytes);                             // 1.2 GiB
std::string gibibytes_text(double bytes);                         // 1.2
std::string hours_text(double hours);                             // 12 min
std::string dollars_text(double value);                           // $5,576,000
std::string percent_text(double share);                           // 12.5 %

}  // namespace minke
