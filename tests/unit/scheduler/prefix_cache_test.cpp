#include "scheduler/prefix_cache.h"

#include <gtest/gtest.h>

namespace shardline::scheduler {
namespace {

BlockTokens tokens_of(TokenId first) {
  BlockTokens tokens;
  for (TokenId& token : tokens) token = first++;
  return tokens;
}

TEST(PrefixCache, FindsBlocksByTheirWholePrefix) {
  PrefixCache cache(4);
  cache.insert(2, kNoBlock, tokens_of(0));
  cache.insert(0, 2, tokens_of(16));
  EXPECT_EQ(cache.find(kNoBlock, tokens_of(0)), 2);
  EXPECT_EQ(cache.find(2, tokens_of(16)), 0);
  EXPECT_EQ(cache.find(kNoBlock, tokens_of(16)), kNoBlock);  // the same tokens without the prefix
  EXPECT_EQ(cache.find(2, tokens_of(17)), kNoBlock);
  EXPECT_EQ(cache.find(-2, tokens_of(0)), kNoBlock);  // another root
}

TEST(PrefixCache, CollisionsOnlyCostComparisons) {
  constexpr int kBlocks = 3;  // 8 buckets: 300 keys collide
  PrefixCache cache(kBlocks);
  for (TokenId key = 0; key < 300; key += kBlocks) {
    for (BlockId block = 0; block < kBlocks; ++block) cache.insert(block, kNoBlock, tokens_of(key + block));
    for (TokenId other = 0; other < 300; ++other)
      EXPECT_EQ(cache.find(kNoBlock, tokens_of(other)), other >= key && other < key + kBlocks ? other - key : kNoBlock);
    for (const BlockId block : {1, 0, 2}) cache.erase(block);
  }
  EXPECT_EQ(cache.size(), 0);
}

TEST(PrefixCache, EvictsTheOldestIdleBlock) {
  PrefixCache cache(4);
  for (BlockId block = 0; block < 4; ++block) cache.insert(block, kNoBlock, tokens_of(block));
  for (const BlockId block : {3, 1, 0}) cache.set_idle(block);
  cache.set_used(3);
  cache.set_idle(3);  // used again: now the youngest
  EXPECT_EQ(cache.idle(), 3);
  EXPECT_EQ(cache.evict(), 1);
  EXPECT_EQ(cache.find(kNoBlock, tokens_of(1)), kNoBlock);
  cache.set_used(0);
  EXPECT_EQ(cache.evict(), 3);
  EXPECT_EQ(cache.idle(), 0);
  EXPECT_EQ(cache.size(), 2);  // 0 and 2 are in use
  EXPECT_DEATH(cache.evict(), "nothing to evict");
}

TEST(PrefixCache, ErasesIdleBlocks) {
  PrefixCache cache(3);
  for (BlockId block = 0; block < 3; ++block) {
    cache.insert(block, kNoBlock, tokens_of(block));
    cache.set_idle(block);
  }
  cache.erase(1);
  EXPECT_EQ(cache.evict(), 0);
  EXPECT_EQ(cache.evict(), 2);
}

}  // namespace
}  // namespace shardline::scheduler
