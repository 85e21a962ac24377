#include "engine/model/batch.h"

#include <algorithm>

namespace shardline {

Batch::Batch(int max_rows, int kv_heads, int group, int head_dim, int threads, std::size_t partial_room)
    : kv_heads_(kv_heads), group_(group), head_dim_(head_dim), threads_(threads), partial_room_(partial_room) {
  for (auto* v : {&positions, &block_of_row, &slot_of_row}) v->reserve(static_cast<std::size_t>(max_rows));
}

void Batch::build(const StepPlan& plan) {
  for (auto* v : {&positions, &block_of_row, &slot_of_row}) v->clear();
  items.clear();
  folds.clear();
  partials_used_ = 0;
  decodes_only_ = std::all_of(plan.sequences.begin(), plan.sequences.end(), [](const PlanSequence& s) { return s.rows == 1; });
  const int tile = std::max(1, kAttentionVectors / group_);
  int tiles = 0;
  for (const PlanSequence& s : plan.sequences) tiles += (s.rows + tile - 1) / tile;
  // Few tiles cannot feed all threads: long ones are split over keys. Where work is cut never changes a bit.
  const int enough = threads_ > 1 ? 4 * threads_ : 1;
  int pieces = (enough + tiles * kv_heads_ - 1) / std::max(1, tiles * kv_heads_);
  if (pieces > 1) pieces += (threads_ - tiles * kv_heads_ * pieces % threads_) % threads_;  // one head for all: threads get alike
  for (const PlanSequence& s : plan.sequences) {
    const BlockId* blocks = plan.block_tables.data() + s.first_block;
    for (int i = 0; i < s.rows; ++i) {
      const int position = s.first_position + i;
      positions.push_back(position);
      block_of_row.push_back(blocks[position / kBlockTokens]);
      slot_of_row.push_back(position % kBlockTokens);
    }
    for (int i = 0; i < s.rows; i += tile) add_rows(s, blocks, {s.first_row + i, s.first_row + std::min(s.rows, i + tile)}, pieces);
  }
}

void Batch::add_rows(const PlanSequence& s, const BlockId* blocks, Run rows, int pieces) {
  const int position = s.first_position + rows.begin - s.first_row;
  const int chunks = (position + rows.size() - 1) / kChunkKeys + 1;
  const AttentionItem whole{rows, position, blocks, {0, chunks}, -1};
  pieces = std::min(pieces, chunks / 2);
  const std::size_t floats = static_cast<std::size_t>(chunks * rows.size() * group_) * static_cast<std::size_t>(head_dim_ + 2);
  if (pieces < 2 || partials_used_ + floats * static_cast<std::size_t>(kv_heads_) > partial_room_) {
    items.push_back(whole);
    return;
  }
  AttentionItem part = whole;
  part.partials = static_cast<std::int64_t>(partials_used_);
  partials_used_ += floats * static_cast<std::size_t>(kv_heads_);
  for (int i = 0; i < pieces; ++i) {
    part.chunks = even_run(chunks, pieces, i);
    items.push_back(part);
  }
  part.chunks = {0, chunks};
  folds.push_back(part);
}

}  // namespace shardline
