#include "engine/model/stage.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/weights/dequantize.h"

namespace shardline {
namespace {

// Shares `items` among the workers in runs of `grain`, calls fn(run) for each, and ends the op.
template <class Fn>
void share(Worker& w, int items, int grain, Fn&& fn) {
  for (int i; (i = w.claim() * grain) < items;) fn(Run{i, std::min(items, i + grain)});
  w.barrier();
}

// Runs small enough to balance the workers, large enough to stream.
int grain_of(const Worker& w, int items, int least) { return w.count() == 1 ? items : std::max(least, items / (6 * w.count())); }

}  // namespace

void CpuStage::forward(const StepPlan& plan, std::span<float> hidden, StepResult& result) {
  const TimePoint start = Clock::now();
  batch_.build(plan);
  result.epoch = plan.epoch;
  result.number = plan.number;
  result.samples.resize(shape_.last ? plan.samples.size() : 0);
  team_->run([&](Worker& w) { step(w, plan, hidden, result); });
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
}

void CpuStage::step(Worker& w, const StepPlan& plan, std::span<float> hidden, StepResult& result) {
  share(w, batch_.rows(), grain_of(w, batch_.rows(), 4), [&](Run rows) {
    for (int m = rows.begin; m < rows.end; ++m) rope_.fill(batch_.positions[static_cast<std::size_t>(m)], cosines_ + m * rope_.half(), sines_ + m * rope_.half());
  });
  if (w.index() == 0) pending_ = nullptr;
  if (shape_.first) embed(w, plan);
  else share(w, batch_.rows(), batch_.rows(), [&](Run) { std::memcpy(x_, hidden.data(), hidden.size_bytes()); });
  const std::size_t layer_pages = head_pages_bytes() * layout_.heads.groups.size();
  for (std::size_t i = 0; i < weights_.layers().size(); ++i) layer(w, weights_.layers()[i], kv_.data() + i * layer_pages);
  if (shape_.last) sample(w, plan, result);
  else finish(w, hidden);
}

void CpuStage::layer(Worker& w, const LayerWeights& weights, std::byte* pages) {
  norm(w, weights.attn_norm);
  project(w, weights.qkv, qkv_);
  rope_store(w, weights, pages);
  attend(w, weights, pages);
  pack_heads(w);
  reduce(w, weights.output, head_outputs_, layout_.head_outputs, layout_.attention_tree);
  norm(w, weights.ffn_norm);
  gated(w, weights);
  reduce(w, weights.down, hidden_, layout_.ffn, layout_.ffn_tree);
}

void CpuStage::embed(Worker& w, const StepPlan& plan) {
  const Tensor& table = *weights_.embedding();
  const auto dim = static_cast<std::size_t>(config().dim);
  share(w, plan.rows(), grain_of(w, plan.rows(), 4), [&](Run rows) {
    for (int m = rows.begin; m < rows.end; ++m) {
      const auto token = static_cast<std::size_t>(plan.tokens[static_cast<std::size_t>(m)]);
      dequantize_row(table.dtype, table.data + token * table.row_bytes(), {x_ + static_cast<std::size_t>(m) * dim, dim});
    }
  });
}

void CpuStage::norm(Worker& w, const float* weight) {
  float* scratch = reinterpret_cast<float*>(worker_scratch_ + static_cast<std::size_t>(w.index()) * worker_bytes_);
  const NormArgs args{x_, pending_, weight, scratch, config().dim, config().norm_epsilon, &layout_.dim, &normed_};
  share(w, batch_.rows(), grain_of(w, batch_.rows(), 4), [&](Run rows) { kernels_.norm(args, rows); });
}

void CpuStage::gemm(Worker& w, const GemmArgs& args, int rows) const {
  constexpr int kRowBlock = 128;  // inputs of a block stay in the second-level cache while panels pass
  const int blocks = (rows + kRowBlock - 1) / kRowBlock;
  const int panels = args.weights->panels(), grain = std::min(panels, grain_of(w, panels, 2));
  const int runs = grain == 0 ? 0 : (panels + grain - 1) / grain;
  share(w, blocks * runs, 1, [&](Run item) {
    const int block = item.begin / runs, run = item.begin % runs;
    kernels_.gemm(args, {run * grain, std::min(panels, (run + 1) * grain)}, {block * kRowBlock, std::min(rows, (block + 1) * kRowBlock)});
  });
}

void CpuStage::project(Worker& w, const Product& product, float* out) {
  for (const Product::Part& part : product.parts)
    gemm(w, {&part.matrix, &normed_, &layout_.dim, out + part.column, static_cast<std::size_t>(product.columns), 0}, batch_.rows());
}

void CpuStage::rope_store(Worker& w, const LayerWeights& weights, std::byte* pages) {
  const RopeStoreArgs args{qkv_, static_cast<std::size_t>(weights.qkv.columns), layout_.heads.queries.size(), layout_.heads.kv.size(), config().head_dim,
                           config().rope.dims, static_cast<std::size_t>(weights.key_column), static_cast<std::size_t>(weights.value_column),
                           cosines_, sines_, batch_.block_of_row.data(), batch_.slot_of_row.data(), pages, head_pages_bytes(), kv_type_};
  share(w, batch_.rows(), grain_of(w, batch_.rows(), 1), [&](Run rows) { kernels_.rope_store(args, rows); });
}

AttentionArgs CpuStage::attention_args(Worker& w, const LayerWeights& weights, std::byte* pages, const AttentionItem& item, std::size_t group) const {
  const HeadShard::Group& g = layout_.heads.groups[group];
  const int d = config().head_dim;
  const auto column = static_cast<std::size_t>((g.queries.begin - layout_.heads.queries.begin) * d);
  const std::size_t out_stride = static_cast<std::size_t>(layout_.heads.queries.size() * d);
  float* partials = nullptr;
  if (item.partials >= 0) {
    const int chunks = (item.first_position + item.rows.size() - 1) / kChunkKeys + 1;
    const int most = batch_.group();
    partials = partials_ + item.partials + static_cast<std::ptrdiff_t>(group) * chunks * item.rows.size() * most * (d + 2);
  }
  return {qkv_, static_cast<std::size_t>(weights.qkv.columns), column, g.queries.size(), d, attention_scale_, item.first_position, item.blocks,
          pages + group * head_pages_bytes(), kv_type_, heads_, out_stride, column,
          worker_scratch_ + static_cast<std::size_t>(w.index()) * worker_bytes_, item.chunks, partials};
}

void CpuStage::attend(Worker& w, const LayerWeights& weights, std::byte* pages) {
  const int groups = static_cast<int>(layout_.heads.groups.size());
  const auto each = [&](const std::vector<AttentionItem>& items, AttentionFn fn) {
    // Long items first would balance better; their order is the plan's, so that pages of one sequence follow each other.
    share(w, static_cast<int>(items.size()) * groups, 1, [&](Run i) {
      const AttentionItem& item = items[static_cast<std::size_t>(i.begin / groups)];
      fn(attention_args(w, weights, pages, item, static_cast<std::size_t>(i.begin % groups)), item.rows);
    });
  };
  each(batch_.items, kernels_.attention);
  if (!batch_.folds.empty()) each(batch_.folds, kernels_.attention_fold);
}

void CpuStage::pack_heads(Worker& w) {
  const PackArgs args{heads_, static_cast<std::size_t>(layout_.heads.queries.size() * config().head_dim), &layout_.head_outputs, &head_outputs_};
  share(w, batch_.rows(), grain_of(w, batch_.rows(), 4), [&](Run rows) { kernels_.pack(args, rows); });
}

void CpuStage::gated(Worker& w, const LayerWeights& weights) {
  const GatedArgs args{&weights.gate, &weights.up, &normed_, &layout_.dim, &hidden_, &layout_.ffn};
  constexpr int kRowBlock = 128;
  const int rows = batch_.rows(), row_blocks = (rows + kRowBlock - 1) / kRowBlock;
  const int blocks = layout_.ffn.block_count(), grain = std::max(1, grain_of(w, blocks, 1)), runs = (blocks + grain - 1) / grain;
  share(w, row_blocks * runs, 1, [&](Run item) {
    const int row_block = item.begin / std::max(1, runs), run = item.begin % std::max(1, runs);
    kernels_.gated(args, {run * grain, std::min(blocks, (run + 1) * grain)}, {row_block * kRowBlock, std::min(rows, (row_block + 1) * kRowBlock)});
  });
}

// A row-parallel product: this rank's subtree sums, then the tree over all ranks. The sum is added to x by the next norm.
void CpuStage::reduce(Worker& w, const PackedMatrix& matrix, const Activations& input, const InputLayout& layout, const ReductionTree& tree) {
  const auto dim = static_cast<std::size_t>(config().dim), count = dim * static_cast<std::size_t>(batch_.rows());
  if (layout.roots > 0) gemm(w, {&matrix, &input, &layout, roots_, dim, count}, batch_.rows());
  if (tp_.size() == 1) {
    if (w.index() == 0) pending_ = roots_;
    w.barrier();
    return;
  }
  if (w.index() == 0) {
    tp_.sum(tree, {roots_, count * static_cast<std::size_t>(layout.roots)}, {sum_, count});
    pending_ = sum_;
  }
  w.barrier();
}

// The residual stream leaves for the next stage in float32.
void CpuStage::finish(Worker& w, std::span<float> hidden) {
  share(w, batch_.rows(), grain_of(w, batch_.rows(), 4), [&](Run rows) {
    const auto dim = static_cast<std::size_t>(config().dim);
    for (std::size_t i = static_cast<std::size_t>(rows.begin) * dim; i < static_cast<std::size_t>(rows.end) * dim; ++i)
      hidden[i] = pending_ ? x_[i] + pending_[i] : x_[i];
  });
}

void CpuStage::sample(Worker& w, const StepPlan& plan, StepResult& result) {
  const int count = static_cast<int>(plan.samples.size());
  for (int first = 0; first < count; first += kSampleRows) {
    const Run some{first, std::min(count, first + kSampleRows)};
    logits(w, plan, some);
    if (shape_.tp_rank != 0) continue;
    share(w, some.size(), 1, [&](Run i) {
      const auto vocab = static_cast<std::size_t>(config().vocab);
      const auto s = static_cast<std::size_t>(some.begin + i.begin);
      const float* row = (tp_.size() == 1 ? logits_ : all_logits_) + static_cast<std::size_t>(i.begin) * row_stride_;
      result.samples[s] = samplers_[static_cast<std::size_t>(w.index())].sample({row, vocab}, plan.samples[s]);
    });
  }
}

// Logits of some of the plan's samples: (samples, vocabulary) on tp_rank 0.
void CpuStage::logits(Worker& w, const StepPlan& plan, Run some) {
  const auto dim = static_cast<std::size_t>(config().dim);
  float* scratch = reinterpret_cast<float*>(worker_scratch_ + static_cast<std::size_t>(w.index()) * worker_bytes_);
  const NormArgs args{sampled_, nullptr, weights_.output_norm(), scratch, config().dim, config().norm_epsilon, &layout_.dim, &normed_};
  share(w, some.size(), grain_of(w, some.size(), 4), [&](Run rows) {
    for (int i = rows.begin; i < rows.end; ++i) {
      const std::size_t from = static_cast<std::size_t>(plan.samples[static_cast<std::size_t>(some.begin + i)].row) * dim, to = static_cast<std::size_t>(i) * dim;
      for (std::size_t k = 0; k < dim; ++k) sampled_[to + k] = pending_ ? x_[from + k] + pending_[from + k] : x_[from + k];
    }
    kernels_.norm(args, rows);
  });
  gemm(w, {&weights_.head(), &normed_, &layout_.dim, logits_, logits_stride_, 0}, some.size());
  if (tp_.size() == 1) return;
  if (w.index() == 0) gather_logits(some.size());
  w.barrier();
}

void CpuStage::gather_logits(int rows) {
  const std::size_t mine = static_cast<std::size_t>(layout_.vocab.size());
  for (int i = 0; i < rows; ++i)  // close the padding of whole panels
    std::memmove(logits_ + static_cast<std::size_t>(i) * mine, logits_ + static_cast<std::size_t>(i) * logits_stride_, mine * sizeof(float));
  std::vector<std::size_t>& counts = gather_counts_;
  std::size_t total = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) total += counts[r] = static_cast<std::size_t>(vocab_shards_[r].size() * rows);
  const bool root = shape_.tp_rank == 0;
  tp_.gather(counts, {logits_, mine * static_cast<std::size_t>(rows)}, {gathered_, root ? total : 0});
  if (!root) return;
  const float* from = gathered_;
  for (const Run& shard : vocab_shards_)
    for (int i = 0; i < rows; ++i, from += shard.size())
      std::memcpy(all_logits_ + static_cast<std::size_t>(i) * row_stride_ + shard.begin, from, static_cast<std::size_t>(shard.size()) * sizeof(float));
}

}  // namespace shardline
