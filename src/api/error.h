#pragma once
// api/: the wire: requests and answers of OpenAI's, DeepSeek's and Anthropic's HTTP interfaces as
// plain structs, JSON both ways, and a small client. May include text/, config/ and base/. It knows
// no model and no socket of a server.
//
// This header: an error as the wire tells it.

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace minke {

// Why a request is refused. Statuses as DeepSeek's documentation lists them: 400 the form is wrong,
// 401 no valid key, 404 no such model or path, 413 too large, 422 a parameter is out of range, 429
// too many, 500 a fault of the server, 503 overloaded or not ready.
class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string& message, std::string param = "")
      : std::runtime_error(message), status(status), param(std::move(param)) {}

  int status;
  std::string param;    // the field that is meant; may be empty
  int retry_after = 0;  // seconds; 0: not told
};

// The form of the request is wrong (400).
template <typename... Args>
[[noreturn]] void refuse_form(const std::string& param, fmt::format_string<Args...> format,
                              Args&&... args) {
  throw ApiError(400, fmt::format(format, std::forward<Args>(args)...), param);
}

// A value is out of its range (422).
template <typename... Args>
[[noreturn]] void refuse_value(const std::string& param, fmt::format_string<Args...> format,
                               Args&&... args) {
  throw ApiError(422, fmt::format(format, std::forward<Args>(args)...), param);
}

// OpenAI's name of the class of error that a status stands for.
std::string_view error_type(int status);
// {"error": {"message", "type", "param", "code"}}
std::string error_json(const ApiError& error);
// Anthropic's: {"type": "error", "error": {"type", "message"}}
std::string anthropic_error_json(const ApiError& error);

}  // namespace minke
