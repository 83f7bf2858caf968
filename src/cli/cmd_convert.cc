// minke convert IN OUT, minke quantize IN OUT --type T: a model in another form of file.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/log.h"
#include "base/machine.h"
#include "cli/commands.h"
#include "model/convert.h"

namespace minke {
namespace {

struct Arguments {
  std::string input, output, type;
};

// A line of the log every few seconds.
class ProgressLog {
 public:
  void show(int64_t bytes, int64_t total) {
    constexpr double interval = 5;
    const double now = now_seconds();
    if (now - last_ < interval) return;
    last_ = now;
    const double left =
        (now - start_) / static_cast<double>(bytes) * static_cast<double>(total - bytes);
    info("{:.1f} of {:.1f} GB written, {:.0f} s left", static_cast<double>(bytes) / 1e9,
         static_cast<double>(total) / 1e9, left);
  }
  double seconds() const { return now_seconds() - start_; }

 private:
  double start_ = now_seconds(), last_ = start_;
};

void print_tensor(const WrittenTensor& tensor) {
  fmt::print("{:<44} {:<18} {:>7} -> {:<7} {:>14} {:>10.2e}{}\n", tensor.name,
             fmt::format("[{}]", fmt::join(tensor.shape, ", ")), block_format_name(tensor.stored),
             block_format_name(tensor.format), tensor.bytes, tensor.error.relative(),
             tensor.is_fallback ? "  rows are no whole blocks" : "");
}

void run(const Arguments& a, std::optional<QuantizationType> type) {
  const ModelSource source = ModelSource::open(a.input);
  ProgressLog progress;
  int64_t written = 0;
  ConversionOptions options;
  options.type = type;
  options.on_tensor = [&](const WrittenTensor& tensor, int64_t bytes, int64_t total) {
    print_tensor(tensor);
    progress.show(bytes, total);
    written = bytes;
  };
  fmt::print("{:<44} {:<18} {:>7}    {:<7} {:>14} {:>10}\n", "tensor", "shape", "was", "is",
             "bytes", "error");
  convert_model(source, a.output, options);
  info("{}: {:.3f} GB of weights, written and read again in {:.1f} s", a.output,
       static_cast<double>(written) / 1e9, progress.seconds());
}

void add_files(CLI::App& command, Arguments& a) {
  command.add_option("input", a.input, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  command.add_option("output", a.output, "NAME.gguf, or a folder for a Hugging Face directory")
      ->required();
}

}  // namespace

void add_convert_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("convert", "Hugging Face directory to GGUF file and back");
  add_files(*command, *a);
  command->add_option("--dtype", a->type, "f32, bf16 or f16 (default: as the input has it)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  command->callback([a] {
    run(*a, a->type.empty() ? std::nullopt : std::optional(parse_quantization(a->type)));
  });
}

void add_quantize_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("quantize", "A model in fewer bits");
  add_files(*command, *a);
  command
      ->add_option("--type", a->type,
                   "q8_0, q6_k, q4_k_m, q4_k, q4_0 (GGUF), fp8 (directory), bf16, f16, f32")
      ->required();
  command->callback([a] { run(*a, parse_quantization(a->type)); });
}

}  // namespace minke
