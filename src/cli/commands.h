#pragma once
// cli/: the subcommands of `minke`, one file each: argument parsing and one call. Each adds itself
// to the program and throws Error from its callback when its work fails.

namespace CLI {
class App;
}

namespace minke {

void add_tokenizer_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_ledger_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_grpo_command(CLI::App& app);
void add_sft_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_distill_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_serve_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_eval_command(CLI::App& app);

}  // namespace minke
