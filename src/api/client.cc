#include "api/client.h"

#include <httplib.h>

#include "api/error.h"
#include "base/error.h"

namespace minke {

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
  httplib::Client client(host_);
  client.set_read_timeout(static_cast<time_t>(timeout_seconds_));
  httplib::Headers headers;
  if (!key_.empty()) headers.emplace("Authorization", "Bearer " + key_);
  const auto result = client.Post(path_ + path, headers, to_text(body), "application/json");
  if (!result) fail("{}: {}", host_, httplib::to_string(result.error()));
  const Json answer = Json::parse(result->body, nullptr, false);
  if (result->status / 100 != 2) {
    const bool has_message = answer.is_object() && answer.contains("error") &&
                             answer["error"].is_object() && answer["error"].contains("message") &&
                             answer["error"]["message"].is_string();
    throw ApiError(result->status, has_message ? answer["error"]["message"].get<std::string>()
                                               : result->body.substr(0, 200));
  }
  if (!answer.is_object()) fail("{}{}: the answer is no JSON object", host_, path_ + path);
  return answer;
}

ChatCompletion ApiClient::chat(const Json& body) const {
  return parse_chat_completion(post("/chat/completions", body));
}

}  // namespace minke
