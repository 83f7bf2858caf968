#pragma once
// Matrix products alone: those of training, and those with the weights of a model file.

#include <string>

namespace minke {

// Times the bf16 products of a preset's layers ("12m" or "107m"; another name is an Error) for a
// step of 8 × 256 tokens and prints their rates as fractions of the measured peak.
void bench_gemm(const std::string& preset, bool json);

// Times products with weights in block formats, of the sizes of DeepSeek-V2-Lite's layers: one row
// by weights that no cache holds as a fraction of the measured memory bandwidth, 512 rows and 64
// experts of 48 as a fraction of the measured peak of int8 (of bf16 for plain weights), and
// packing.
void bench_stored_gemm(bool json);

}  // namespace minke
