// The KV blocks of a rank group: allocator and prefix cache together. A block is free, or referenced (and perhaps cached), or cached
// without references; the last kind is given out again, oldest first, when no block is free.
#pragma once
#include <span>

#include "scheduler/page_allocator.h"
#include "scheduler/prefix_cache.h"

namespace shardline::scheduler {

class BlockPool {
 public:
  // keep: whether cached blocks outlive their last reference.
  BlockPool(int blocks, bool keep) : pages_(blocks), cache_(blocks), keep_(keep) {}

  int blocks() const { return pages_.blocks(); }
  int cached() const { return cache_.size(); }
  int available() const { return pages_.free() + cache_.idle(); }
  int references(BlockId block) const { return pages_.references(block); }

  BlockId allocate();           // one reference; available() must not be 0
  void share(BlockId block);    // one reference more, to a referenced or cached block
  void release(BlockId block);  // one less. Release a chain from its end (prefix_cache.h)

  BlockId find(PrefixCache::Parent parent, const BlockTokens& tokens) const { return cache_.find(parent, tokens); }
  void insert(BlockId block, PrefixCache::Parent parent, const BlockTokens& tokens) { cache_.insert(block, parent, tokens); }

  // CHECKs that every block is free, cached or referenced, and referenced as often as `references` (by block) says.
  void check_integrity(std::span<const int> references) const;

 private:
  PageAllocator pages_;
  PrefixCache cache_;
  bool keep_;
};

}  // namespace shardline::scheduler
