#pragma once
// kernels/: the arithmetic. ref/ is scalar and the truth, cpu/ is fast, and a contract in a header
// here is what both keep. The only folder with intrinsics. May include tensor/ and base/. What must
// hold: a result depends on shapes and inputs alone (never on the number of threads), and a row of
// a result does not depend on the other rows of the batch.

#include <string_view>
#include <vector>

namespace minke {

// Implementations, slowest first. Each runs on the CPUs that have the ones before it, but for
// `reference`, which is the scalar truth and `portable`, which is plain C++.
enum class Isa { reference, portable, avx2, avx512, avx512_bf16, amx };

std::string_view isa_name(Isa isa);

// Those that this CPU (and kernel: AMX needs its permission) can run.
const std::vector<Isa>& supported_isas();

// The implementation in use: $MINKE_ISA if set (an Error if unknown or not supported here),
// otherwise the best that is supported.
Isa active_isa();

// Whether the implementation in use has instructions for products of bf16. Others widen the
// operands to f32 first, and what is f32 anyway had better stay so.
inline bool has_bf16_products() { return active_isa() >= Isa::avx512_bf16; }

// Chooses another one; for tests and benchmarks. Not while kernels run.
void set_active_isa(Isa isa);

}  // namespace minke
