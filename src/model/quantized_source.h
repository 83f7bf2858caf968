#pragma once
// A model's weights in fewer bits, quantised in memory instead of in a file.

#include <map>
#include <string>
#include <vector>

#include "config/model_config.h"
#include "layers/weights.h"
#include "quant/formats.h"
#include "tensor/arena.h"

namespace minke {

// The matrices that products read, in the formats that `minke quantize` gives them
// (quant/formats.h), from another source, which must outlive this. Norms, biases, the router,
// matrices whose rows are no whole blocks and tables that are only looked up (an embedding that is
// not the head, n-grams) stay as they are there. Owns the quantised bytes. find() is thread-safe.
class QuantizedSource : public WeightSource {
 public:
  // Until refresh() it has formats and sizes without data, which is enough for a memory plan.
  QuantizedSource(const ModelConfig& config, const WeightSource& source, QuantizationType type);

  // Quantises the source's matrices as they are now; what find() pointed to has the new bytes.
  // Parallel inside, the same bytes for any number of threads.
  void refresh();

  int64_t bytes() const { return bytes_; }  // of memory that refresh() takes the first time
  std::optional<StoredMatrix> find(std::string_view name) const override;
  std::string where() const override { return source_.where(); }

 private:
  using Matrices = std::map<std::string, StoredMatrix, std::less<>>;
  // Rows [begin, end) of a matrix: a task.
  struct Piece {
    const Matrices::value_type& of;
    int64_t begin, end;
  };

  void add(const ModelConfig& config, QuantizationType type, const std::string& name);
  void allocate(Arena& arena);
  void quantize(const Piece& piece) const;

  const WeightSource& source_;
  Matrices matrices_;
  std::vector<Piece> pieces_;
  int64_t bytes_ = 0;
  Arena arena_ = Arena::counting();
};

}  // namespace minke
