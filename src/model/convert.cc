#include "model/convert.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "io/stored_matrix.h"
#include "kernels/blocks.h"
#include "model/conversion_check.h"
#include "model/gguf_config.h"
#include "model/gguf_sampling.h"
#include "model/model_rows.h"
#include "text/gguf_tokenizer.h"

namespace minke {
namespace {

constexpr const char* frequencies_name = "rope_freqs.weight";
constexpr const char* quantization_key = "quantization_config";
constexpr uint32_t quantization_version = 2;  // GGML_QNT_VERSION
// Of a directory, beside the weights.
constexpr const char* written_files[] = {
    "config.json",           "generation_config.json",  "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"};

// Tells of each tensor, and keeps what the check needs to know.
class Journal {
 public:
  Journal(const ConversionOptions& options, int64_t total) : options_(options), total_(total) {}

  void add(const WrittenTensor& tensor, std::span<const std::string> sources) {
    if (!std::isfinite(tensor.error.error) || !std::isfinite(tensor.error.values))
      fail("tensor '{}' has values that are not finite", tensor.name);
    for (const std::string& source : sources) errors_[source] += tensor.error.error;
    bytes_ += tensor.bytes;
    if (options_.on_tensor) options_.on_tensor(tensor, bytes_, total_);
  }
  const ParameterErrors& errors() const { return errors_; }

 private:
  const ConversionOptions& options_;
  int64_t bytes_ = 0, total_;
  ParameterErrors errors_;
};

int64_t bytes_of(BlockFormat format, std::span<const int64_t> shape) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows * block_format_bytes(format, shape.back());
}

// A tensor of a GGUF file to come.
struct GgufJob {
  GgufTensorPlan plan;
  BlockFormat stored;
  FormatChoice choice;
};

FormatChoice choose(const ModelSource& source, const GgufTensorPlan& plan, BlockFormat stored,
                    std::optional<QuantizationType> type) {
  if (type) return choose_gguf_format(*type, source.config(), plan.name, plan.shape);
  if (stays_f32_in_gguf(plan.name, plan.shape)) return {BlockFormat::f32};
  if (stored == BlockFormat::f8_e4m3) return {BlockFormat::bf16};
  const bool is_copied = gguf_tensor_rows(source, plan).is_stored_as(stored);
  if (!is_copied && !can_quantize_row(stored)) return {BlockFormat::bf16, true};
  return format_for_rows(stored, plan.shape.back());
}

std::vector<GgufJob> plan_gguf(const ModelSource& source, std::optional<QuantizationType> type) {
  std::vector<GgufJob> jobs;
  for (GgufTensorPlan& plan : list_gguf_tensors(source.config())) {
    const BlockFormat stored = stored_format(source, plan);
    const FormatChoice choice = choose(source, plan, stored, type);
    jobs.push_back({std::move(plan), stored, choice});
  }
  return jobs;
}

QuantizationType type_as_stored(const ModelSource& source) {
  return source.dtype() == DType::f32 ? QuantizationType::f32 : QuantizationType::bf16;
}

void add_tokenizer(const ModelSource& source, GgufMetadata& metadata) {
  if (const GgufReader* file = source.gguf()) {  // as it is, with what Minke does not read
    for (const auto& [key, value] : file->metadata())
      if (key.starts_with("tokenizer.")) metadata.add(key, value);
    return;
  }
  if (!source.has_tokenizer())
    return warn("{} has no tokenizer; neither has the file", source.where());
  add_gguf_tokenizer(source.tokenizer_definition(), source.config().vocab_size, metadata);
  const std::string chat = source.chat_template_text();
  if (!chat.empty()) metadata.add("tokenizer.chat_template", chat);
}

std::string name_of(const ModelSource& source) {
  if (source.gguf())
    if (const auto name = source.gguf()->string("general.name")) return std::string(*name);
  return fs::absolute(source.path()).lexically_normal().filename().string();
}

// What a GGUF file says of itself and Minke does not read: its licence, authors, languages.
void add_description(const GgufReader& file, GgufMetadata& metadata) {
  constexpr std::string_view own[] = {"general.architecture", "general.name", "general.file_type",
                                      "general.quantization_version", "general.alignment"};
  for (const auto& [key, value] : file.metadata())
    if (key.starts_with("general.") && !key.starts_with("general.sampling.") &&
        std::ranges::count(own, key) == 0)
      metadata.add(key, value);
}

GgufMetadata gguf_metadata(const ModelSource& source, std::optional<QuantizationType> type) {
  GgufMetadata metadata;
  add_gguf_config(source.config(), name_of(source), metadata);
  metadata.add("general.file_type", gguf_file_type(type.value_or(type_as_stored(source))));
  metadata.add("general.quantization_version", quantization_version);
  if (source.gguf()) add_description(*source.gguf(), metadata);
  add_gguf_sampling(source.generation_config(), metadata);
  add_tokenizer(source, metadata);
  return metadata;
}

ParameterErrors write_gguf(const ModelSource& source, const fs::path& path,
                           const ConversionOptions& options) {
  const std::vector<GgufJob> jobs = plan_gguf(source, options.type);
  const std::vector<float> frequencies = llama3_frequency_factors(source.config());
  std::vector<GgufDeclaration> declarations;
  int64_t total = 0;
  for (const GgufJob& job : jobs) {
    declarations.push_back({job.plan.name, job.choice.format, job.plan.shape});
    total += bytes_of(job.choice.format, job.plan.shape);
  }
  if (!frequencies.empty())
    declarations.push_back(
        {frequencies_name, BlockFormat::f32, {static_cast<int64_t>(frequencies.size())}});
  GgufWriter writer(path, gguf_metadata(source, options.type), std::move(declarations));
  Journal journal(options, total);
  std::vector<float> no_scales;
  for (const GgufJob& job : jobs) {
    const GgufTensorPlan& plan = job.plan;
    const SquaredError error = quantize_rows(
        gguf_tensor_rows(source, plan), job.choice.format,
        [&](std::span<const std::byte> bytes) {
          writer.write(plan.name, bytes.data(), static_cast<int64_t>(bytes.size()));
        },
        no_scales);
    journal.add({plan.name, plan.shape, job.stored, job.choice.format, job.choice.is_fallback,
                 bytes_of(job.choice.format, plan.shape), error},
                plan.sources);
  }
  if (!frequencies.empty())
    writer.write(frequencies_name, frequencies.data(),
                 static_cast<int64_t>(frequencies.size() * sizeof(float)));
  writer.commit();
  return journal.errors();
}

// A parameter of a directory to come.
struct DirectoryJob {
  Parameter parameter;
  BlockFormat stored, format;

