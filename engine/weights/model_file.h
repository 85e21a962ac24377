// A model on disk: a GGUF file, or safetensors with config.json. Memory-mapped; nothing is copied or touched beyond headers
// until a tensor's data is read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/dtype.h"
#include "engine/base/result.h"
#include "engine/model/model_config.h"
#include "engine/text/tokenizer_spec.h"

namespace shardline {

// The part a tensor plays. Architectures name their tensors by role (architecture.h), so the engine never sees a file's names.
enum class TensorRole {
  token_embedding,  // (vocab, dim)
  output_norm,      // (dim)
  output,           // (vocab, dim); absent where tied
  attn_norm,        // (dim)
  attn_q,           // (query_heads * head_dim, dim)
  attn_k,           // (kv_heads * head_dim, dim)
  attn_v,           // (kv_heads * head_dim, dim)
  attn_output,      // (dim, query_heads * head_dim)
  ffn_norm,         // (dim)
  ffn_gate,         // (ffn, dim)
  ffn_up,           // (ffn, dim)
  ffn_down,         // (dim, ffn)
};

// A view of one tensor's bytes in the mapping. Row-major: `columns` is the fastest dimension; a vector has rows 1.
struct Tensor {
  std::string name;  // the file's own
  DType dtype = DType::f32;
  std::int64_t rows = 1;
  std::int64_t columns = 0;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::size_t row_bytes() const { return bytes / static_cast<std::size_t>(rows); }
};

class ModelFile {
 public:
  // `path`: a .gguf file, a .safetensors file beside its config.json, or a folder with either (a folder of safetensors may
  // hold an index of several files). Errors: not_found; bad_model naming the key or tensor and the offset.
  static Result<ModelFile> open(const std::string& path);

  ModelFile(ModelFile&&) noexcept;
  ModelFile& operator=(ModelFile&&) noexcept;
  ~ModelFile();

  const ModelConfig& config() const;
  std::span<const Tensor> tensors() const;                           // in the file's order
  const Tensor* find(TensorRole role, int layer = -1) const;         // nullptr where absent; shapes are checked by open()
  const TokenizerSpec* tokenizer() const;                            // nullptr: the model speaks token ids
  std::string format() const;                                        // "GGUF v3", "safetensors"
  std::uint64_t fingerprint() const;                                 // of sizes, header and tensor table: equal files agree

  // Tells the kernel that a tensor's pages are not needed for now.
  void release(const Tensor& tensor) const;

 private:
  struct Impl;
  explicit ModelFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline
