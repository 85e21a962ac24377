// Finds the KV block that holds 16 tokens after a known prefix. A full block's key is (parent, tokens): the block before it and its own
// 16 tokens. The parent stands for the whole prefix, so blocks form chains, equal keys mean equal prefixes, and since a lookup compares
// the whole key, not its hash, a collision costs a comparison and nothing else.
//
// A cached block without references waits in LRU order until its memory is wanted. Who references a block references its parents too
// and lets go of a chain from its end (BlockPool's users do), so a block is always older here than its parents: chains are evicted from
// their ends, and no cached block is ever cut off from its root.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/types.h"

namespace shardline::scheduler {

using BlockTokens = std::array<TokenId, kBlockTokens>;
inline constexpr BlockId kNoBlock = -1;

class PrefixCache {
 public:
  // A block's id, or any negative number for the first block of a chain: chains of different roots share nothing.
  using Parent = std::int64_t;

  explicit PrefixCache(int blocks);

  BlockId find(Parent parent, const BlockTokens& tokens) const;  // kNoBlock where it is not cached
  void insert(BlockId block, Parent parent, const BlockTokens& tokens);
  void erase(BlockId block);
  bool contains(BlockId block) const { return entry(block).cached; }
  Parent parent(BlockId block) const { return entry(block).parent; }

  void set_idle(BlockId block);  // its last reference went; it becomes the youngest of the idle
  void set_used(BlockId block);
  BlockId evict();  // erases the oldest idle block; there must be one

  int idle() const { return idle_; }
  int size() const { return size_; }
  bool is_idle(BlockId block) const { return entry(block).idle; }

 private:
  struct Entry {
    Parent parent = kNoBlock;
    BlockTokens tokens{};
    BlockId next_in_bucket = kNoBlock;
    BlockId older = kNoBlock, younger = kNoBlock;
    bool cached = false;
    bool idle = false;
  };
  Entry& entry(BlockId block) { return entries_[static_cast<std::size_t>(block)]; }
  const Entry& entry(BlockId block) const { return entries_[static_cast<std::size_t>(block)]; }
  std::size_t bucket(Parent parent, const BlockTokens& tokens) const;

  std::vector<Entry> entries_;    // by block
  std::vector<BlockId> buckets_;  // heads of chains through next_in_bucket; a power of two
  BlockId oldest_ = kNoBlock, youngest_ = kNoBlock;
  int idle_ = 0, size_ = 0;
};

}  // namespace shardline::scheduler
