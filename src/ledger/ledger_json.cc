// ledger.json: each entry is listed once, and that list writes and reads it.

#include "config/fields.h"
#include "ledger/ledger.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

template <typename Visit>
void visit_fields(LearningPoint& p, Visit&& visit) {
  visit("step", p.step);
  visit("tokens", p.tokens);
  visit("seconds", p.seconds);
  visit("train_loss", p.train_loss);
  visit("bits_per_byte", p.bits_per_byte);
  visit("cost", p.cost);
}

template <typename Visit>
void visit_fields(Ledger& l, Visit&& visit) {
  visit("name", l.name);
  visit("machine", l.machine);
  visit("cores", l.cores);
  visit("gpus", l.gpus);
  visit("sessions", l.sessions);
  visit("finished", l.finished);
  visit("wall_seconds", l.wall_seconds);
  visit("core_seconds", l.core_seconds);
  visit("training_seconds", l.training_seconds);
  visit("cpu_seconds", l.cpu_seconds);
  visit("steps", l.steps);
  visit("tokens", l.tokens);
  visit("model_flops", l.model_flops);
  visit("peak_flops", l.peak_flops);
  visit("peak_memory_bytes", l.peak_memory_bytes);
  visit("planned_memory_bytes", l.planned_memory_bytes);
  visit("energy_joules", l.energy_joules);
  visit("currency", l.prices.currency);
  visit("price_per_core_hour", l.prices.per_core_hour);
  visit("price_per_gpu_hour", l.prices.per_gpu_hour);
  visit("price_per_kwh", l.prices.per_kwh);
  visit("recipe_sha256", l.recipe_sha256);
  visit("data_sha256", l.data_sha256);
  visit("weights_sha256", l.weights_sha256);
  visit("code_version", l.code_version);
}

template <typename T>
void read_entry(const Json& json, const char* key, const std::string& where, T& member) {
  const Field field{key, "", -HUGE_VAL, HUGE_VAL};
  const auto found = json.find(key);
  if (found == json.end()) fail("{}: {} is missing", where, key);
  if constexpr (std::same_as<T, std::optional<double>>) {
    if (!found->is_null()) read_field(*found, field, where, key, member.emplace());
  } else if constexpr (std::same_as<T, double>) {
    if (found->is_null())  // how JSON writes a loss that is not finite
      member = NAN;
    else
      read_field(*found, field, where, key, member);
  } else {
    read_field(*found, field, where, key, member);
  }
}

Json entry(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
template <typename T>
Json entry(const T& value) {
  return value;
}

// What follows from the rest; written for other programs, not read.
void add_derived(const Ledger& ledger, Json& json) {
  json["tokens_per_second"] = ledger.tokens_per_second();
  json["flops_per_second"] = ledger.flops_per_second();
  json["fraction_of_peak"] = entry(ledger.fraction_of_peak());
  json["cost"] = ledger.cost();
}

}  // namespace

std::string write_ledger(const Ledger& ledger) {
  Ledger copy = ledger;
  Json json;
  visit_fields(copy, [&](const char* key, const auto& member) { json[key] = entry(member); });
  add_derived(ledger, json);
  json["curve"] = Json::array();
  for (LearningPoint& point : copy.curve) {
    Json& row = json["curve"].emplace_back();
    visit_fields(point, [&](const char* key, const auto& member) { row[key] = entry(member); });
  }
  return json.dump(2) + "\n";
}

namespace {

// Older ledgers have no core_seconds: their sessions are taken to have had the same cores.
void add_core_seconds(Json& json) {
  const Json seconds = json.value("wall_seconds", Json()), cores = json.value("cores", Json());
  if (!json.contains("core_seconds") && seconds.is_number() && cores.is_number())
    json["core_seconds"] = seconds.get<double>() * cores.get<double>();
}

}  // namespace

Ledger parse_ledger(const std::string& text, const std::string& where) {
  Json json = parse_json(text, where);
  if (!json.is_object()) fail("{}: a JSON object was expected", where);
  add_core_seconds(json);
  Ledger ledger;
  visit_fields(ledger,
               [&](const char* key, auto& member) { read_entry(json, key, where, member); });
  for (const Json& row : json.value("curve", Json::array())) {
    LearningPoint& point = ledger.curve.emplace_back();
    visit_fields(point,
                 [&](const char* key, auto& member) { read_entry(row, key, where, member); });
  }
  return ledger;
}

Ledger load_ledger(const fs::path& run) {
  const fs::path path = fs::is_directory(run) ? run / "ledger.json" : run;
  return parse_ledger(read_file(path), path.string());
}

}  // namespace minke
