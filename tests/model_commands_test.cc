// minke inspect, convert, quantize, eval and bench through the program, on a tiny model with every
// kind of layer.

#include <nlohmann/json.hpp>

#include "tiny_model.h"

namespace minke {
namespace {

using Json = nlohmann::json;

class ModelCommands : public TinyModelTest {
 protected:
  ModelCommands() { write_file(folder_ / "text", "12 ships and 36 whales in the sea, 5 seen"); }

  Json json(const std::string& arguments) const {
    return Json::parse(succeeds(arguments + " --json").out);
  }
  double perplexity(const std::string& model) const {
    return json("eval " + model + " --task ppl --file text")["perplexity"];
  }
};

TEST_F(ModelCommands, InspectTellsWhatThereIs) {
  const Json directory = json("inspect run --context 256");
  succeeds("convert run model.gguf");
  const Json file = json("inspect model.gguf --context 256");
  for (const Json& told : {directory, file}) {
    EXPECT_EQ(told["architecture"], "deepseek_v3") << told;
    EXPECT_EQ(told.at("memory").at("context"), 256);
    EXPECT_EQ(told.at("memory").at("fits"), true);
  }
  EXPECT_EQ(directory.at("parameters"), file.at("parameters"));
  EXPECT_NE(succeeds("inspect run --tensors").out.find("kv_a_proj_with_mqa"), std::string::npos);
  fails("inspect run --context 4096", 2, "512");
  fails("inspect nowhere", 1, "nowhere");
}

// There and back again is what it was, and both forms say the same.
TEST_F(ModelCommands, ConvertLosesNothing) {
  const std::string tokens = "score run --text 'ships and whales'";
  const std::string scores = succeeds(tokens).out;
  succeeds("convert run model.gguf");
  succeeds("convert model.gguf back");
  EXPECT_EQ(succeeds("score model.gguf --text 'ships and whales'").out, scores);
  EXPECT_EQ(succeeds("score back --text 'ships and whales'").out, scores);
  fails("convert nowhere new.gguf", 1, "nowhere");
  EXPECT_FALSE(fs::exists(folder_ / "new.gguf"));
}

TEST_F(ModelCommands, RecommendedSamplingComesAlong) {
  succeeds("convert run folder");
  write_file(folder_ / "folder/generation_config.json",
             R"({"do_sample": true, "temperature": 0.25, "top_k": 7, "eos_token_id": 1})");
  succeeds("convert folder model.gguf");
  write_file(folder_ / "lines", "/set\n");
  for (const char* model : {"folder", "model.gguf"}) {
    const Outcome outcome = shell(fmt::format("$minke chat {} <lines", model));
    EXPECT_NE(outcome.err.find("temperature 0.25"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("top_k 7"), std::string::npos) << outcome.err;
  }
  succeeds("convert model.gguf back");
  const Json back = Json::parse(read_file(folder_ / "back/generation_config.json"));
  EXPECT_EQ(back, (Json{{"temperature", 0.25}, {"top_k", 7}}));
}

TEST_F(ModelCommands, QuantizeSaysWhatItCosts) {
  const double before = perplexity("run");
  for (const char* type : {"q8_0", "q6_k", "q4_k_m", "q4_0"}) {
    const std::string file = fmt::format("{}.gguf", type);
    succeeds(fmt::format("quantize run {} --type {}", file, type));
    EXPECT_NEAR(perplexity(file) / before, 1.0, 0.1) << type;
    EXPECT_EQ(run(fmt::format("--quiet generate {} -p Sea -n 4", file)).code, 0);
  }
  succeeds("quantize run fp8 --type fp8");
  EXPECT_NEAR(perplexity("fp8") / before, 1.0, 0.05);
  fails("quantize run a.gguf --type q9", 2, "q9");
  EXPECT_FALSE(fs::exists(folder_ / "a.gguf"));
}

TEST_F(ModelCommands, EvalCountsRightAnswers) {
  write_file(folder_ / "questions",
             R"({"question": "12 ships and", "choices": ["36 whales", "@@ ^^"], "answer": 0}
{"question": "30 whales in the", "choices": ["%$ #", "sea"], "answer": 1}
)");
  const Json result = json("eval run --task choice --file questions");
  EXPECT_EQ(result["questions"], 2);
  EXPECT_GE(result["accuracy"].get<double>(), 0.0);
  EXPECT_LE(result["accuracy"].get<double>(), 1.0);
  write_file(folder_ / "broken", R"({"question": "12", "answer": 0})");
  fails("eval run --task choice --file broken", 1, "broken:1");
  fails("eval run --task ppl --file nowhere", 1, "nowhere");
}

// xz writes at least a header of 32 bytes about so short a text.
TEST_F(ModelCommands, EvalAsksManyAtOnce) {
  const std::string call = "eval run --task addition --problems 3 --samples 2 --max-tokens 4";
  EXPECT_EQ(json(call + " --parallel 300")["pass_at_1"], json(call)["pass_at_1"]);
  fails("eval nowhere --task addition --output .", 1, "it is a folder");  // before anything else
}

TEST_F(ModelCommands, EvalStandsBesideCompressors) {
  const Json result = json("eval run --task ppl --file text --compressors");
  const double bits_of_header = 32.0 * 8 / result["bytes"].get<double>();
  EXPECT_GT(result["xz_bits_per_byte"], bits_of_header);
  EXPECT_GT(result["gzip_bits_per_byte"], 0.0);
  EXPECT_FALSE(json("eval run --task ppl --file text").contains("xz_bits_per_byte"));
}

// The parts of a profile add up to the steps.
TEST_F(ModelCommands, BenchTellsWhereTheTimeOfPromptsAndStepsWent) {
  for (const char* command : {"bench prefill run --tokens 20 --repeat 2 --profile",
                              "bench decode run --tokens 3 --context 5 --profile"}) {
    const Json result = json(command);
    const Json& profile = result["profile"];
    EXPECT_GT(result["tokens_per_second"], 0.0);
    EXPECT_GT(result["limit_fraction"], 0.0);
    double seconds = profile["seconds_between_operations"];
    for (const Json& operation : profile["operations"])
      seconds += operation["seconds"].get<double>();
    EXPECT_NEAR(seconds, profile["seconds"], 1e-9) << command;
    EXPECT_GE(profile["seconds_between_operations"], 0.0);
  }
}

TEST_F(ModelCommands, BenchMeasuresRolloutsBesideDecoding) {
  for (const char* form : {"", " --fast", " --fast --quantization q8_0"}) {
    const Json result = json(
        std::string("bench rollout run --answers 5 --group 2 --prompt-tokens 3 --tokens 4") + form);
    EXPECT_GT(result["rollout_tokens_per_second"], 0.0);
    EXPECT_GT(result["ratio"], 0.0);
    EXPECT_EQ(result["mode"], *form ? "fast" : "exact");
    EXPECT_EQ(result["quantization"], std::string(form).ends_with("q8_0") ? "q8_0" : "none");
  }
  fails("bench rollout run --quantization q8_0", 2, "--fast");
  fails("bench rollout run --tokens 1000000", 2, "512");
}

// Scores of 4,096 queries by as many keys would take 32 MiB for each head.
TEST_F(ModelCommands, BenchMeasuresAttentionInLinearMemory) {
  const Json result = json("bench attention --tokens 4096,64");
  const Json &shorter = result["lengths"][0], &longer = result["lengths"][1];
  EXPECT_EQ(shorter["sequences"], 32);
  EXPECT_EQ(longer["sequences"], 1);
  EXPECT_EQ(longer["planned_bytes"], 2 * shorter["planned_bytes"].get<int64_t>());
  for (const Json& length : {shorter, longer}) {
    EXPECT_GT(length["forward_flops"], 0.0);
    EXPECT_GT(length["backward_flops"], 0.0);
    EXPECT_LT(length["peak_bytes"], 2 * length["planned_bytes"].get<int64_t>());
  }
  fails("bench attention --preset r1-0528-qwen3-8b", 2, "latent");
}

// Anything that grew with the square of the length would take a gigabyte.
TEST_F(ModelCommands, LongSequencesTrainInTheMemoryPlanned) {
  std::string text;
  for (int i = 0; i < 2000; ++i)
    text += fmt::format("{{\"text\": \"{} ships and {} whales in the sea\"}}\n", i, 3 * i);
  write_file(folder_ / "long.jsonl", text);
  succeeds(
      "data prepare --input long.jsonl --tokenizer tokenizer --output long --near-duplicates off "
      "--validation-fraction 0.4");
  for (const int length : {4096, 16384}) {
    succeeds(
        fmt::format("train recipe.toml --set output=of{0} --set data.path=long "
                    "--set data.sequence_length={0} --set model.max_position_embeddings={0} "
                    "--set batch.sequences=1 --set batch.micro_batch=1 "
                    "--set total_tokens={0}",
                    length));
    const Json ledger = Json::parse(read_file(folder_ / fmt::format("of{}/ledger.json", length)));
    const double planned = ledger["planned_memory_bytes"], peak = ledger["peak_memory_bytes"];
    EXPECT_LT(peak, 1.2 * planned) << length;
    EXPECT_LT(planned, 4e7 + 5e3 * length) << length;
  }
}

}  // namespace
}  // namespace minke
