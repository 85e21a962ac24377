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

// The same for items that lie in a row in memory: one long run for each worker, so that it streams, then short ones for whoever is early.
template <class Fn>
void share_stream(Worker& w, int items, Fn&& fn) {
  const int workers = w.count();
  const int length = workers == 1 ? items : items * 3 / 4 / workers;
  const int rest = workers * length, grain = std::max(1, (items - rest) / (4 * workers));
  for (;;) {
    const int i = w.claim();
    const int begin = i < workers ? i * length : rest + (i - workers) * grain;
    if (begin >= items) break;
    if (const int end = std::min(items, i < workers ? begin + length : begin + grain); end > begin) fn(Run{begin, end});
  }
  w.barrier();
}

// Shares the panels (or blocks) of a product and, where there are many, its rows.
template <class Fn>
void share_product(Worker& w, int panels, int rows, Fn&& fn) {
  constexpr int kRowBlock = 128;  // inputs of a block stay in the second-level cache while panels pass
  if (rows <= kRowBlock) return share_stream(w, panels, [&](Run run) { fn(run, Run{0, rows}); });
  const int grain = w.count() == 1 ? panels : std::max(2, panels / (6 * w.count())), runs = panels == 0 ? 0 : (panels + grain - 1) / grain;
  share(w, (rows + kRowBlock - 1) / kRowBlock * runs, 1, [&](Run item) {
    const int block = item.begin / runs, run = item.begin % runs;
    fn(Run{run * grain, std::min(panels, (run + 1) * grain)}, Run{block * kRowBlock, std::min(rows, (block + 1) * kRowBlock)});
  });
}

// Runs of rows small enough to balance the workers. Rows of a quad stay together, so that no two workers write one cache line.
int row_grain(const Worker& w, int rows) {
  return w.count() == 1 ? std::max(1, rows) : std::max(kQuadRows, rows / (6 * w.count()) / kQuadRows * kQuadRows);
}

}  // namespace

void CpuStage::forward(const StepPlan& plan, std::span<float> hidden, StepResult& result) {
  const TimePoint start = Clock::now();
  batch_.build(plan);
  small_ = !own_.empty() && batch_.rows() <= kSmallRows;
  result.epoch = plan.epoch;
  result.number = plan.number;
  result.samples.resize(shape_.last ? plan.samples.size() : 0);
  team_->run([&](Worker& w) { step(w, plan, hidden, result); });
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
}

void CpuStage::step(Worker& w, const StepPlan& plan, std::span<float> hidden, StepResult& result) {
  begin(w, plan, hidden);
  const std::size_t layer_pages = head_pages_bytes() * layout_.heads.groups.size();
  for (std::size_t i = 0; i < weights_.layers().size(); ++i) layer(w, weights_.layers()[i], kv_.data() + i * layer_pages);
  if (shape_.last)
    sample(w, plan, result);
  else
    finish(w, hidden);
}

void CpuStage::layer(Worker& w, const LayerWeights& weights, std::byte* pages) {
  norm(w, weights.attn_norm);
  project(w, weights.qkv, qkv_);
  attend(w, weights, pages);
  reduce(w, weights.output, head_outputs_, layout_.head_outputs, layout_.attention_tree);
  norm(w, weights.ffn_norm);
  gated(w, weights);
  reduce(w, weights.down, hidden_, layout_.ffn, layout_.ffn_tree);
}

// Fills the residual stream, from the embedding or from the stage before, and the angles.
void CpuStage::begin(Worker& w, const StepPlan& plan, std::span<const float> hidden) {
  const auto dim = static_cast<std::size_t>(config().dim);
  const auto fill = [&](Run rows) {
    for (int m = rows.begin; m < rows.end; ++m) {
      float* x = residual(w).x + static_cast<std::size_t>(m) * dim;
      if (shape_.first) {
        const Tensor& table = *weights_.embedding();
        dequantize_row(table.dtype, table.data + static_cast<std::size_t>(plan.tokens[static_cast<std::size_t>(m)]) * table.row_bytes(),
                       {x, dim});
      } else {
        std::memcpy(x, hidden.data() + static_cast<std::size_t>(m) * dim, dim * sizeof(float));
      }
    }
  };
  if (w.index() == 0) pending_ = nullptr;
  if (small_) fill({0, batch_.rows()});
  share(w, batch_.rows(), row_grain(w, batch_.rows()), [&](Run rows) {
    for (int m = rows.begin; m < rows.end; ++m)
      rope_.fill(batch_.positions[static_cast<std::size_t>(m)], cosines_ + m * rope_.half(), sines_ + m * rope_.half());
    if (!small_) fill(rows);
  });
}