  bool has_scales() const { return format == BlockFormat::f8_e4m3; }
  std::string scales_name() const { return parameter.name + "_scale_inv"; }
  std::vector<int64_t> scales_shape() const {
    const auto blocks = [](int64_t n) { return (n + f8_scale_block - 1) / f8_scale_block; };
    return {blocks(parameter.shape[0]), blocks(parameter.shape[1])};
  }
  int64_t bytes() const {
    const int64_t scales = has_scales() ? bytes_of(BlockFormat::f32, scales_shape()) : 0;
    return bytes_of(format, parameter.shape) + scales;
  }
};

std::vector<DirectoryJob> plan_directory(const ModelSource& source, QuantizationType type) {
  std::vector<DirectoryJob> jobs;
  for (Parameter& parameter : list_parameters(source.config())) {
    const bool is_tied = parameter.kind == ParameterKind::tied;
    if (is_tied && parameter.name == "lm_head.weight") continue;  // MTP modules have copies
    const BlockFormat stored = stored_format(source, is_tied ? parameter.tied_to : parameter.name);
    const BlockFormat format =
        choose_safetensors_format(type, parameter.name, parameter.shape.size());
    jobs.push_back({std::move(parameter), stored, format});
  }
  return jobs;
}

SafetensorsWriter open_directory(const fs::path& folder, std::span<const DirectoryJob> jobs) {
  std::vector<TensorDeclaration> declarations;
  for (const DirectoryJob& job : jobs) {
    declarations.push_back({job.parameter.name, file_dtype_of(job.format), job.parameter.shape});
    if (job.has_scales())
      declarations.push_back({job.scales_name(), FileDType::f32, job.scales_shape()});
  }
  return SafetensorsWriter::folder(folder, std::move(declarations));
}

ParameterErrors write_directory_weights(const ModelSource& source, const fs::path& folder,
                                        QuantizationType type, const ConversionOptions& options) {
  const std::vector<DirectoryJob> jobs = plan_directory(source, type);
  int64_t total = 0;
  for (const DirectoryJob& job : jobs) total += job.bytes();
  SafetensorsWriter writer = open_directory(folder, jobs);
  Journal journal(options, total);
  std::vector<float> scales;
  for (const DirectoryJob& job : jobs) {
    const Parameter& parameter = job.parameter;
    const SquaredError error = quantize_rows(
        parameter_rows(source, parameter), job.format,
        [&](std::span<const std::byte> bytes) {
          writer.write(parameter.name, bytes.data(), static_cast<int64_t>(bytes.size()));
        },
        scales);
    if (job.has_scales())
      writer.write(job.scales_name(), scales.data(),
                   static_cast<int64_t>(scales.size() * sizeof(float)));
    journal.add(
        {parameter.name, parameter.shape, job.stored, job.format, false, job.bytes(), error},
        std::span(&parameter.name, 1));
  }
  writer.commit();
  return journal.errors();
}

void write_config(const ModelSource& source, const fs::path& folder, QuantizationType type) {
  ModelConfig config = source.config();
  config.torch_dtype = type == QuantizationType::f32   ? "float32"
                       : type == QuantizationType::f16 ? "float16"
                                                       : "bfloat16";
  auto unknown = nlohmann::ordered_json::parse(config.unknown_keys);
  unknown.erase(quantization_key);
  if (type == QuantizationType::f8)
    unknown[quantization_key] = {{"activation_scheme", "dynamic"},
                                 {"fmt", "e4m3"},
                                 {"quant_method", "fp8"},
                                 {"weight_block_size", {f8_scale_block, f8_scale_block}}};
  config.unknown_keys = unknown.dump();
  write_file(folder / "config.json", write_model_config(config));
}

void convert_to_gguf(const ModelSource& source, const fs::path& output,
                     const ConversionOptions& options) {
  if (fs::exists(output) && !fs::is_regular_file(output))
    fail_usage("{} exists and is no file", output.string());
  const AtomicFolder scratch(output);  // on the same file system; never appears itself
  const fs::path file = scratch.path() / "model.gguf";
  const ParameterErrors errors = write_gguf(source, file, options);
  check_conversion(source, file, errors);
  fs::rename(file, output);
}

// The output takes the place of what is there, so that must be a model and nothing else.
void check_replaceable(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder)) fail_usage("{} exists and is no folder", folder.string());
  if (fs::is_empty(folder)) return;
  if (!fs::exists(folder / "config.json"))
    fail_usage("{} exists and is no model's folder", folder.string());
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool is_weights =
        name.starts_with("model") &&
        (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
    if (!entry.is_regular_file() || (!is_weights && std::ranges::count(written_files, name) == 0))
      fail_usage("{} has {}, which would be lost; name a new folder, or an old model's",
                 folder.string(), name);
  }
}

