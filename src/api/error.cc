#include "api/error.h"

#include "api/json.h"

namespace minke {
namespace {

struct Status {
  int status;
  std::string_view openai, anthropic, code;
};

constexpr Status statuses[] = {
    {400, "invalid_request_error", "invalid_request_error", "invalid_request_error"},
    {401, "authentication_error", "authentication_error", "invalid_api_key"},
    {403, "permission_error", "permission_error", "forbidden"},
    {404, "not_found_error", "not_found_error", "not_found"},
    {405, "invalid_request_error", "invalid_request_error", "method_not_allowed"},
    {408, "invalid_request_error", "invalid_request_error", "request_timeout"},
    {413, "invalid_request_error", "request_too_large", "request_too_large"},
    {415, "invalid_request_error", "invalid_request_error", "unsupported_media_type"},
    {422, "invalid_request_error", "invalid_request_error", "invalid_parameter"},
    {429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded"},
    {500, "server_error", "api_error", "server_error"},
    {503, "server_error", "overloaded_error", "overloaded"},
};

const Status& find(int status) {
  for (const Status& known : statuses)
    if (known.status == status) return known;
  return find(status >= 500 ? 500 : 400);
}

}  // namespace

std::string_view error_type(int status) { return find(status).openai; }

std::string error_json(const ApiError& error) {
  const Json param = error.param.empty() ? Json(nullptr) : Json(error.param);
  return to_text({{"error",
                   {{"message", error.what()},
                    {"type", find(error.status).openai},
                    {"param", param},
                    {"code", find(error.status).code}}}});
}

std::string anthropic_error_json(const ApiError& error) {
  return to_text({{"type", "error"},
                  {"error", {{"type", find(error.status).anthropic}, {"message", error.what()}}}});
}

}  // namespace minke
