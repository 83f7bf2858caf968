#pragma once
// A small client of servers that speak OpenAI's interface.

#include <string>

#include "api/response.h"

namespace minke {

// Immutable and thread-safe: each call has a connection of its own.
class ApiClient {
 public:
  // base_url: with scheme and path, "https://api.example.org/v1". key "": none is sent.
  ApiClient(const std::string& base_url, std::string key, double timeout_seconds = 600);

  // POST base_url/path. A status that is no success is an ApiError with the server's message, and
  // so is a success without a JSON object, under its own status; no connection is an Error, and so
  // is an answer of more than 64 MiB.
  Json post(const std::string& path, const Json& body) const;
  ChatCompletion chat(const Json& body) const;

 private:
  std::string host_, path_, key_;
  double timeout_seconds_;
};

}  // namespace minke
