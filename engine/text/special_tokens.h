// Finds tokens that are matched in the text before it is split: the longest that begins at a place, in one walk down a trie.
#pragma once
#include <array>
#include <optional>
#include <string_view>

#include "engine/base/types.h"
#include "engine/text/flat_map.h"
#include "engine/text/tokenizer_spec.h"

namespace shardline {

class SpecialTokens {
 public:
  // The control and user_defined tokens of the vocabulary. Time to search is O(text * longest such token).
  explicit SpecialTokens(const TokenizerSpec& spec);

  struct Match {
    TokenId id;
    std::size_t bytes;
  };
  // The longest token at the beginning of `text`; a control token only within the first `special_bytes`.
  std::optional<Match> match(std::string_view text, std::size_t special_bytes) const;

 private:
  static constexpr std::uint64_t key(std::uint32_t node, char byte) { return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte); }

  struct Node {
    TokenId control = -1, user_defined = -1;  // that ends here
  };
  FlatMap child_;
  std::vector<Node> nodes_;
  std::array<bool, 256> begins_{};  // whether some token begins with the byte
};

}  // namespace shardline
