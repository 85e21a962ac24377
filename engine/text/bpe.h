// Byte-pair encoding (Sennrich et al. 2016): the lowest-ranked neighbouring pair merges first, the leftmost where ranks are equal.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/text/flat_map.h"
#include "engine/text/tokenizer_spec.h"

namespace shardline {

class Bpe {
 public:
  // The memory that one thread reuses from piece to piece.
  struct Scratch {
    struct Symbol {
      TokenId id;  // -1: merged into the one before
      std::int32_t previous, next;
    };
    std::vector<Symbol> symbols;
    std::vector<std::uint64_t> heap;
  };

  // Errors: bad_model naming the merge whose parts or result are not in the vocabulary.
  static Result<Bpe> create(const TokenizerSpec& spec);

  // Appends the tokens of `bytes`. O(n log n). Bytes that the vocabulary has no token for are left out, as Hugging Face does.
  void encode(std::string_view bytes, std::vector<TokenId>& out, Scratch& scratch) const;

 private:
  struct Merge {
    TokenId left, right, merged;
  };
  Bpe(std::array<TokenId, 256> byte_tokens, std::vector<Merge> merges);
  void offer(Scratch& scratch, std::int32_t left) const;

  std::array<TokenId, 256> byte_tokens_;
  std::vector<Merge> merges_;  // by rank
  FlatMap rank_;               // of a pair of tokens
};

}  // namespace shardline