void convert_to_directory(const ModelSource& source, const fs::path& output,
                          const ConversionOptions& options) {
  check_replaceable(output);
  const QuantizationType type = options.type.value_or(type_as_stored(source));
  AtomicFolder folder(output);
  const ParameterErrors errors = write_directory_weights(source, folder.path(), type, options);
  write_config(source, folder.path(), type);
  write_tokenizer_files(source, folder.path());
  check_conversion(source, folder.path(), errors);
  folder.commit();
}

}  // namespace

void write_tokenizer_files(const ModelSource& source, const fs::path& folder) {
  if (const auto sampling = source.generation_config(); !sampling.empty())
    write_file(folder / "generation_config.json", sampling.dump(2) + "\n");
  if (!source.has_tokenizer())
    return warn("{} has no tokenizer; neither has the directory", source.where());
  if (source.is_gguf()) {
    write_tokenizer(source.tokenizer_definition(), folder);
    const std::string chat = source.chat_template_text();
    if (!chat.empty()) write_file(folder / "chat_template.jinja", chat);
    return;
  }
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja"})
    if (fs::exists(source.path() / name))
      write_file(folder / name, read_file(source.path() / name));
}

std::vector<fs::path> run_tokenizer_files(const ModelSource& source, const fs::path& run) {
  const fs::path folder = run / "tokenizer";
  if (!fs::exists(folder)) {
    AtomicFolder scratch(folder);
    write_tokenizer_files(source, scratch.path());
    scratch.commit();
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void convert_model(const ModelSource& source, const fs::path& output,
                   const ConversionOptions& options) {
  std::error_code ignored;
  if (fs::equivalent(source.path(), output, ignored))
    fail_usage("{} is the model that is read; name another output", output.string());
  if (output.extension() == ".gguf")
    convert_to_gguf(source, output, options);
  else
    convert_to_directory(source, output, options);
}

}  // namespace minke
