// Text to token ids and back. Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019).
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/text/tokenizer_spec.h"

namespace shardline {

// A piece of text and whether special tokens written in it count as such. The pieces of one call are joined before they are split
// into words, so a border between pieces changes nothing else.
struct TextPiece {
  std::string text;
  bool parse_special = true;
};

// Immutable once created; any number of threads may use it.
class Tokenizer {
 public:
  // Errors: bad_model naming the part that is unknown or broken.
  static Result<Tokenizer> create(TokenizerSpec spec);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Does not add BOS (see spec().add_bos). Any bytes are accepted; time is O(n log n).
  std::vector<TokenId> encode(std::string_view text, bool parse_special = true) const;
  std::vector<TokenId> encode(std::span<const TextPiece> pieces) const;

  // The bytes of one token, which may be part of a UTF-8 character. Control tokens give their text only where `special`.
  std::string_view bytes(TokenId id, bool special = true) const;
  std::string decode(std::span<const TokenId> ids, bool special = true) const;

  int vocab() const;
  bool is_control(TokenId id) const;
  const TokenizerSpec& spec() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Token by token to text that never ends inside a UTF-8 character. Invalid bytes become U+FFFD.
class IncrementalDecoder {
 public:
  explicit IncrementalDecoder(const Tokenizer& tokenizer, bool special = false) : tokenizer_(&tokenizer), special_(special) {}
  std::string push(TokenId id);  // the text that became complete
  std::string finish();          // what is left, incomplete characters as U+FFFD

 private:
  const Tokenizer* tokenizer_;
  bool special_;
  std::string pending_;  // at most 3 bytes: the beginning of a character
};

}  // namespace shardline
