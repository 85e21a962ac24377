#include "scheduler/block_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace shardline::scheduler {
namespace {

constexpr BlockTokens kTokens{1, 2, 3};

TEST(BlockPool, CachedBlocksOutliveTheirLastReference) {
  BlockPool pool(2, true);
  const BlockId block = pool.allocate();
  pool.insert(block, kNoBlock, kTokens);
  pool.release(block);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(pool.find(kNoBlock, kTokens), block);
  pool.share(block);
  EXPECT_EQ(pool.available(), 1);
  pool.check_integrity(std::vector<int>{block == 0, block == 1});
}

TEST(BlockPool, WithoutKeepingTheyLiveAsLongAsTheyAreReferenced) {
  BlockPool pool(2, false);
  const BlockId block = pool.allocate();
  pool.insert(block, kNoBlock, kTokens);
  pool.share(block);
  pool.release(block);
  EXPECT_EQ(pool.find(kNoBlock, kTokens), block);
  pool.release(block);
  EXPECT_EQ(pool.find(kNoBlock, kTokens), kNoBlock);
  EXPECT_EQ(pool.cached(), 0);
  pool.check_integrity(std::vector<int>{0, 0});
}

TEST(BlockPool, TakesFreeBlocksFirstAndThenEvictsChainsFromTheirEnds) {
  BlockPool pool(4, true);
  const BlockId first = pool.allocate(), second = pool.allocate();
  pool.insert(first, kNoBlock, kTokens);
  pool.insert(second, first, kTokens);
  pool.release(second);
  pool.release(first);
  pool.allocate();
  pool.allocate();
  EXPECT_EQ(pool.cached(), 2);
  EXPECT_EQ(pool.allocate(), second);
  EXPECT_EQ(pool.find(kNoBlock, kTokens), first);
  EXPECT_EQ(pool.allocate(), first);
  EXPECT_EQ(pool.available(), 0);
}

TEST(BlockPoolDeathTest, IntegrityFindsALeak) {
  BlockPool pool(1, true);
  pool.allocate();
  EXPECT_DEATH(pool.check_integrity(std::vector<int>{0}), "1 references, 0 holders");
}

}  // namespace
}  // namespace shardline::scheduler
