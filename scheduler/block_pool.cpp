#include "scheduler/block_pool.h"

#include "engine/base/check.h"

namespace shardline::scheduler {

BlockId BlockPool::allocate() {
  if (pages_.free() == 0) pages_.put_back(cache_.evict());
  return pages_.take();
}

void BlockPool::share(BlockId block) {
  if (pages_.add_reference(block) == 1) cache_.set_used(block);
}

void BlockPool::release(BlockId block) {
  if (pages_.drop_reference(block) > 0) return;
  if (cache_.contains(block)) {
    if (keep_) return cache_.set_idle(block);
    cache_.erase(block);
  }
  pages_.put_back(block);
}

void BlockPool::check_integrity(std::span<const int> references) const {
  std::vector<bool> is_free(static_cast<std::size_t>(blocks()));
  for (const BlockId block : pages_.free_list()) {
    CHECK(!is_free[static_cast<std::size_t>(block)], "block {} is free twice", block);
    is_free[static_cast<std::size_t>(block)] = true;
  }
  int idle = 0, cached = 0;
  for (BlockId block = 0; block < blocks(); ++block) {
    const auto i = static_cast<std::size_t>(block);
    CHECK(pages_.references(block) == references[i], "block {}: {} references, {} holders", block, pages_.references(block), references[i]);
    CHECK(is_free[i] + cache_.is_idle(block) + (references[i] > 0) == 1, "block {}: free {}, idle {}, {} references", block,
          bool(is_free[i]), cache_.is_idle(block), references[i]);
    idle += cache_.is_idle(block);
    if (!cache_.contains(block)) continue;
    ++cached;
    const auto parent = cache_.parent(block);
    if (parent < 0) continue;
    CHECK(cache_.contains(static_cast<BlockId>(parent)), "block {} outlived its parent {} in the cache", block, parent);
    CHECK(references[i] <= references[static_cast<std::size_t>(parent)], "block {} is referenced more often than its parent {}", block,
          parent);
  }
  CHECK(idle == cache_.idle() && cached == cache_.size(), "idle {} of {}, cached {} of {}", idle, cache_.idle(), cached, cache_.size());
}

}  // namespace shardline::scheduler
