// minke inspect MODEL: what a model's files hold, and what it needs to run.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/machine.h"
#include "cli/commands.h"
#include "cli/load_options.h"
#include "config/parameters.h"
#include "model/inspect.h"
#include "model/memory_plan.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, compute;
  int64_t context = 0;
  bool tensors = false, json = false;
};

std::string architecture_of(const ModelConfig& config) {
  return Json::parse(write_model_config(config)).at("model_type").get<std::string>();
}

Json tensors_json(const Arguments& a, const ModelSource& source) {
  const std::vector<TensorEntry> tensors = list_stored_tensors(source);
  Json list = Json::array();
  if (a.tensors) {
    for (const TensorEntry& tensor : tensors)
      list.push_back({{"name", tensor.name},
                      {"format", block_format_name(tensor.format)},
                      {"rows", tensor.rows},
                      {"columns", tensor.columns},
                      {"bytes", tensor.bytes}});
    return list;
  }
  for (const TensorGroup& group : group_tensors(source.config(), tensors))
    list.push_back({{"kind", group.kind},
                    {"mtp", group.is_mtp},
                    {"format", block_format_name(group.format)},
                    {"tensors", group.tensors},
                    {"elements", group.elements},
                    {"bytes", group.bytes}});
  return list;
}

Json tokenizer_json(const ModelSource& source) {
  if (!source.has_tokenizer()) return nullptr;
  const Tokenizer tokenizer = source.tokenizer();
  Json result = {{"tokens", tokenizer.vocab_size()}, {"chat_template", nullptr}};
  try {
    result["chat_template"] = source.chat_template(tokenizer).name();
  } catch (const Error&) {  // a model without one is no chat model
  }
  return result;
}

Json memory_json(const Arguments& a, const ModelSource& source) {
  LoadOptions options;
  options.compute = parse_compute(a.compute);
  options.max_tokens = a.context;
  const ModelConfig& config = source.config();
  const DType compute = options.compute.value_or(source.dtype());
  const int64_t granted = machine().memory_bytes;
  const MemoryPlan plan = plan_within(config, source, compute, options, source.where(), granted);
  const bool fits = plan.total() <= granted;
  Json memory = {{"compute", compute == DType::f32 ? "f32" : "bf16"},
                 {"context", plan.max_tokens},
                 {"total_bytes", plan.total()},
                 {"weights", plan.map_weights ? "mapped" : "packed"},
                 {"weight_bytes", plan.weights},
                 {"cache_bytes", plan.cache},
                 {"scratch_bytes", plan.scratch},
                 {"cache_bytes_per_token", plan.cache_bytes_per_token()},
                 {"machine_bytes", granted},
                 {"fits", fits},
                 {"largest_context", largest_context(config, source, compute, options, granted)}};
  if (!fits) memory["advice"] = what_would_fit(config, source, compute, options, granted);
  return memory;
}

Json inspect(const Arguments& a) {
  const ModelSource source = ModelSource::open(a.model);
  const ModelConfig& config = source.config();
  return {{"path", source.path().string()},
          {"architecture", architecture_of(config)},
          {"layers", config.num_hidden_layers},
          {"context", config.max_position_embeddings},
          {"parameters", count_parameters(config)},
          {"active_parameters", count_active_parameters(config)},
          {"mtp_modules", config.num_nextn_predict_layers},
          {"mtp_parameters", count_mtp_parameters(config)},
          {"tokenizer", tokenizer_json(source)},
          {"memory", memory_json(a, source)},
          {"tensors", tensors_json(a, source)}};
}

std::string with_commas(const Json& value) {
  std::string digits = std::to_string(value.get<int64_t>());
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

void line(std::string_view name, const std::string& value) {
  fmt::print("{:<16}{}\n", name, value);
}

void print_tensors(const Arguments& a, const Json& tensors) {
  int64_t bytes = 0;
  fmt::print("\n{:<48}{:>8}  {:<8}{:>18}\n", a.tensors ? "tensor" : "tensors",
             a.tensors ? "" : "count", "format", "bytes");
  for (const Json& t : tensors) {
    const bool is_mtp = t.value("mtp", false);
    const std::string name = t[a.tensors ? "name" : "kind"].get<std::string>();
    const std::string count = a.tensors ? "" : with_commas(t["tensors"]);
    fmt::print("{:<48}{:>8}  {:<8}{:>18}\n", (is_mtp ? "MTP: " : "") + name, count,
               t["format"].get<std::string>(), with_commas(t["bytes"]));
    bytes += t["bytes"].get<int64_t>();
  }
  fmt::print("{:<66}{:>18}\n", "all", with_commas(bytes));
}

void print(const Arguments& a, const Json& m) {
  line("model", m["path"]);
  line("architecture",
       fmt::format("{}, {} layers, context {}", m["architecture"].get<std::string>(),
                   m["layers"].get<int64_t>(), with_commas(m["context"])));
  line("parameters", fmt::format("{}, {} of them active for a token", with_commas(m["parameters"]),
                                 with_commas(m["active_parameters"])));
  if (m["mtp_modules"] != 0)
    line("MTP", fmt::format("{} modules with {} parameters more", m["mtp_modules"].get<int64_t>(),
                            with_commas(m["mtp_parameters"])));
  const Json& tokenizer = m["tokenizer"];
  if (tokenizer.is_null()) {
    line("tokenizer", "none");
  } else {
    const Json& chat = tokenizer["chat_template"];
    line("tokenizer", fmt::format("{} tokens, chat template: {}", with_commas(tokenizer["tokens"]),
                                  chat.is_null() ? "none" : chat.get<std::string>()));
  }
  const Json& memory = m["memory"];
  const auto gib = [&](const char* key) { return gibibytes(memory[key].get<int64_t>()); };
  line("memory",
       fmt::format("{:.2f} GiB with {} tokens of context ({}): {} weights {:.2f}, cache {:.2f}, "
                   "scratch {:.2f}",
                   gib("total_bytes"), with_commas(memory["context"]),
                   memory["compute"].get<std::string>(), memory["weights"].get<std::string>(),
                   gib("weight_bytes"), gib("cache_bytes"), gib("scratch_bytes")));
  line("cache", fmt::format("{} bytes for a token", with_commas(memory["cache_bytes_per_token"])));
  const std::string verdict = memory["fits"].get<bool>()
                                  ? fmt::format("yes; a context of {} tokens fits at most",
                                                with_commas(memory["largest_context"]))
                                  : "no; " + memory["advice"].get<std::string>();
  line("this machine", fmt::format("{:.2f} GiB: {}", gib("machine_bytes"), verdict));
  print_tensors(a, m["tensors"]);
}

void run(const Arguments& a) {
  const Json model = inspect(a);
  if (a.json)
    fmt::print("{}\n", model.dump(2));
  else
    print(a, model);
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("inspect", "What a model's files hold, and whether it runs here");
  command->add_option("model", a->model, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  command->add_option("--context", a->context, "Tokens of context (default: the model's limit)")
      ->check(CLI::Range(1, 1 << 24));
  add_compute_option(*command, a->compute);
  command->add_flag("--tensors", a->tensors, "Each tensor instead of each kind");
  command->add_flag("--json", a->json, "Print one JSON object");
  command->callback([a] { run(*a); });
}

}  // namespace minke
