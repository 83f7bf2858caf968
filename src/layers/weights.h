#pragma once
// layers/: one file per layer, forward beside backward. A layer calls kernels by contract and takes
// its memory from an arena, so it never asks where memory lies; constructed on a counting arena it
// is its own memory plan. May include kernels/, comm/, tensor/, config/ and base/. What must hold:
// the forward pass that the trainer differentiates is the one that the engine serves with.

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/parameters.h"
#include "tensor/arena.h"
#include "tensor/block_format.h"

namespace minke {

// Where the weights of a model that only infers lie: the tensors of a file, or a trainer's memory,
// under Hugging Face's names. Thread-safe for reading.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // A vector is a matrix of one row, or of one column. Nothing if there is no such tensor. What it
  // points to lives as long as the source.
  virtual std::optional<StoredMatrix> find(std::string_view name) const = 0;
  virtual std::string where() const = 0;  // for messages
};

// The f32 storage of a model's parameters, in the order of list_parameters() and without gaps, and
// their gradients if it trains. Layers take views by name. Owns nothing but the list; the arena
// owns the memory. Thread-safe for reading.
class Weights {
 public:
  Weights(const ModelConfig& config, Arena& arena, bool with_gradients);
  // Of another list than a model's own.
  Weights(std::vector<Parameter> parameters, Arena& arena, bool with_gradients);
  // For inference: matrices stay in the source, where stored() finds them; only norms, biases and
  // buffers are copied, by load(). The source must outlive the weights.
  Weights(const ModelConfig& config, Arena& arena, const WeightSource& source);
  void load() const;
  bool stays_in_source() const { return source_ != nullptr; }
  // The matrix (its owner's if it is tied); an Error if it is missing or has another shape.
  StoredMatrix stored(const std::string& name) const;
  // A matrix that only some sources have; its shape is checked.
  std::optional<StoredMatrix> find_stored(const std::string& name, int64_t rows,
                                          int64_t columns) const;

  const std::vector<Parameter>& parameters() const { return parameters_; }

  // The parameter (its owner's storage if it is tied), [out, in] or [n].
  Tensor weight(const std::string& name) const { return view(flat_weights_, {name}); }
  // Several matrices of equal width that lie next to each other, as one: rows one after the other.
  Tensor weight(std::initializer_list<std::string> names) const {
    return view(flat_weights_, names);
  }
  // Its gradient; empty if the weights do not train.
  Tensor gradient(std::initializer_list<std::string> names) const;
  bool contains(const std::string& name) const { return offsets_.contains(name); }

  // The same parameters over other values, such as an average of them: a flat f32 tensor of this
  // size.
  Weights over(const Tensor& flat) const;

  // All parameters that are not tied, one after the other.
  const Tensor& flat_weights() const { return flat_weights_; }
  const Tensor& flat_gradients() const { return flat_gradients_; }
  // Where a parameter begins in the flat tensors, in elements.
  int64_t offset(const std::string& name) const;

 private:
  Tensor view(const Tensor& flat, std::initializer_list<std::string> names) const;
  void lay_out(Arena& arena, bool with_gradients);
  bool is_flat(const Parameter& parameter) const;
  const Parameter& find(const std::string& name) const;

  std::vector<Parameter> parameters_;
  std::map<std::string, size_t> index_;
  std::map<std::string, int64_t> offsets_;
  Tensor flat_weights_, flat_gradients_;
  bool trains_ = false;
  const WeightSource* source_ = nullptr;
};

// A source of f32 weights in memory, such as those of a model in training.
class FlatSource : public WeightSource {
 public:
  explicit FlatSource(const Weights& weights) : weights_(weights) {}
  std::optional<StoredMatrix> find(std::string_view name) const override;
  std::string where() const override { return "the model in memory"; }

 private:
  const Weights& weights_;
};

// Fills all parameters: matrices, embeddings and routers N(0, initializer_range²), norms 1, buffers
// and biases 0. Each has its own random stream, by name, so its values do not depend on what else
// the model has.
void initialize_weights(const Weights& weights, double initializer_range, uint64_t seed);

}  // namespace minke
