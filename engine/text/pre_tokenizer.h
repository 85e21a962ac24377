// Splits text into the pieces that byte-pair merges never cross.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace shardline {

// What Hugging Face's ByteLevel step splits by (Radford et al. 2019).
inline constexpr std::string_view kGpt2Split = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Regular expressions applied one after the other, each to the pieces that the one before left; its matches and the text
// between them become pieces. `\s` is Unicode's White_Space.
struct PreTokenizerRule {
  std::string_view name;  // as GGUF's tokenizer.ggml.pre
  std::vector<std::string_view> stages;
};

// smollm, gpt-2, llama-bpe, qwen2, default. The expressions are written as tokenizer.json files write them, so that those files
// are recognised by comparing.
std::span<const PreTokenizerRule> pre_tokenizer_rules();

class PreTokenizer {
 public:
  static Result<PreTokenizer> create(std::string_view name);  // bad_model: unknown name
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Replaces `pieces` by views of `text`, in order, together the whole of it. A run of bytes that are not UTF-8 is one piece.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Impl;
  explicit PreTokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline
