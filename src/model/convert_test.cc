#include "model/convert.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "model/checkpoint.h"
#include "model/model_rows.h"
#include "model/score.h"

namespace minke {
namespace {

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden";
using Type = QuantizationType;

std::vector<int32_t> some_tokens(int64_t vocabulary) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < 12; ++i) tokens.push_back(static_cast<int32_t>(i * 7 % vocabulary));
  return tokens;
}

// The logits of a dozen tokens.
std::vector<float> logits_of(const fs::path& path, std::optional<DType> compute = {}) {
  LoadOptions options;
  options.compute = compute;
  options.quiet = true;
  options.max_tokens = 16;
  LoadedModel model(path, options);
  std::vector<float> logits;
  score_tokens(model, some_tokens(model.config().vocab_size), [&](const Tensor& rows) {
    logits.insert(logits.end(), rows.as<float>(), rows.as<float>() + rows.size());
  });
  return logits;
}

std::vector<float> values_of(const RowSource& rows) {
  std::vector<float> values(static_cast<size_t>(rows.rows() * rows.columns()));
  rows.read(0, rows.rows(), values.data());
  return values;
}

// Widths of whole and of broken blocks, more than one FP8 block either way, an MTP module, n-grams.
ModelConfig odd_config() {
  ModelConfig c;
  c.vocab_size = 300;
  c.hidden_size = 256;
  c.ngram_vocab_size = 140;
  c.max_ngram_size = 3;
  c.intermediate_size = 288;
  c.moe_intermediate_size = 160;
  c.num_hidden_layers = 3;
  c.num_nextn_predict_layers = 1;
  c.first_k_dense_replace = 1;
  c.num_attention_heads = 3;
  c.n_routed_experts = 4;
  c.num_experts_per_tok = 2;
  c.n_group = c.topk_group = 1;
  c.q_lora_rank = 96;
  c.kv_lora_rank = 64;
  c.qk_nope_head_dim = 40;
  c.qk_rope_head_dim = 8;
  c.v_head_dim = 36;
  c.max_position_embeddings = 64;
  return c;
}

class Convert : public testing::Test {
 protected:
  Convert() { fs::create_directories(folder_); }
  ~Convert() override { fs::remove_all(folder_); }

  fs::path random_model(const ModelConfig& config) const {
    Arena arena = Arena::counting();
    const Weights planned(config, arena, false);
    arena = Arena(arena.used());
    const Weights weights(config, arena, false);
    initialize_weights(weights, 0.05, 9);
    const fs::path path = folder_ / "random";
    fs::create_directories(path);
    save_weights(path, config, weights, DType::bf16);
    return path;
  }

  std::vector<WrittenTensor> convert(const fs::path& input, const char* output,
                                     std::optional<Type> type = {}) const {
    std::vector<WrittenTensor> tensors;
    int64_t last = 0;
    ConversionOptions options;
    options.type = type;
    options.on_tensor = [&](const WrittenTensor& tensor, int64_t bytes, int64_t total) {
      tensors.push_back(tensor);
      EXPECT_EQ(bytes, last + tensor.bytes);
      EXPECT_LE(bytes, total);
      last = bytes;
    };
    convert_model(ModelSource::open(input), folder_ / output, options);
    return tensors;
  }

