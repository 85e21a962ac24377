// What a model file says of its tokenizer: the common form of GGUF metadata and of tokenizer.json.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/types.h"

namespace shardline {

enum class TokenKind : std::uint8_t { normal, control, user_defined, unused, byte };

struct TokenizerSpec {
  std::string model;                // "gpt2": byte-level BPE
  std::string pre_tokenizer;        // smollm, gpt-2, llama-bpe, qwen2, default
  std::vector<std::string> tokens;  // by id, as the file writes them (byte-level alphabet for normal tokens)
  std::vector<TokenKind> kinds;     // by id; control: special; user_defined: added, matched in text, shown in output
  std::vector<std::string> merges;  // "left right", by rank
  TokenId bos = -1, eos = -1, unknown = -1, pad = -1;
  bool add_bos = false;
  bool ignore_merges = false;  // a piece that is a token whole is taken whole (Llama 3)
  std::string chat_template;   // Jinja source; empty: none
};

}  // namespace shardline
