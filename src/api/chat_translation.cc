// Other spellings of a chat, and their errors.
#include "api/blocks.h"

namespace minke {
namespace {

bool is_below(std::string_view path, std::string_view above) {
  if (!path.starts_with(above)) return false;
  return path.size() == above.size() || path[above.size()] == '.' || path[above.size()] == '[';
}

}  // namespace

ApiError ChatTranslation::as_sent(const ApiError& error) const {
  const std::pair<std::string, std::string>* closest = nullptr;
  for (const auto& origin : origins_)
    if (is_below(error.param, origin.first) &&
        (!closest || origin.first.size() > closest->first.size()))
      closest = &origin;
  if (!closest) return error;
  const std::string param = closest->second + error.param.substr(closest->first.size());
  std::string message = error.what();
  if (message.starts_with(error.param)) message.replace(0, error.param.size(), param);
  ApiError sent(error.status, message, param);
  sent.retry_after = error.retry_after;
  return sent;
}

void ChatTranslation::copy(const Json& from, const char* name, const char* chat_name) {
  if (!from.contains(name)) return;
  body_[chat_name] = from[name];
  if (std::string_view(name) != chat_name) add_origin(chat_name, name);
}

void ChatTranslation::add_message(Json message, const std::string& path,
                                  const std::string& content_path) {
  Json& messages = body_["messages"];
  const std::string chat_path = fmt::format("messages[{}]", messages.size());
  if (chat_path != path) add_origin(chat_path, path);
  if (content_path != path + ".content") add_origin(chat_path + ".content", content_path);
  messages.push_back(std::move(message));
}

Json* ChatTranslation::last_message() {
  Json& messages = body_["messages"];
  return messages.empty() ? nullptr : &messages.back();
}

void ChatTranslation::add_tools(const Json& tools, const char* parameters) {
  Json list = Json::array();
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const Fields tool(tools[i], path);
    Json function = {{"name", tool.required_string("name")}};
    for (const char* name : {"description", "strict"})
      if (const Json* value = tool.find(name)) function[name] = *value;
    if (const Json* schema = tool.find(parameters)) function["parameters"] = *schema;
    list.push_back({{"type", "function"}, {"function", std::move(function)}});
    add_origin(path + ".function", path);
    add_origin(path + ".function.parameters", tool.path(parameters));
  }
  body_["tools"] = std::move(list);
}

void ChatTranslation::add_origin(std::string chat_path, std::string sent_path) {
  origins_.emplace_back(std::move(chat_path), std::move(sent_path));
}

}  // namespace minke
