// A plan as the kernels want it: what belongs to each row, and attention cut into items that workers share.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/kernels/kernel_table.h"
#include "engine/step.h"

namespace shardline {

struct AttentionItem {
  Run rows;  // of the plan
  int first_position;
  const BlockId* blocks;  // block table of the sequence
  Run chunks;             // of keys
  std::int64_t partials;  // offset in floats per KV head, or -1: the item is the whole attention of its rows

  bool newest_keys() const { return chunks.end * kChunkKeys >= first_position + rows.size(); }
};

class Batch {
 public:
  // `group`: the most query heads that share a KV head here. `partial_room`: floats for partial results.
  Batch(int max_rows, int kv_heads, int group, int head_dim, int threads, std::size_t partial_room);
  void build(const StepPlan& plan);

  int rows() const { return static_cast<int>(positions.size()); }
  int group() const { return group_; }
  // Every sequence has one row: no item reads a key that another one's row brings.
  bool decodes_only() const { return decodes_only_; }

  std::vector<std::int32_t> positions;  // (rows)
  std::vector<BlockId> block_of_row;    // (rows)
  std::vector<std::int32_t> slot_of_row;
  std::vector<AttentionItem> items;  // each for every KV head
  std::vector<AttentionItem> folds;  // rows whose items were split over keys

 private:
  void add_rows(const PlanSequence& sequence, const BlockId* blocks, Run rows, int pieces);

  const int kv_heads_, group_, head_dim_, threads_;
  const std::size_t partial_room_;
  std::size_t partials_used_ = 0;
  bool decodes_only_ = false;
};

}  // namespace shardline
