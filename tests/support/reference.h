// Outputs that Hugging Face transformers computed for a model of tests/data/models, in float32.
#pragma once
#include <string>
#include <vector>

#include "engine/base/types.h"

namespace shardline::test {

// What a reference.safetensors holds; what it lacks is empty.
struct Reference {
  std::vector<TokenId> input_ids;       // (tokens)
  std::vector<TokenId> greedy_ids;      // what follows them
  std::vector<float> logits;            // (tokens, vocab) after each prefix
  std::vector<float> entropy;           // (layers, heads, tokens) of the attention
  std::vector<float> first_token_mass;  // (layers, heads, tokens)
  std::vector<float> hidden_norm;       // (layers + 1, tokens) before each layer; the last after the final norm
};

// Throws std::runtime_error where the file cannot be read.
Reference read_reference(const std::string& path);

}  // namespace shardline::test
