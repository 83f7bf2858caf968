#pragma once
// A model from one form of file to another: Hugging Face directories and GGUF files, in the formats
// of quant/formats.h.

#include <functional>
#include <optional>

#include "model/model_source.h"
#include "quant/formats.h"
#include "quant/rows.h"

namespace minke {

// A tensor that was written.
struct WrittenTensor {
  std::string name;  // in the file
  std::vector<int64_t> shape;
  BlockFormat stored, format;  // before and now
  bool is_fallback = false;    // its rows are no whole blocks of the format that was meant
  int64_t bytes = 0;           // with its scales
  SquaredError error;          // of what was written against what was stored
};

struct ConversionOptions {
  // Nothing: each tensor as it is stored, FP8 as BF16; in a directory f32 if the model is stored as
  // f32, otherwise bf16.
  std::optional<QuantizationType> type;
  // Called after each tensor, with the bytes written so far and those of the whole model.
  std::function<void(const WrittenTensor& tensor, int64_t bytes, int64_t total)> on_tensor;
};

// Writes a GGUF file if the output's name ends in .gguf, otherwise a Hugging Face directory, with
// tokenizer and chat template. Then reads it again, compares every parameter with the source's and
// only then lets it appear. MTP modules go along. Memory: some ten megabytes beside the mapped
// files. Usage Errors: a type that the form of file cannot hold, an output that exists and is no
// model. A model that GGUF has no place for, and values that are not finite, are Errors.
void convert_model(const ModelSource& source, const fs::path& output,
                   const ConversionOptions& options);

// Tokenizer, chat template and recommended sampling as a Hugging Face directory has them, into a
// folder that exists.
void write_tokenizer_files(const ModelSource& source, const fs::path& folder);

// The same in RUN/tokenizer/, written the first time, for a run's checkpoints; its files.
std::vector<fs::path> run_tokenizer_files(const ModelSource& source, const fs::path& run);

}  // namespace minke
