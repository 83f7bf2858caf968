// The program: global options, the list of subcommands, and how errors end it.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "base/error.h"
#include "base/log.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "config/nearest.h"
#include "kernels/isa.h"
#include "ledger/version.h"

namespace minke {
namespace {

struct GlobalOptions {
  int threads = 0;  // 0: what the machine grants
  bool quiet = false;
  std::string log_level = "info";
};

// An instruction set that cannot run here is an error of every command.
void apply(const GlobalOptions& options) {
  set_up_log(options.quiet ? "error" : options.log_level);
  if (options.threads > 0) set_thread_count(options.threads);
  if (const Isa isa = active_isa(); isa == Isa::reference || isa == Isa::portable)
    warn("computing with {} code, which is slow; AVX2 or better is many times faster",
         isa_name(isa));
}

void add_global_options(CLI::App& app, GlobalOptions& options) {
  constexpr int most_threads = 1024;
  app.add_option("--threads", options.threads,
                 "Threads (default: the cores that this process may use)")
      ->check(CLI::Range(1, most_threads));
  app.add_flag("--quiet", options.quiet, "Report errors only");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off");
  app.set_version_flag("--version",
                       fmt::format("minke {} ({})", program_version(), code_version()));
  app.footer("Every command also takes --threads N, --quiet, --log-level LEVEL and --help.");
  app.fallthrough();  // the options above may stand after a subcommand's name
  app.parse_complete_callback([&options] { apply(options); });
}

void add_commands(CLI::App& app) {
  add_tokenizer_command(app);
  add_data_command(app);
  add_train_command(app);
  add_grpo_command(app);
  add_sft_command(app);
  add_run_command(app);
  add_report_command(app);
  add_distill_command(app);
  add_generate_command(app);
  add_chat_command(app);
  add_serve_command(app);
  add_score_command(app);
  add_inspect_command(app);
  add_convert_command(app);
  add_quantize_command(app);
  add_eval_command(app);
  add_plan_command(app);
  add_ledger_command(app);
  add_bench_command(app);
}

// "unknown command 'trian', did you mean 'train'?", or "" when the commands in `args` exist.
std::string unknown_command(CLI::App& app, const std::vector<std::string>& args) {
  CLI::App* command = &app;
  for (const std::string& word : args) {
    if (word.starts_with("-")) return "";
    std::vector<std::string> names;
    for (const CLI::App* sub :
         command->get_subcommands([](CLI::App* s) { return !s->get_name().empty(); }))
      names.push_back(sub->get_name());
    if (names.empty()) return "";
    if (std::find(names.begin(), names.end(), word) == names.end())
      return fmt::format("unknown command '{}', did you mean '{}'?", word, nearest(word, names));
    command = command->get_subcommand(word);
  }
  return "";
}

int report(std::string_view message, ExitCode code) {
  fmt::print(stderr, "error: {}\n", message);
  return static_cast<int>(code);
}

int report_call(const CLI::ParseError& error, CLI::App& app, const std::vector<std::string>& args) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
  const std::string unknown = unknown_command(app, args);
  const std::string what = unknown.empty() ? std::string(error.what()) : unknown;
  return report(what + "; --help tells what is", ExitCode::usage);
}

int run(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  CLI::App app("Minke: a language model from text to server, after DeepSeek's recipe", "minke");
  GlobalOptions options;
  add_global_options(app, options);
  app.require_subcommand(1);
  add_commands(app);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) fail("cannot write to standard output");
    return static_cast<int>(ExitCode::done);
  } catch (const CLI::ParseError& error) {
    return report_call(error, app, args);
  } catch (const Error& error) {
    return report(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report("out of memory", ExitCode::failed);
  } catch (const std::exception& error) {
    return report(error.what(), ExitCode::failed);
  }
}

}  // namespace
}  // namespace minke

int main(int argc, char** argv) { return minke::run(argc, argv); }
