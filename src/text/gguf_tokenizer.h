#pragma once
// The tokenizer in a GGUF file's metadata (tokenizer.ggml.*).

#include "io/gguf.h"
#include "text/tokenizer.h"

namespace minke {

// Byte-level BPE (tokenizer.ggml.model "gpt2") with a pre-tokenizer of pre_tokenizer_families.h.
// What is missing, damaged or of another kind is an Error that names file and key.
TokenizerDefinition read_gguf_tokenizer(const GgufReader& file);
Tokenizer load_gguf_tokenizer(const GgufReader& file);

// Adds the metadata that read_gguf_tokenizer reads. `vocabulary`: rows of the model's embedding;
// those without a token become unused ones. A pre-tokenizer that no family has is an Error.
void add_gguf_tokenizer(const TokenizerDefinition& definition, int64_t vocabulary,
                        GgufMetadata& metadata);

}  // namespace minke
