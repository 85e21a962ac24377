// Architectures as data: what a file calls them, which tensors they have, what those are called and how large they must be.
// To add one: a table of tensors and a row in architectures(); new parts of a layer are new roles (weights/model_file.h).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/model/model_config.h"
#include "engine/weights/model_file.h"

namespace shardline {

// Far beyond any model, and small enough for products of two to fit an int64.
inline constexpr int kMaxLayers = 1024, kMaxWidth = 1 << 20, kMaxHeads = 4096, kMaxHeadDim = 4096, kMaxVocab = 1 << 20,
                     kMaxContext = 1 << 28;

enum class Extent { one, dim, ffn, vocab, query, kv };  // query: query_heads * head_dim; kv: kv_heads * head_dim

struct TensorPattern {
  TensorRole role;
  Extent rows, columns;
  std::string_view gguf, hf;  // names; "{}" stands for the layer
  bool per_layer() const { return gguf.find("{}") != std::string_view::npos; }
};

struct Architecture {
  std::string_view name;                 // as in ModelConfig
  std::string_view gguf;                 // general.architecture
  std::span<const std::string_view> hf;  // model_type of config.json
  bool gguf_rows_interleaved = false;    // q and k rows of GGUF files are ordered for rotation of neighbours
  std::span<const TensorPattern> tensors;
  std::span<const std::string_view> gguf_ignored, hf_ignored;  // tensors that hold no weights; any other without a role is an error
};

std::span<const Architecture> architectures();

// Errors: bad_model naming the architecture and listing the known ones.
Result<const Architecture*> find_gguf_architecture(std::string_view name);
Result<const Architecture*> find_hf_architecture(std::string_view model_type);

const Architecture& architecture_of(const ModelConfig& config);

std::string tensor_name(std::string_view pattern, int layer);
std::int64_t extent(const ModelConfig& config, Extent extent);

// Numbers that no single key can vouch for: heads that divide, even rotations, ids inside the vocabulary. Errors: bad_model.
Status check_config(const ModelConfig& config);

}  // namespace shardline
