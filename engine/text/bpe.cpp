#include "engine/text/bpe.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "engine/text/byte_alphabet.h"

namespace shardline {
namespace {

std::uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

Bpe::Bpe(std::array<TokenId, 256> byte_tokens, std::vector<Merge> merges)
    : byte_tokens_(byte_tokens), merges_(std::move(merges)), rank_(merges_.size()) {
  for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
    rank_.insert(pair_key(merges_[rank].left, merges_[rank].right), static_cast<std::uint32_t>(rank));
  }
}

Result<Bpe> Bpe::create(const TokenizerSpec& spec) {
  std::unordered_map<std::string_view, TokenId> ids;
  ids.reserve(spec.tokens.size());
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) ids.emplace(spec.tokens[id], static_cast<TokenId>(id));
  const auto id_of = [&](std::string_view token) {
    const auto it = ids.find(token);
    return it == ids.end() ? -1 : it->second;
  };

  std::array<TokenId, 256> byte_tokens;
  for (int b = 0; b < 256; ++b) byte_tokens[b] = id_of(token_of_byte(static_cast<unsigned char>(b)));

  std::vector<Merge> merges;
  merges.reserve(spec.merges.size());
  std::string joined;
  for (const std::string_view text : spec.merges) {
    const std::size_t space = std::min(text.find(' ', 1), text.size());
    const std::string_view left = text.substr(0, space), right = text.substr(std::min(space + 1, text.size()));
    joined.assign(left).append(right);
    const Merge merge{id_of(left), id_of(right), id_of(joined)};
    if (std::min({merge.left, merge.right, merge.merged}) < 0) {
      return Error{ErrorCode::bad_model, fmt::format("merge {} ('{}') is not of tokens in the vocabulary", merges.size(), text),
                   "tokenizer.ggml.merges"};
    }
    merges.push_back(merge);
  }
  return Bpe(byte_tokens, std::move(merges));
}

// Puts the pair that begins at `left` on the heap, if it can merge. An entry is rank, then place: the order of merging.
void Bpe::offer(Scratch& scratch, std::int32_t left) const {
  const std::int32_t right = left < 0 ? -1 : scratch.symbols[left].next;
  if (right < 0) return;
  const std::uint32_t rank = rank_[pair_key(scratch.symbols[left].id, scratch.symbols[right].id)];
  if (rank == FlatMap::kNone) return;
  scratch.heap.push_back(static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint32_t>(left));
  std::push_heap(scratch.heap.begin(), scratch.heap.end(), std::greater<>());
}

void Bpe::encode(std::string_view bytes, std::vector<TokenId>& out, Scratch& scratch) const {
  auto& [symbols, heap] = scratch;
  symbols.clear();
  heap.clear();
  for (const char byte : bytes) {
    const TokenId id = byte_tokens_[static_cast<unsigned char>(byte)];
    const auto place = static_cast<std::int32_t>(symbols.size());
    if (id >= 0) symbols.push_back({id, place - 1, place + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;
  for (std::size_t i = 0; i < symbols.size(); ++i) offer(scratch, static_cast<std::int32_t>(i));

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Merge& merge = merges_[heap.back() >> 32];
    const auto place = static_cast<std::int32_t>(heap.back() & 0xFFFFFFFF);
    heap.pop_back();
    Scratch::Symbol& left = symbols[place];
    if (left.id != merge.left || left.next < 0 || symbols[left.next].id != merge.right) continue;  // an older merge took a part

    Scratch::Symbol& right = symbols[left.next];
    left = {merge.merged, left.previous, right.next};
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = place;
    offer(scratch, left.previous);
    offer(scratch, place);
  }
  for (std::int32_t i = 0; i >= 0; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace shardline