void CpuStage::norm(Worker& w, const float* weight) {
  float* scratch = reinterpret_cast<float*>(worker_scratch_ + static_cast<std::size_t>(w.index()) * worker_bytes_);
  const Residual& r = residual(w);
  const NormArgs args{r.x, pending_, weight, scratch, config().dim, config().norm_epsilon, &layout_.dim, &r.normed};
  if (small_)
    kernels_.norm(args, {0, batch_.rows()});
  else
    share(w, batch_.rows(), row_grain(w, batch_.rows()), [&](Run rows) { kernels_.norm(args, rows); });
}

void CpuStage::gemm(Worker& w, const GemmArgs& args, int rows) const {
  share_product(w, args.weights->panels(), rows, [&](Run panels, Run some) { kernels_.gemm(args, panels, some); });
}

void CpuStage::project(Worker& w, const Product& product, float* out) {
  for (const Product::Part& part : product.parts)
    gemm(w, {&part.matrix, &residual(w).normed, &layout_.dim, out + part.column, static_cast<std::size_t>(product.columns), 0},
         batch_.rows());
}

void CpuStage::attend(Worker& w, const LayerWeights& weights, std::byte* pages) {
  const int groups = static_cast<int>(layout_.heads.groups.size());
  const auto each = [&](const std::vector<AttentionItem>& items, AttentionFn fn) {
    // Long items first would balance better; their order is the plan's, so that pages of one sequence follow each other.
    share(w, static_cast<int>(items.size()) * groups, 1, [&](Run i) {
      attend_item(w, weights, pages, items[static_cast<std::size_t>(i.begin / groups)], static_cast<std::size_t>(i.begin % groups), fn);
    });
  };
  if (!batch_.decodes_only())
    share(w, batch_.rows(), row_grain(w, batch_.rows()), [&](Run rows) { kv_store(weights, pages, {0, groups}, rows); });
  each(batch_.items, kernels_.attention);
  if (!batch_.folds.empty()) each(batch_.folds, kernels_.attention_fold);
  if (layout_.group_blocks.empty())
    share(w, batch_.rows(), row_grain(w, batch_.rows()), [&](Run rows) { pack_heads({0, layout_.head_outputs.block_count()}, rows); });
}

// An item brings its own keys where no other item needs them, and takes its outputs where they are finished.
void CpuStage::attend_item(Worker& w, const LayerWeights& weights, std::byte* pages, const AttentionItem& item, std::size_t group,
                           AttentionFn fn) {
  const HeadShard::Group& g = layout_.heads.groups[group];
  const int d = config().head_dim, head = static_cast<int>(group);
  const bool folds = fn == kernels_.attention_fold;
  if (batch_.decodes_only() && !folds && item.newest_keys()) kv_store(weights, pages, {head, head + 1}, item.rows);
  const auto column = static_cast<std::size_t>((g.queries.begin - layout_.heads.queries.begin) * d);
  float* partials = nullptr;
  if (item.partials >= 0) {
    const int chunks = (item.first_position + item.rows.size() - 1) / kChunkKeys + 1;
    partials = partials_ + item.partials + static_cast<std::ptrdiff_t>(group) * chunks * item.rows.size() * batch_.group() * (d + 2);
  }
  const AttentionArgs args{qkv_,
                           static_cast<std::size_t>(weights.qkv.columns),
                           column,
                           g.queries.size(),
                           d,
                           rope(),
                           attention_scale_,
                           item.first_position,
                           item.blocks,
                           pages + group * head_pages_bytes(),
                           kv_type_,
                           heads_,
                           static_cast<std::size_t>(layout_.heads.queries.size() * d),
                           column,
                           worker_scratch_ + static_cast<std::size_t>(w.index()) * worker_bytes_,
                           item.chunks,
                           partials};
  fn(args, item.rows);
  if ((folds || !partials) && !layout_.group_blocks.empty()) pack_heads(layout_.group_blocks[group], item.rows);
}

void CpuStage::kv_store(const LayerWeights& weights, std::byte* pages, Run kv_heads, Run rows) {
  const auto first = static_cast<std::size_t>(kv_heads.begin * config().head_dim);
  kernels_.kv_store({qkv_, static_cast<std::size_t>(weights.qkv.columns), kv_heads.size(), config().head_dim,
                     static_cast<std::size_t>(weights.key_column) + first, static_cast<std::size_t>(weights.value_column) + first, rope(),
                     batch_.block_of_row.data(), batch_.slot_of_row.data(),
                     pages + static_cast<std::size_t>(kv_heads.begin) * head_pages_bytes(), head_pages_bytes(), kv_type_},
                    rows);
}

