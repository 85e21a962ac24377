#include "scheduler/page_allocator.h"

#include <gtest/gtest.h>

#include <set>

namespace shardline::scheduler {
namespace {

TEST(PageAllocator, GivesOutEveryBlockOnce) {
  PageAllocator pages(5);
  std::set<BlockId> taken;
  while (pages.free() > 0) taken.insert(pages.take());
  EXPECT_EQ(taken, (std::set<BlockId>{0, 1, 2, 3, 4}));
}

TEST(PageAllocator, CountsReferences) {
  PageAllocator pages(2);
  const BlockId block = pages.take();
  EXPECT_EQ(pages.add_reference(block), 2);
  EXPECT_EQ(pages.drop_reference(block), 1);
  EXPECT_EQ(pages.drop_reference(block), 0);
  EXPECT_EQ(pages.free(), 1);  // not free before it is put back
  pages.put_back(block);
  EXPECT_EQ(pages.free(), 2);
  EXPECT_EQ(pages.take(), block);
}

TEST(PageAllocatorDeathTest, RefusesBrokenBookkeeping) {
  PageAllocator pages(1);
  const BlockId block = pages.take();
  EXPECT_DEATH(pages.take(), "no free block");
  EXPECT_DEATH(pages.put_back(block), "still referenced");
  pages.drop_reference(block);
  EXPECT_DEATH(pages.drop_reference(block), "no reference to drop");
}

}  // namespace
}  // namespace shardline::scheduler
