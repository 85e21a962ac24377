// What a model is: numbers and a few choices, read from a GGUF header or from config.json.
#pragma once
#include <string>
#include <vector>

#include "engine/base/types.h"

namespace shardline {

enum class RopeScaling { none, linear, llama3, yarn };

struct RopeConfig {
  double theta = 10000;
  int dims = 0;                       // rotated dimensions of a head
  RopeScaling scaling = RopeScaling::none;
  double factor = 1;
  int original_context = 0;           // trained positions before scaling (llama3, yarn)
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  double attention_factor = 0;        // yarn; 0: 0.1 ln(factor) + 1
  std::vector<float> factors;         // one divisor per frequency, from a file's rope_freqs tensor; empty: none
};

struct ModelConfig {
  std::string architecture;  // "llama"
  std::string name;          // for people
  int layers = 0;
  int dim = 0;               // width of the residual stream
  int ffn = 0;               // columns of the feed-forward hidden layer
  int query_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocab = 0;
  int context = 0;           // trained positions
  float norm_epsilon = 1e-5f;
  bool tied_embeddings = false;      // the output head is the embedding matrix
  bool rows_interleaved = false;     // the file's q and k rows are ordered for rotation of neighbours (GGUF llama)
  RopeConfig rope;
  std::vector<TokenId> eos;          // ids that end a generation
  TokenId bos = -1;
};

}  // namespace shardline
