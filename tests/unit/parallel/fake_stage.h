// A stage without a model: its arithmetic depends on every token, layer, leaf and peer, so that a plan's results tell whether each rank
// received the right rows and added them in the right order. Equal for every topology.
#pragma once
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "engine/model/model_stage.h"
#include "parallel/executor_options.h"

namespace shardline::parallel {

inline constexpr int kFakeLayers = 6, kFakeDim = 40, kFakeHeads = 9, kFakeKvHeads = 3, kFakeVocab = 1000;

inline ModelConfig fake_config() {
  ModelConfig config;
  config.architecture = "llama";
  config.layers = kFakeLayers;
  config.dim = kFakeDim;
  config.ffn = 64;
  config.query_heads = kFakeHeads;
  config.kv_heads = kFakeKvHeads;
  config.head_dim = 4;
  config.vocab = kFakeVocab;
  config.context = 4096;
  return config;
}

class FakeStage final : public ModelStage {
 public:
  using Hook = std::function<void(const StepPlan&, const StageShape&)>;  // called at the start of every step
  FakeStage(const StageShape& shape, Collective& tp, Hook hook)
      : shape_(shape), tp_(tp), hook_(std::move(hook)), tree_(attention_leaves(kFakeHeads, kFakeKvHeads).groups, tp.size()) {}

  void forward(const StepPlan& plan, std::span<float> hidden, StepResult& result) override {
    if (hook_) hook_(plan, shape_);
    if (shape_.first)
      for (std::size_t i = 0; i < hidden.size(); ++i)
        hidden[i] = static_cast<float>(plan.tokens[i / kFakeDim] + 1) * 1e-3f + static_cast<float>(i % kFakeDim);
    for (int layer = shape_.layers.begin; layer < shape_.layers.end; ++layer) run_layer(layer, hidden);
    if (shape_.last) sample(plan, hidden, result);
  }
  const ModelConfig& config() const override { return config_; }
  std::string kernels() const override { return "fake"; }
  StageMemory memory() const override { return {}; }

 private:
  void run_layer(int layer, std::span<float> hidden) {
    std::vector<float> roots, total(hidden.size());
    for (const int node : tree_.roots(shape_.tp_rank))
      for (const float x : hidden) roots.push_back(subtree(node, x, layer));
    tp_.sum(tree_, roots, total);
    for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] = hidden[i] * 0.5f + total[i] * 0.01f;
  }
  float subtree(int node, float x, int layer) const {
    const ReductionTree::Node& n = tree_.nodes()[static_cast<std::size_t>(node)];
    if (n.left < 0) return x * (1.0f + 0.37f * static_cast<float>(n.begin)) + 0.11f * static_cast<float>(layer);
    return subtree(n.left, x, layer) + subtree(n.right, x, layer);
  }
  // The "logits" of a row: one float per tp rank, gathered; the token is a hash of the row and of every sum.
  void sample(const StepPlan& plan, std::span<const float> hidden, StepResult& result) {
    const std::vector<std::size_t> counts(static_cast<std::size_t>(tp_.size()), plan.samples.size());
    std::vector<float> mine, all(shape_.tp_rank == 0 ? plan.samples.size() * counts.size() : 0);
    for (const PlanSample& s : plan.samples) mine.push_back(hidden[static_cast<std::size_t>(s.row) * kFakeDim]);
    tp_.gather(counts, mine, all);
    if (shape_.tp_rank != 0) return;
    for (std::size_t i = 0; i < plan.samples.size(); ++i) {
      std::uint64_t hash = 1469598103934665603u;
      for (int j = 0; j < kFakeDim; ++j)
        hash = (hash ^ bits(hidden[static_cast<std::size_t>(plan.samples[i].row * kFakeDim + j)])) * 1099511628211u;
      for (std::size_t r = 0; r < counts.size(); ++r)
        if (bits(all[r * plan.samples.size() + i]) != bits(all[i])) hash = 0;  // every rank holds the same rows
      SampleResult sample;
      sample.slot = plan.samples[i].slot;
      sample.token = static_cast<TokenId>(hash % kFakeVocab);
      sample.logits_hash = hash;
      result.samples.push_back(sample);
    }
  }
  static std::uint32_t bits(float x) {
    std::uint32_t u;
    std::memcpy(&u, &x, sizeof u);
    return u;
  }

  StageShape shape_;
  Collective& tp_;
  Hook hook_;
  ReductionTree tree_;
  ModelConfig config_ = fake_config();
};

inline StageFactory fake_factory(FakeStage::Hook hook = nullptr) {
  return [hook](const StageShape& shape, Collective& tp) -> Result<std::unique_ptr<ModelStage>> {
    return std::unique_ptr<ModelStage>(std::make_unique<FakeStage>(shape, tp, hook));
  };
}

// A plan of `rows` tokens of one sequence, sampling every third row.
inline StepPlan fake_plan(std::uint64_t number, int rows) {
  StepPlan plan;
  plan.epoch = 1;
  plan.number = number;
  for (int i = 0; i < rows; ++i)
    plan.tokens.push_back(static_cast<TokenId>((number * 31 + static_cast<std::uint64_t>(i) * 7) % kFakeVocab));
  const int blocks = (rows + kBlockTokens - 1) / kBlockTokens;
  plan.sequences.push_back({0, 0, rows, 0, 0, blocks});
  for (int b = 0; b < blocks; ++b) plan.block_tables.push_back(b);
  for (int row = 0; row < rows; row += 3) plan.samples.push_back({row, 0, row + 1, {}});
  return plan;
}

inline ExecutorOptions fake_options() {
  ExecutorOptions options;
  options.stage.kv_blocks = 64;
  options.stage.max_rows = 512;
  options.patience = std::chrono::seconds(30);
  return options;
}

}  // namespace shardline::parallel
