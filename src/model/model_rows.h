#pragma once
// The rows of a model's parameters, whatever its files are, and those of the tensors that a GGUF
// file is to have.

#include "config/parameters.h"
#include "model/gguf_names.h"
#include "model/model_source.h"
#include "quant/rows.h"

namespace minke {

// The parameter as config/parameters.h lists it; a vector is a matrix of one column. Of a file that
// has k_b and v_b, kv_b_proj is put together. A missing tensor or one of another shape is an Error
// that names it. The source must outlive the result.
RowSource parameter_rows(const ModelSource& source, const Parameter& parameter);

// The tensor as gguf_names.h plans it, its matrices one below the other.
RowSource gguf_tensor_rows(const ModelSource& source, const GgufTensorPlan& plan);

// The format in which the files have a parameter, or the first one of a planned tensor's. Of kv_b
// in halves: of the half, or of k_b.
BlockFormat stored_format(const ModelSource& source, const std::string& name);
BlockFormat stored_format(const ModelSource& source, const GgufTensorPlan& plan);

}  // namespace minke
