#include "scheduler/page_allocator.h"

#include "engine/base/check.h"

namespace shardline::scheduler {

PageAllocator::PageAllocator(int blocks) : references_(static_cast<std::size_t>(blocks)) {
  free_.reserve(references_.size());
  for (BlockId block = blocks; block-- > 0;) free_.push_back(block);
}

BlockId PageAllocator::take() {
  CHECK(!free_.empty(), "no free block");
  const BlockId block = free_.back();
  free_.pop_back();
  references_[static_cast<std::size_t>(block)] = 1;
  return block;
}

int PageAllocator::add_reference(BlockId block) { return ++references_[static_cast<std::size_t>(block)]; }

int PageAllocator::drop_reference(BlockId block) {
  int& references = references_[static_cast<std::size_t>(block)];
  CHECK(references > 0, "block {} has no reference to drop", block);
  return --references;
}

void PageAllocator::put_back(BlockId block) {
  CHECK(references(block) == 0, "block {} is still referenced", block);
  free_.push_back(block);
}

}  // namespace shardline::scheduler
