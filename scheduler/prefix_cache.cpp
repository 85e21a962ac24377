#include "scheduler/prefix_cache.h"

#include <bit>

#include "engine/base/check.h"

namespace shardline::scheduler {

PrefixCache::PrefixCache(int blocks)
    : entries_(static_cast<std::size_t>(blocks)), buckets_(std::bit_ceil(2 * static_cast<std::size_t>(blocks) + 1), kNoBlock) {}

// Multiply and fold (https://github.com/wangyi-fudan/wyhash), two tokens at a time.
std::size_t PrefixCache::bucket(Parent parent, const BlockTokens& tokens) const {
  auto hash = static_cast<std::uint64_t>(parent);
  for (std::size_t i = 0; i < tokens.size(); i += 2) {
    const std::uint64_t pair =
        static_cast<std::uint64_t>(static_cast<std::uint32_t>(tokens[i])) << 32 | static_cast<std::uint32_t>(tokens[i + 1]);
    hash = (hash ^ pair) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  }
  return hash & (buckets_.size() - 1);
}

BlockId PrefixCache::find(Parent parent, const BlockTokens& tokens) const {
  BlockId block = buckets_[bucket(parent, tokens)];
  while (block != kNoBlock && (entry(block).parent != parent || entry(block).tokens != tokens)) block = entry(block).next_in_bucket;
  return block;
}

void PrefixCache::insert(BlockId block, Parent parent, const BlockTokens& tokens) {
  Entry& e = entry(block);
  CHECK(!e.cached, "block {} is cached already", block);
  BlockId& head = buckets_[bucket(parent, tokens)];
  e = {.parent = parent, .tokens = tokens, .next_in_bucket = head, .cached = true};
  head = block;
  ++size_;
}

void PrefixCache::erase(BlockId block) {
  Entry& e = entry(block);
  CHECK(e.cached, "block {} is not cached", block);
  if (e.idle) set_used(block);
  BlockId* link = &buckets_[bucket(e.parent, e.tokens)];
  while (*link != block) link = &entry(*link).next_in_bucket;
  *link = e.next_in_bucket;
  e.cached = false;
  --size_;
}

void PrefixCache::set_idle(BlockId block) {
  Entry& e = entry(block);
  CHECK(e.cached && !e.idle, "block {} is not cached or idle already", block);
  e.idle = true;
  e.older = youngest_;
  e.younger = kNoBlock;
  (youngest_ == kNoBlock ? oldest_ : entry(youngest_).younger) = block;
  youngest_ = block;
  ++idle_;
}

void PrefixCache::set_used(BlockId block) {
  Entry& e = entry(block);
  CHECK(e.idle, "block {} is not idle", block);
  e.idle = false;
  (e.older == kNoBlock ? oldest_ : entry(e.older).younger) = e.younger;
  (e.younger == kNoBlock ? youngest_ : entry(e.younger).older) = e.older;
  --idle_;
}

BlockId PrefixCache::evict() {
  CHECK(oldest_ != kNoBlock, "nothing to evict");
  const BlockId block = oldest_;
  erase(block);
  return block;
}

}  // namespace shardline::scheduler
