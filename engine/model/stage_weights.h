// A rank's share of the weights, planned first and then packed into one piece of memory.
#pragma once
#include <functional>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/device/worker_team.h"
#include "engine/kernels/packed.h"
#include "engine/model/stage_layout.h"
#include "engine/weights/pack_weights.h"

namespace shardline {

// One input, several matrices, outputs side by side: part i's rows begin at column parts[i].column of the output.
struct Product {
  struct Part {
    PackedMatrix matrix;
    int column;
  };
  std::vector<Part> parts;
  int columns = 0;  // of the output, a multiple of 16
};

struct LayerWeights {
  const float* attn_norm = nullptr;  // (dim)
  const float* ffn_norm = nullptr;   // (dim)
  Product qkv;                       // (queries, keys, values of the rank's heads) x dim
  int key_column = 0, value_column = 0;
  PackedMatrix output;               // dim x (the rank's query heads)
  PackedMatrix gate, up;             // (the rank's columns) x dim
  PackedMatrix down;                 // dim x (the rank's columns)
};

class StageWeights {
 public:
  // Lays out everything without touching weights.
  StageWeights(const ModelFile& file, const StageShape& shape, const StageLayout& layout, Compute compute);

  std::size_t bytes() const { return bytes_; }
  // Fills the memory, sharing the panels among the team, and tells the kernel that the file's pages are not needed.
  void pack(WorkerTeam& team, const std::function<void(double)>& progress);

  const std::vector<LayerWeights>& layers() const { return layers_; }
  const float* output_norm() const { return output_norm_; }
  const PackedMatrix& head() const { return head_; }
  const Tensor* embedding() const { return embedding_; }  // first stage: rows are read from the file as they are needed

 private:
  struct Matrix {  // to be packed
    PackedMatrix* target;
    DType type;
    std::vector<RowSource> rows;
    std::int64_t first_column;
    const InputLayout* layout;
    std::size_t offset;
  };
  struct Vector {
    const float** target;
    const Tensor* tensor;
    std::size_t offset;
  };
  void plan_layer(int index, LayerWeights& layer);
  void plan_vector(const Tensor* tensor, const float** target);
  void plan_matrix(PackedMatrix& target, std::vector<RowSource> rows, std::int64_t first_column, const InputLayout& layout);
  std::vector<RowSource> head_rows(const Tensor* tensor, Run heads, bool rotated) const;

  const ModelFile& file_;
  const StageLayout& layout_;
  const Compute compute_;
  std::vector<LayerWeights> layers_;
  const float* output_norm_ = nullptr;
  PackedMatrix head_;
  const Tensor* embedding_ = nullptr;
  std::vector<Matrix> matrices_;
  std::vector<Vector> vectors_;
  std::size_t bytes_ = 0;
  AlignedBuffer memory_;
};

}  // namespace shardline
