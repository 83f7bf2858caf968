#include "api/client.h"

#include <httplib.h>

#include <chrono>
#include <cmath>
#include <cstdlib>

#include "api/error.h"
#include "base/error.h"

namespace minke {
namespace {

std::string error_message(const std::string& text) {
  const Json answer = Json::parse(text, nullptr, false);
  if (answer.is_object() && answer.contains("error") && answer["error"].is_object() &&
      answer["error"].contains("message") && answer["error"]["message"].is_string())
    return answer["error"]["message"];
  constexpr size_t longest = 200;
  return text.substr(0, longest);
}

}  // namespace

ApiClient::ApiClient(const std::string& base_url, std::string key, double timeout_seconds)
    : key_(std::move(key)), timeout_seconds_(timeout_seconds) {
  const size_t scheme = base_url.find("://");
  if (scheme == std::string::npos)
    fail_usage("'{}' is no address of a server; expected http://HOST/PATH", base_url);
  const size_t path = base_url.find('/', scheme + 3);
  host_ = base_url.substr(0, path);
  path_ = path == std::string::npos ? "" : base_url.substr(path);
  if (path_.ends_with('/')) path_.pop_back();
}

Json ApiClient::post(const std::string& path, const Json& body) const {
  constexpr size_t longest = 64 << 20;
  httplib::Client client(host_);
  const auto timeout = std::chrono::milliseconds(std::llround(timeout_seconds_ * 1000));
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  httplib::Request request;
  request.method = "POST";
  request.path = path_ + path;
  request.body = to_text(body);
  request.set_header("Content-Type", "application/json");
  if (!key_.empty()) request.set_header("Authorization", "Bearer " + key_);
  std::string text;
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    if (text.size() + size > longest) return false;
    text.append(data, size);
    return true;
  };
  const auto result = client.send(request);
  if (!result) fail("{}: {}", host_, httplib::to_string(result.error()));
  if (result->status / 100 != 2) {
    ApiError error(result->status, error_message(text));
    error.retry_after = std::atoi(result->get_header_value("Retry-After").c_str());
    throw error;
  }
  try {
    return parse_body(text);
  } catch (const ApiError& error) {
    throw ApiError(result->status, error.what());
  }
}

ChatCompletion ApiClient::chat(const Json& body) const {
  return parse_chat_completion(post("/chat/completions", body));
}

}  // namespace minke
