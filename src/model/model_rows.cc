#include "model/model_rows.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/blocks.h"

namespace minke {
namespace {

std::string half_of_kv_b(const std::string& kv_b, const char* half) {
  return kv_b.substr(0, kv_b.rfind("kv_b_proj")) + half + "_proj.weight";
}

bool is_kv_b(const std::string& name) { return name.ends_with("self_attn.kv_b_proj.weight"); }

// in [rows, columns] to out [columns, rows].
void transpose(const float* in, int64_t rows, int64_t columns, float* out) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out[c * rows + r] = in[r * columns + c];
}

StoredMatrix k_b(const ModelSource& source, const std::string& kv_b) {
  const ModelConfig& c = source.config();
  const std::vector<int64_t> shape = {c.num_attention_heads * c.kv_lora_rank, c.qk_nope_head_dim};
  return source.get(half_of_kv_b(kv_b, "k_b"), shape);
}

StoredMatrix v_b(const ModelSource& source, const std::string& kv_b) {
  const ModelConfig& c = source.config();
  const std::vector<int64_t> shape = {c.num_attention_heads * c.v_head_dim, c.kv_lora_rank};
  return source.get(half_of_kv_b(kv_b, "v_b"), shape);
}

StoredMatrix whole_kv_b(const ModelSource& source, const std::string& name) {
  const ModelConfig& c = source.config();
  const std::vector<int64_t> shape = {c.num_attention_heads * (c.qk_nope_head_dim + c.v_head_dim),
                                      c.kv_lora_rank};
  return source.get(name, shape);
}

// kv_b from its halves: of each head the key rows, which k_b has transposed, then the value rows.
RowSource joined_kv_b(const ModelSource& source, const std::string& name) {
  const ModelConfig& c = source.config();
  const int64_t rank = c.kv_lora_rank, nope = c.qk_nope_head_dim, v = c.v_head_dim;
  const StoredMatrix keys = k_b(source, name), values = v_b(source, name);
  return {c.num_attention_heads * (nope + v), rank, nope + v,
          [=](int64_t begin, int64_t end, float* out) {
            std::vector<float> head(static_cast<size_t>(rank * nope));
            for (int64_t h = begin / (nope + v); h < end / (nope + v); ++h) {
              dequantize_rows(keys, h * rank, (h + 1) * rank, head.data());
              transpose(head.data(), rank, nope, out);
              dequantize_rows(values, h * v, (h + 1) * v, out + nope * rank);
              out += (nope + v) * rank;
            }
          }};
}

// k_b [heads * kv_lora, nope] out of kv_b.
RowSource transposed_keys(const ModelConfig& c, const StoredMatrix& kv_b) {
  const int64_t rank = c.kv_lora_rank, nope = c.qk_nope_head_dim, height = nope + c.v_head_dim;
  return {c.num_attention_heads * rank, nope, rank, [=](int64_t begin, int64_t end, float* out) {
            std::vector<float> head(static_cast<size_t>(nope * rank));
            for (int64_t h = begin / rank; h < end / rank; ++h, out += rank * nope) {
              dequantize_rows(kv_b, h * height, h * height + nope, head.data());
              transpose(head.data(), nope, rank, out);
            }
          }};
}

std::vector<int32_t> value_rows(const ModelConfig& c) {
  std::vector<int32_t> order;
  for (int64_t h = 0; h < c.num_attention_heads; ++h)
    for (int64_t i = 0; i < c.v_head_dim; ++i)
      order.push_back(
          static_cast<int32_t>(h * (c.qk_nope_head_dim + c.v_head_dim) + c.qk_nope_head_dim + i));
  return order;
}

// A matrix of the model, or a vector as one column.
StoredMatrix upright(const ModelSource& source, const std::string& name,
                     const std::vector<int64_t>& shape) {
  StoredMatrix matrix = source.get(name, shape);
  if (shape.size() == 1 && matrix.rows == 1 && block_elements(matrix.format) == 1 && !matrix.scales)
    std::swap(matrix.rows, matrix.columns);
  return matrix;
}

// Row f of the file is the row of Hugging Face's matrix that gguf_row_order sends to f.
RowSource permuted(StoredMatrix matrix, int64_t heads) {
  if (matrix.row_order) {  // from such a file
    matrix.row_order = nullptr;
    return RowSource({matrix});
  }
  const std::vector<int32_t> order = gguf_row_order(matrix.rows, heads);
  std::vector<int32_t> inverse(order.size());
  for (size_t r = 0; r < order.size(); ++r) inverse[order[r]] = static_cast<int32_t>(r);
  return RowSource({matrix}, std::move(inverse));
}

// Of one of the sources of a planned tensor.
std::vector<int64_t> source_shape(const GgufTensorPlan& plan) {
  if (plan.form == GgufForm::expert) return {plan.shape[1], plan.shape[2]};
  return plan.shape;
}

}  // namespace

RowSource parameter_rows(const ModelSource& source, const Parameter& parameter) {
  const std::string& name =
      parameter.kind == ParameterKind::tied ? parameter.tied_to : parameter.name;
  if (is_kv_b(name) && !source.contains(name)) return joined_kv_b(source, name);
  return RowSource({upright(source, name, parameter.shape)});
}

RowSource gguf_tensor_rows(const ModelSource& source, const GgufTensorPlan& plan) {
  const std::string& first = plan.sources[0];
  if (plan.form == GgufForm::k_b || plan.form == GgufForm::v_b) {
    const bool is_key = plan.form == GgufForm::k_b;
    if (!source.contains(first))
      return RowSource({is_key ? k_b(source, first) : v_b(source, first)});
    const StoredMatrix whole = whole_kv_b(source, first);
    return is_key ? transposed_keys(source.config(), whole)
                  : RowSource({whole}, value_rows(source.config()));
  }
  std::vector<StoredMatrix> matrices;
  matrices.reserve(plan.sources.size());
  for (const std::string& name : plan.sources)
    matrices.push_back(upright(source, name, source_shape(plan)));
  if (plan.form == GgufForm::permuted) return permuted(matrices[0], plan.heads);
  return RowSource(std::move(matrices));
}

BlockFormat stored_format(const ModelSource& source, const std::string& name) {
  const auto matrix = source.find(name);
  if (matrix) return matrix->format;
  if (is_kv_b(name)) return k_b(source, name).format;
  fail("{}: tensor '{}' is missing", source.where(), name);
}

BlockFormat stored_format(const ModelSource& source, const GgufTensorPlan& plan) {
  const std::string& first = plan.sources[0];
  if (plan.form == GgufForm::v_b && !source.contains(first)) return v_b(source, first).format;
  return stored_format(source, first);
}

}  // namespace minke
