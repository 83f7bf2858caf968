#include "serve/model_pool.h"

#include <toml++/toml.h>
#include <algorithm>
#include <set>

#include "api/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "config/nearest.h"

namespace minke {
namespace {

// DeepSeek's names, so that their clients work with whatever is served.
const std::map<std::string, std::optional<bool>> deepseek_names = {{"deepseek-chat", false},
                                                                   {"deepseek-reasoner", true}};

ServedModelOptions read_model(const toml::table& table, const fs::path& path, size_t index) {
  const std::string where = fmt::format("{}: model {}", path.string(), index + 1);
  const auto text = [&](const char* key) {
    if (table.contains(key) && !table[key].is_string())
      fail_usage("{}: {} is no string", where, key);
    return table[key].value_or(std::string());
  };
  const auto count = [&](const char* key, int64_t otherwise) {
    if (!table.contains(key)) return otherwise;
    const auto value = table[key].value_exact<int64_t>();
    if (!value || *value < 0) fail_usage("{}: {} is no whole number from 0", where, key);
    return *value;
  };
  static const std::set<std::string_view> known = {
      "name", "path", "compute", "context", "cache_tokens", "max_sequences", "draft_tokens"};
  for (const auto& [key, value] : table)
    if (!known.contains(key.str()))
      fail_usage(
          "{}: unknown key '{}'; expected name, path, compute, context, cache_tokens, "
          "max_sequences or draft_tokens",
          where, key.str());
  ServedModelOptions model;
  model.name = text("name");
  const fs::path given = text("path");
  if (model.name.empty() || given.empty()) fail_usage("{}: name and path are needed", where);
  model.path = given.is_absolute() ? given : path.parent_path() / given;
  const std::string compute = text("compute");
  if (!compute.empty() && compute != "f32" && compute != "bf16")
    fail_usage("{}: compute is '{}'; expected f32 or bf16", where, compute);
  if (!compute.empty()) model.compute = compute == "f32" ? DType::f32 : DType::bf16;
  model.context = count("context", 0);
  model.cache_tokens = count("cache_tokens", 0);
  model.max_sequences = std::max<int64_t>(1, count("max_sequences", model.max_sequences));
  model.draft_tokens = count("draft_tokens", 0);
  return model;
}

ModelAlias read_alias(const toml::node& node, const std::string& where) {
  ModelAlias alias;
  if (const auto name = node.value<std::string>()) {
    alias.model = *name;
  } else if (const toml::table* table = node.as_table()) {
    alias.model = (*table)["model"].value_or(std::string());
    alias.thinking = (*table)["thinking"].value<bool>();
  }
  if (alias.model.empty())
    fail_usage("{}: expected a model's name, or {{model = \"...\", thinking = true}}", where);
  return alias;
}

[[noreturn]] void refuse_name(const std::string& name, const std::vector<std::string>& names) {
  throw ApiError(404,
                 fmt::format("there is no model '{}'; did you mean '{}'?", name.substr(0, 100),
                             nearest(name.substr(0, 100), names)),
                 "model");
}

}  // namespace

void read_models_file(const fs::path& path, ServeOptions& options) {
  toml::table file;
  try {
    file = toml::parse(read_file(path), path.string());
  } catch (const toml::parse_error& e) {
    fail_usage("{}:{}: {}", path.string(), e.source().begin.line, e.description());
  }
  const toml::array* models = file["model"].as_array();
  if (!models || models->empty()) fail_usage("{}: no [[model]]", path.string());
  for (size_t i = 0; i < models->size(); ++i) {
    const toml::table* table = models->get(i)->as_table();
    if (!table) fail_usage("{}: model {} is no table", path.string(), i + 1);
    options.models.push_back(read_model(*table, path, i));
  }
  if (const toml::table* aliases = file["aliases"].as_table())
    for (const auto& [name, node] : *aliases)
      options.aliases[std::string(name.str())] =
          read_alias(node, fmt::format("{}: alias {}", path.string(), name.str()));
}

ModelPool::ModelPool(const ServeOptions& options) : options_(options) {
  std::set<std::string> names;
  for (const ServedModelOptions& model : options.models) {
    if (!names.insert(model.name).second) fail_usage("two models have the name '{}'", model.name);
    entries_.emplace_back().options = model;
  }
  if (entries_.empty()) fail_usage("there is no model to serve");
  for (const auto& [name, alias] : options.aliases)
    if (!names.contains(alias.model))
      fail_usage("the alias '{}' names the model '{}', which is none of those served", name,
                 alias.model);
}

ModelPool::Entry& ModelPool::find(const std::string& name, std::optional<bool>& thinking) {
  std::string wanted = name.empty() ? entries_.front().options.name : name;
  if (const auto alias = options_.aliases.find(wanted); alias != options_.aliases.end()) {
    thinking = alias->second.thinking;
    wanted = alias->second.model;
  }
  for (Entry& entry : entries_)
    if (entry.options.name == wanted) return entry;
  if (const auto known = deepseek_names.find(wanted); known != deepseek_names.end()) {
    thinking = known->second;
    return entries_.front();
  }
  refuse_name(name, names());
}

ModelPool::~ModelPool() {
  for (const Entry& entry : entries_)
    if (entry.loading.valid()) entry.loading.wait();
}

ModelPool::Lease ModelPool::acquire(const std::string& name,
                                    const std::function<void()>& look_around) {
  Lease lease;
  Entry& entry = find(name, lease.thinking);
  lease.name = name.empty() ? entry.options.name : name;
  lease.model = loaded(entry, look_around);
  const auto& chat_template = lease.model->chat_template();
  if (!chat_template || !chat_template->can_think()) lease.thinking.reset();
  return lease;
}

// A model that was unloaded again before its load's end was noticed is loaded once more.
std::shared_ptr<ServedModel> ModelPool::loaded(Entry& entry,
                                               const std::function<void()>& look_around) {
  constexpr std::chrono::milliseconds tick(100);
  while (true) {
    std::shared_future<void> loading;
    {
      const std::lock_guard lock(mutex_);
      entry.used = now_seconds();
      if (entry.model) return entry.model;
      const auto has_ended = [&] {
        return entry.loading.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
      };
      if (!entry.loading.valid() || has_ended())
        entry.loading = std::async(std::launch::async, [this, &entry] { load(entry); });
      loading = entry.loading;
    }
    while (loading.wait_for(tick) != std::future_status::ready) look_around();
    loading.get();
  }
}

// The plan is known once the files are open; the bytes are set aside before they are taken.
void ModelPool::load(Entry& entry) {
  const int64_t bytes = ServedModel::plan_bytes(entry.options);
  make_room(entry, bytes);
  try {
    auto model = std::make_shared<ServedModel>(entry.options, options_.queue);
    const std::lock_guard lock(mutex_);
    entry.model = std::move(model);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    entry.bytes = 0;
    throw;
  }
}

// The end of a model takes a while (its thread may be in a step): nobody but others that need room
// wait for it.
void ModelPool::make_room(Entry& wanted, int64_t bytes) {
  const std::lock_guard room_lock(room_mutex_);
  std::vector<std::shared_ptr<ServedModel>> unloaded;  // ends before room_lock, after lock
  const std::lock_guard lock(mutex_);
  unloaded = unload_for(wanted, bytes);
  wanted.bytes = bytes;
}

// Takes models that nobody uses from their entries until there is room.
std::vector<std::shared_ptr<ServedModel>> ModelPool::unload_for(const Entry& wanted,
                                                                int64_t bytes) {
  const int64_t budget = options_.memory_bytes ? options_.memory_bytes : machine().memory_bytes;
  if (bytes > budget)
    throw ApiError(503,
                   fmt::format("the model '{}' needs {} MB and can never be loaded: all models "
                               "together may take {} MB (--memory)",
                               wanted.options.name, bytes >> 20, budget >> 20));
  int64_t busy = 0;
  for (const Entry& entry : entries_)
    if (!entry.model || entry.model.use_count() > 1) busy += entry.bytes;
  if (busy + bytes > budget)
    throw ApiError(503, fmt::format("the model '{}' needs {} MB, {} of {} MB are in use; try again "
                                    "when other answers have ended",
                                    wanted.options.name, bytes >> 20, busy >> 20, budget >> 20));
  std::vector<std::shared_ptr<ServedModel>> unloaded;
  while (true) {
    int64_t taken = 0;
    Entry* oldest = nullptr;
    for (Entry& entry : entries_) {
      taken += entry.bytes;
      const bool is_idle = entry.model && entry.model.use_count() == 1;
      if (is_idle && (!oldest || entry.used < oldest->used)) oldest = &entry;
    }
    if (taken + bytes <= budget) return unloaded;
    info("unloading {}", oldest->options.name);
    add_counters(unloaded_, oldest->model->stats());
    unloaded.push_back(std::move(oldest->model));
    oldest->bytes = 0;
  }
}

std::vector<std::string> ModelPool::names() const {
  std::set<std::string> names;
  for (const Entry& entry : entries_) names.insert(entry.options.name);
  for (const auto& [name, alias] : options_.aliases) names.insert(name);
  for (const auto& [name, thinking] : deepseek_names) names.insert(name);
  return {names.begin(), names.end()};
}

void ModelPool::check_name(const std::string& name) const {
  const std::vector<std::string> known = names();
  if (std::ranges::find(known, name) == known.end()) refuse_name(name, known);
}

ServerMetrics::ModelStates ModelPool::states() const {
  const std::lock_guard lock(mutex_);
  ServerMetrics::ModelStates states{{}, unloaded_};
  for (const Entry& entry : entries_)
    if (entry.model)
      states.loaded.push_back({entry.options.name, entry.model->stats(),
                               entry.model->admission().waiting(),
                               entry.model->admission().running()});
  return states;
}

bool ModelPool::has_loaded() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const Entry& entry) { return entry.model != nullptr; });
}

}  // namespace minke
