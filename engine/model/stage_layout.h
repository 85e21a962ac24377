// Which heads, columns, vocabulary rows and blocks of the model a rank holds. Pure: numbers in, numbers out.
#pragma once
#include <vector>

#include "engine/base/result.h"
#include "engine/kernels/packed.h"
#include "engine/model/model_config.h"
#include "engine/model/model_stage.h"
#include "engine/model/reduction_tree.h"

namespace shardline {

// The query heads of a rank and the KV heads that they read. A KV head whose queries live on two ranks is held by both.
struct HeadShard {
  struct Group {
    int kv_head;  // of the model
    Run queries;  // of the model
  };
  Run queries, kv;            // heads of the model
  std::vector<Group> groups;  // one per KV head of the rank
};

struct StageLayout {
  LeafPlan attention_leaves, ffn_leaves;
  ReductionTree attention_tree, ffn_tree;
  HeadShard heads;
  Run ffn_columns;                // of the model
  Run vocab;                      // rows of the output head, whole panels
  InputLayout dim;                // input of q, k, v, gate, up and the output head
  InputLayout head_outputs;       // input of the output projection: the rank's heads side by side
  std::vector<Run> group_blocks;  // blocks of head_outputs that each group of heads fills; empty where a block spans two groups
  InputLayout ffn;                // input of the down projection: the rank's columns

  // Errors: usage where the tensor-parallel size exceeds the number of attention leaves; bad_model where the kernels cannot hold a width.
  static Result<StageLayout> make(const ModelConfig& config, const StageShape& shape);
};

// The vocabulary rows of every rank, in rank order.
std::vector<Run> vocab_shards(int vocab, int tp_size);

}  // namespace shardline