void CpuStage::pack_heads(Run blocks, Run rows) {
  kernels_.pack(
      {heads_, static_cast<std::size_t>(layout_.heads.queries.size() * config().head_dim), &layout_.head_outputs, &head_outputs_, blocks},
      rows);
}

void CpuStage::gated(Worker& w, const LayerWeights& weights) {
  const GatedArgs args{&weights.gate, &weights.up, &residual(w).normed, &layout_.dim, &hidden_, &layout_.ffn};
  share_product(w, layout_.ffn.block_count(), batch_.rows(), [&](Run blocks, Run rows) { kernels_.gated(args, blocks, rows); });
}

// A row-parallel product: this rank's subtree sums, then the tree over all ranks, so many rows at a time that the sums are still in the
// cache when they are read. The total is added to x by the next norm.
void CpuStage::reduce(Worker& w, const PackedMatrix& matrix, const Activations& input, const InputLayout& layout,
                      const ReductionTree& tree) {
  const auto dim = static_cast<std::size_t>(config().dim);
  const bool alone = tp_.size() == 1;
  if (w.index() == 0) pending_ = alone ? roots_ : sum_;  // read after the barrier of the product
  const int most = alone ? batch_.rows() : kSumRows;
  for (int first = 0; first < batch_.rows(); first += most) {
    const int rows = std::min(most, batch_.rows() - first);
    const std::size_t count = dim * static_cast<std::size_t>(rows);
    const Activations some = input.from_row(first);
    if (layout.roots > 0) gemm(w, {&matrix, &some, &layout, roots_, dim, count}, rows);
    if (alone) return;
    if (w.index() == 0)
      tp_.sum(tree, {roots_, count * static_cast<std::size_t>(layout.roots)}, {sum_ + static_cast<std::size_t>(first) * dim, count});
    w.barrier();
  }
}

// The residual stream leaves for the next stage in float32.
void CpuStage::finish(Worker& w, std::span<float> hidden) {
  const float* x = residual(w).x;
  share(w, batch_.rows(), row_grain(w, batch_.rows()), [&](Run rows) {
    const auto dim = static_cast<std::size_t>(config().dim);
    for (std::size_t i = static_cast<std::size_t>(rows.begin) * dim; i < static_cast<std::size_t>(rows.end) * dim; ++i)
      hidden[i] = pending_ ? x[i] + pending_[i] : x[i];
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
  const NormArgs args{sampled_,     nullptr,        weights_.output_norm(), scratch, config().dim, config().norm_epsilon,
                      &layout_.dim, &shared_.normed};
  const float* x = residual(w).x;
  share(w, some.size(), row_grain(w, some.size()), [&](Run rows) {
    for (int i = rows.begin; i < rows.end; ++i) {
      const std::size_t from = static_cast<std::size_t>(plan.samples[static_cast<std::size_t>(some.begin + i)].row) * dim,
                        to = static_cast<std::size_t>(i) * dim;
      for (std::size_t k = 0; k < dim; ++k) sampled_[to + k] = pending_ ? x[from + k] + pending_[from + k] : x[from + k];
    }
    kernels_.norm(args, rows);
  });
  gemm(w, {&weights_.head(), &shared_.normed, &layout_.dim, logits_, logits_stride_, 0}, some.size());
  if (tp_.size() == 1) return;
  if (w.index() == 0) gather_logits(some.size());
  w.barrier();
}

void CpuStage::gather_logits(int rows) {
  const std::size_t mine = static_cast<std::size_t>(layout_.vocab.size());
  for (int i = 0; i < rows; ++i)  // close the padding of whole panels
    std::memmove(logits_ + static_cast<std::size_t>(i) * mine, logits_ + static_cast<std::size_t>(i) * logits_stride_,
                 mine * sizeof(float));
  std::vector<std::size_t>& counts = gather_counts_;
  std::size_t total = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) total += counts[r] = static_cast<std::size_t>(vocab_shards_[r].size() * rows);
  const bool root = shape_.tp_rank == 0;
  tp_.gather(counts, {logits_, mine * static_cast<std::size_t>(rows)}, {gathered_, root ? total : 0});
  if (!root) return;
  const float* from = gathered_;
  for (const Run& shard : vocab_shards_)
    for (int i = 0; i < rows; ++i, from += shard.size())
      std::memcpy(all_logits_ + static_cast<std::size_t>(i) * row_stride_ + shard.begin, from,
                  static_cast<std::size_t>(shard.size()) * sizeof(float));
}

}  // namespace shardline