  std::string error_of(const fs::path& input, const fs::path& output, Type type) const {
    try {
      ConversionOptions options;
      options.type = type;
      convert_model(ModelSource::open(input), output, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-convert-{}", ::getpid());
};

// The same bits: directory, GGUF, and a directory from the GGUF; f32 and bf16.
TEST_F(Convert, KeepsTheScoresOfEveryGoldenModel) {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(golden / "models")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const RopeScaling scaling = ModelSource::open(entry.path()).config().rope_scaling;
    if (scaling.rope_type == RopeType::deepseek_yarn && scaling.factor != 1 &&
        scaling.mscale != scaling.mscale_all_dim) {
      EXPECT_THROW(convert(entry.path(), "x.gguf"), Error);  // GGUF has one number for both
      EXPECT_FALSE(fs::exists(folder_ / "x.gguf"));
      continue;
    }
    const std::vector<float> expected = logits_of(entry.path());
    convert(entry.path(), "a.gguf");
    EXPECT_EQ(logits_of(folder_ / "a.gguf"), expected);
    convert(folder_ / "a.gguf", "a");
    EXPECT_EQ(logits_of(folder_ / "a"), expected);

    convert(entry.path(), "b", Type::bf16);
    const std::vector<float> narrow = logits_of(folder_ / "b");
    EXPECT_NE(narrow, expected);
    convert(folder_ / "b", "b.gguf");
    EXPECT_EQ(logits_of(folder_ / "b.gguf"), narrow);
    ++models;
  }
  EXPECT_GE(models, 13);
}

// Dense, since an expert chosen otherwise would change more than the rounding of weights does.
TEST_F(Convert, EveryTypeStaysWithinItsError) {
  ModelConfig config = odd_config();
  config.first_k_dense_replace = config.num_hidden_layers;
  const fs::path model = random_model(config);
  const std::vector<float> expected = logits_of(model);
  double last = 0;
  for (const auto& [type, bound] : {std::pair(Type::q8_0, 0.01),
                                    {Type::q6_k, 0.025},
                                    {Type::q4_k_m, 0.09},
                                    {Type::q4_0, 0.13}}) {
    SCOPED_TRACE(quantization_name(type));
    double largest = 0;
    for (const WrittenTensor& tensor : convert(model, "q.gguf", type)) {
      EXPECT_LT(tensor.error.relative(), bound) << tensor.name;
      largest = std::max(largest, tensor.error.relative());
      EXPECT_EQ(tensor.is_fallback,
                tensor.shape.size() > 1 && tensor.format != BlockFormat::f32 &&
                    tensor.shape.back() % 256 != 0 &&
                    (type == Type::q4_k_m || type == Type::q6_k || tensor.shape.back() % 32 != 0))
          << tensor.name;
    }
    EXPECT_GT(largest, last);
    last = largest;
    const std::vector<float> logits = logits_of(folder_ / "q.gguf");
    double error = 0, size = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      error += (logits[i] - expected[i]) * (logits[i] - expected[i]);
      size += expected[i] * expected[i];
    }
    EXPECT_LT(std::sqrt(error / size), 4 * bound);
  }
}

// Quantised weights computed from their blocks of FP8, and the same weights as plain numbers.
TEST_F(Convert, Fp8ScoresAsItsPlainNumbersDo) {
  std::vector<fs::path> models = {random_model(odd_config())};
  for (const char* name : {"v3_odd_widths", "v3_three_heads", "qwen3_biases", "llama"})
    models.push_back(golden / "models" / name);
  for (const fs::path& model : models) {
    SCOPED_TRACE(model.filename().string());
    convert(model, "fp8", Type::f8);
    const ModelSource source = ModelSource::open(folder_ / "fp8");
    const auto matrix = source.find("model.layers.0.mlp.down_proj.weight");
    EXPECT_EQ(matrix->format, BlockFormat::f8_e4m3);
    EXPECT_NE(read_file(folder_ / "fp8" / "config.json").find("weight_block_size"),
              std::string::npos);
    convert(folder_ / "fp8", "plain", Type::f32);
    EXPECT_EQ(read_file(folder_ / "plain" / "config.json").find("weight_block_size"),
              std::string::npos);
    for (const DType compute : {DType::f32, DType::bf16}) {
      const std::vector<float> plain = logits_of(folder_ / "plain", compute);
      EXPECT_EQ(logits_of(folder_ / "fp8", compute), plain);
      EXPECT_NE(logits_of(model, compute), plain);
    }
    for (const WrittenTensor& tensor : convert(folder_ / "fp8", "fp8.gguf"))
      EXPECT_NE(tensor.format, BlockFormat::f8_e4m3);
  }
}

TEST_F(Convert, GgufToGgufCopiesBlocksAndMultiTokenPredictionGoesAlong) {
  const fs::path model = random_model(odd_config());
  convert(model, "a.gguf", Type::q4_k_m);
  for (const WrittenTensor& tensor : convert(folder_ / "a.gguf", "b.gguf", Type::q4_k_m))
    EXPECT_EQ(tensor.error.error, 0) << tensor.name;
  EXPECT_EQ(read_file(folder_ / "a.gguf"), read_file(folder_ / "b.gguf"));
  convert(folder_ / "a.gguf", "c");
  const ModelSource file = ModelSource::open(folder_ / "a.gguf"),
                    back = ModelSource::open(folder_ / "c");
  EXPECT_EQ(back.config().num_nextn_predict_layers, 1);
  EXPECT_TRUE(back.contains("model.layers.3.shared_head.head.weight"));
  convert(model, "d.gguf");
  const ModelSource exact = ModelSource::open(folder_ / "d.gguf"), given = ModelSource::open(model);
  for (const Parameter& parameter : list_parameters(given.config()))
    EXPECT_EQ(values_of(parameter_rows(exact, parameter)),
              values_of(parameter_rows(given, parameter)))
        << parameter.name;
}

TEST_F(Convert, AFileKeepsWhatItSaysOfItself) {
  convert(random_model(odd_config()), "a.gguf");
  const GgufReader given(folder_ / "a.gguf");
  GgufMetadata metadata;
  for (const auto& [key, value] : given.metadata()) metadata.add(key, value);
  metadata.add("general.license", "mit");
  metadata.add("general.languages", std::vector<std::string>{"en", "zh"});
  std::vector<GgufDeclaration> declarations;
  for (const auto& [name, tensor] : given.tensors())
    declarations.push_back({name, tensor.format, tensor.shape});
  GgufWriter writer(folder_ / "licensed.gguf", metadata, declarations);
  for (const auto& [name, tensor] : given.tensors())
    writer.write(name, tensor.data.data(), static_cast<int64_t>(tensor.data.size()));
  writer.commit();
  convert(folder_ / "licensed.gguf", "b.gguf", Type::q8_0);
  const GgufReader file(folder_ / "b.gguf");
  EXPECT_EQ(file.string("general.license"), "mit");
  EXPECT_EQ(file.strings("general.languages")->size(), 2u);
  EXPECT_EQ(file.integer("general.file_type"), 7);
}

TEST_F(Convert, TokenizerAndTemplateTravelBothWays) {
  ModelConfig config = odd_config();
  config.vocab_size = 1003;
  const fs::path model = random_model(config);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(golden / "tokenizer_small" / name, model / name);
  write_file(model / "chat_template.jinja", "{{ '<｜User｜>' }}");
  convert(model, "a.gguf");
  const ModelSource file = ModelSource::open(folder_ / "a.gguf");
  EXPECT_EQ(file.chat_template_text(), "{{ '<｜User｜>' }}");
  convert(folder_ / "a.gguf", "back");
  const ModelSource back = ModelSource::open(folder_ / "back");
  const std::string text = "Hello, 中文 1234 <｜User｜> x";
  const auto expected = ModelSource::open(model).tokenizer().encode(text);
  EXPECT_EQ(file.tokenizer().encode(text), expected);
  EXPECT_EQ(back.tokenizer().encode(text), expected);
  EXPECT_EQ(back.chat_template_text(), file.chat_template_text());
  EXPECT_EQ(back.config().eos_token_id, file.tokenizer().eos_id());
  convert(folder_ / "a.gguf", "q8.gguf", Type::q8_0);  // with the three rows that no token has
  EXPECT_EQ(ModelSource::open(folder_ / "q8.gguf").tokenizer().encode(text), expected);
}

TEST_F(Convert, SaysWhatIsWrongAndLeavesNothingBehind) {
  const fs::path model = golden / "models" / "llama";
  const auto expect = [&](const fs::path& output, Type type, const char* part) {
    const std::string message = error_of(model, output, type);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(folder_ / "x.gguf", Type::f8, "GGUF files have no FP8");
  expect(folder_ / "x", Type::q4_0, "ends in .gguf");
  expect(model, Type::bf16, "is the model that is read");
  fs::create_directories(folder_ / "other");
  write_file(folder_ / "other" / "notes.txt", "mine");
  expect(folder_ / "other", Type::bf16, "exists and is no model's folder");
  write_file(folder_ / "other" / "config.json", "{}");  // of another program
  expect(folder_ / "other", Type::bf16, "notes.txt, which would be lost");
  expect(folder_ / "other" / "notes.txt", Type::bf16, "exists and is no folder");
  fs::create_directories(folder_ / "y.gguf");
  expect(folder_ / "y.gguf", Type::bf16, "exists and is no file");
  EXPECT_EQ(read_file(folder_ / "other" / "notes.txt"), "mine");
  const auto entries = std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  EXPECT_EQ(entries, 2);
}

TEST_F(Convert, ValuesThatAreNotFiniteAreNamed) {
  fs::copy(golden / "models" / "llama", folder_ / "bad");
  const SafetensorsReader reader(folder_ / "bad");
  const StoredTensor* norm = reader.find("model.norm.weight");
  std::string file = read_file(folder_ / "bad" / "model.safetensors");
  const std::string_view data(reinterpret_cast<const char*>(norm->data.data()), norm->data.size());
  const size_t at = file.find(data);
  const float infinite = INFINITY;
  std::memcpy(file.data() + at, &infinite, sizeof infinite);
  write_file(folder_ / "bad" / "model.safetensors", file);
  const std::string message = error_of(folder_ / "bad", folder_ / "x", Type::bf16);
  EXPECT_NE(message.find("model.norm.weight"), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

}  // namespace
}  // namespace minke
