#include "plan/stored_weights.h"

#include "base/error.h"

namespace minke {
namespace {

int64_t round_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Bits of an element, whether scales have two levels, minima, and elements that share a scale.
struct IntegerLayout {
  int64_t bits;
  bool two_levels, mins;
  int64_t group;
};

IntegerLayout integer_layout(BlockFormat format) {
  switch (format) {
    case BlockFormat::q4_0:
    case BlockFormat::iq4_nl:
      return {4, false, false, 32};
    case BlockFormat::q4_1:
      return {4, false, true, 32};
    case BlockFormat::q5_0:
    case BlockFormat::q8_0:
      return {8, false, false, 32};
    case BlockFormat::q5_1:
      return {8, false, true, 32};
    case BlockFormat::q4_k:
      return {4, true, true, 32};
    case BlockFormat::iq4_xs:
      return {4, true, false, 32};
    case BlockFormat::q5_k:
      return {8, true, true, 32};
    case BlockFormat::q2_k:
      return {8, true, true, 16};
    default:
      return {8, true, false, 16};  // Q3_K, Q6_K
  }
}

// A panel of 16 rows and up to 256 columns, with its scales.
int64_t chunk_bytes(const IntegerLayout& layout, int64_t columns) {
  constexpr int64_t panel = 16, f16 = 2;
  const int64_t arrays = layout.mins ? 2 : 1;
  const int64_t scales = layout.two_levels ? f16 + columns / layout.group : f16 * columns / 32;
  return round_to(panel * (columns * layout.bits / 8 + arrays * scales), 64);
}

bool is_mtp(const Parameter& parameter, const ModelConfig& config) {
  const std::string prefix = "model.layers.";
  return parameter.name.starts_with(prefix) &&
         std::stoll(parameter.name.substr(prefix.size())) >= config.num_hidden_layers;
}

}  // namespace

bool StoredWeight::is_vector() const {
  return kind == ParameterKind::norm || kind == ParameterKind::bias ||
         kind == ParameterKind::buffer;
}

bool StoredWeight::is_expert() const { return name.find(".mlp.experts.") != std::string::npos; }

bool StoredWeight::is_key_value() const {
  return name.ends_with(".kv_b_proj.weight") || name.ends_with(".k_b_proj.weight") ||
         name.ends_with(".v_b_proj.weight");
}

bool is_integer_format(BlockFormat format) { return block_elements(format) > 1; }

int64_t packed_bytes(BlockFormat format, bool f32, int64_t rows, int64_t columns) {
  const int64_t padded = round_to(rows, 16);
  if (f32) return 4 * padded * columns;
  if (!is_integer_format(format)) return 2 * padded * round_to(columns, 32);
  constexpr int64_t chunk = 256;
  const IntegerLayout layout = integer_layout(format);
  const int64_t rest = columns % chunk;
  return padded / 16 *
         (columns / chunk * chunk_bytes(layout, chunk) + (rest ? chunk_bytes(layout, rest) : 0));
}

std::vector<StoredWeight> weights_in(const ModelConfig& config, BlockFormat format) {
  std::vector<StoredWeight> weights;
  for (const Parameter& parameter : list_parameters(config)) {
    if (parameter.kind == ParameterKind::tied || is_mtp(parameter, config)) continue;
    const int64_t rows = parameter.shape.size() == 1 ? 1 : parameter.shape[0];
    StoredWeight weight{parameter.name, parameter.kind, format, rows, parameter.size() / rows};
    if (weight.is_vector()) weight.format = BlockFormat::f32;
    weights.push_back(std::move(weight));
  }
  return weights;
}

}  // namespace minke
