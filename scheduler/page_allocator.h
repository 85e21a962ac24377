// Which KV blocks are free, and how many sequences use each of the others.
//
//   free --take()--> referenced --drop_reference() to 0--> unowned --put_back()--> free
//                        ^------------add_reference()---------'     (unowned: somebody keeps it as a cached block)
#pragma once
#include <vector>

#include "engine/base/types.h"

namespace shardline::scheduler {

class PageAllocator {
 public:
  explicit PageAllocator(int blocks);

  int blocks() const { return static_cast<int>(references_.size()); }
  int free() const { return static_cast<int>(free_.size()); }
  int references(BlockId block) const { return references_[static_cast<std::size_t>(block)]; }

  BlockId take();                    // with one reference; the pool must not be dry
  int add_reference(BlockId block);  // both return the references that it has then
  int drop_reference(BlockId block);
  void put_back(BlockId block);  // of a block without references

  const std::vector<BlockId>& free_list() const { return free_; }

 private:
  std::vector<int> references_;  // by block
  std::vector<BlockId> free_;    // a stack: the block used last is the warmest
};

}  // namespace shardline::scheduler
