// How a stage comes to be: checks, memory, loading. What it does then: stage.cpp.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "engine/model/stage.h"

namespace shardline {
namespace {

constexpr std::size_t kPartialFloats = std::size_t{1} << 20;  // attention split over keys: 4 MiB

int largest_group(const HeadShard& heads) {
  int most = 1;
  for (const HeadShard::Group& g : heads.groups) most = std::max(most, g.queries.size());
  return most;
}

Result<std::unique_ptr<CpuStage>> make_stage(const ModelFile& file, const StageShape& shape, const StageOptions& options, Collective& tp) {
  const KernelTable* kernels = find_kernels(options.kernels);
  if (!kernels)
    return Error{ErrorCode::usage, fmt::format("kernel table \"{}\" is unknown or not supported by this CPU", options.kernels), "kernels"};
  Result<StageLayout> layout = StageLayout::make(file.config(), shape);
  if (!layout) return layout.error();
  if (largest_group(layout->heads) > kAttentionVectors)
    return Error{ErrorCode::bad_model,
                 fmt::format("{} query heads share a KV head; the kernels take {}", largest_group(layout->heads), kAttentionVectors),
                 "heads"};
  return std::make_unique<CpuStage>(file, shape, options, std::move(*layout), *kernels, tp);
}

}  // namespace

Status check_plan(const StepPlan& plan, const ModelConfig& config, const StageOptions& options) {
  const auto bad = [](std::string what) { return Error{ErrorCode::invalid_argument, "plan: " + std::move(what), ""}; };
  if (plan.rows() < 1 || plan.rows() > options.max_rows) return bad(fmt::format("{} rows, at most {}", plan.rows(), options.max_rows));
  for (const TokenId t : plan.tokens)
    if (t < 0 || t >= config.vocab) return bad(fmt::format("token {} beyond the vocabulary of {}", t, config.vocab));
  for (const BlockId b : plan.block_tables)
    if (b < 0 || b >= options.kv_blocks) return bad(fmt::format("KV block {} beyond the pool of {}", b, options.kv_blocks));
  std::int64_t row = 0;
  for (const PlanSequence& s : plan.sequences) {
    const std::int64_t end = std::int64_t{s.first_position} + s.rows;
    if (s.first_row != row || s.rows < 1 || s.first_position < 0)
      return bad(fmt::format("sequence in slot {} begins at row {}, not {}", s.slot, s.first_row, row));
    if (s.first_block < 0 || s.blocks < 0 || std::size_t(s.first_block) + std::size_t(s.blocks) > plan.block_tables.size() ||
        std::int64_t{s.blocks} * kBlockTokens < end)
      return bad(fmt::format("slot {}: {} blocks do not cover {} positions", s.slot, s.blocks, end));
    row += s.rows;
  }
  if (row != plan.rows()) return bad(fmt::format("sequences hold {} rows of {}", row, plan.rows()));
  std::int32_t last = -1;
  for (const PlanSample& s : plan.samples) {
    if (s.row < last || s.row >= plan.rows() || s.row < 0) return bad(fmt::format("sample of row {}", s.row));
    if (s.sampling.target >= config.vocab) return bad(fmt::format("target token {}", s.sampling.target));
    last = s.row;
  }
  return {};
}

Result<StageMemory> stage_memory(const ModelFile& file, const StageShape& shape, const StageOptions& options) {
  SoloCollective solo;  // never called: only sizes are asked
  StageOptions one_thread = options;
  auto stage = make_stage(file, shape, one_thread, solo);
  if (!stage) return stage.error();
  return (*stage)->memory();
}

Result<std::unique_ptr<ModelStage>> ModelStage::load(const ModelFile& file, const StageShape& shape, const StageOptions& options,
                                                     Collective& tp, const std::function<void(double)>& progress) {
  auto stage = make_stage(file, shape, options, tp);
  if (!stage) return stage.error();
  (*stage)->load(progress);
  return std::unique_ptr<ModelStage>(std::move(*stage));
}

CpuStage::CpuStage(const ModelFile& file, const StageShape& shape, const StageOptions& options, StageLayout layout,
                   const KernelTable& kernels, Collective& tp)
    : file_(file),
      shape_(shape),
      options_(options),
      layout_(std::move(layout)),
      kernels_(kernels),
      kv_type_(options.compute == Compute::f32 ? KvType::f32 : KvType::bf16),
      tp_(tp),
      weights_(file, shape, layout_, options.compute),
      rope_(file.config().rope),
      batch_(options.max_rows, layout_.heads.kv.size(), largest_group(layout_.heads), file.config().head_dim, options.threads,
             kPartialFloats),
      attention_scale_(1.0f / std::sqrt(static_cast<float>(file.config().head_dim))) {
  plan_buffers();
}

// Room for every form that one of the consumers reads.
void CpuStage::plan_activations(Activations& a, const InputLayout& layout, std::size_t rows,
                                const std::vector<const PackedMatrix*>& consumers) {
  const auto wanted = [&](ActivationForm form) {
    return std::any_of(consumers.begin(), consumers.end(),
                       [&](const PackedMatrix* m) { return m->rows > 0 && kernels_.form(m->layout) == form; });
  };
  a.blocks = layout.block_count();
  const std::size_t blocks = round_up(rows, std::size_t{kQuadRows}) / kQuadRows * static_cast<std::size_t>(a.blocks);
  if (wanted(ActivationForm::q8)) carver_.take(a.q8, blocks);
  if (wanted(ActivationForm::bf16)) carver_.take(a.bf16, blocks * kBf16BlockBytes);
  if (wanted(ActivationForm::f32)) carver_.take(a.f32, blocks * kF32BlockBytes);
}

void CpuStage::plan_buffers() {
  const ModelConfig& c = config();
  const auto rows = static_cast<std::size_t>(options_.max_rows), dim = static_cast<std::size_t>(c.dim),
             d = static_cast<std::size_t>(c.head_dim);
  const auto roots = static_cast<std::size_t>(std::max({1, layout_.head_outputs.roots, layout_.ffn.roots}));
  carver_.take(roots_, roots * (shape_.tp_size == 1 ? rows : std::min(rows, std::size_t{kSumRows})) * dim);
  if (shape_.tp_size > 1) carver_.take(sum_, rows * dim);
  carver_.take(heads_, rows * static_cast<std::size_t>(layout_.heads.queries.size()) * d);
  carver_.take(cosines_, rows * static_cast<std::size_t>(rope_.half()));
  carver_.take(sines_, rows * static_cast<std::size_t>(rope_.half()));
  if (options_.threads > 1) carver_.take(partials_, kPartialFloats);
  std::size_t qkv_columns = 0;
  std::vector<const PackedMatrix*> readers{&weights_.head()}, outputs,
      downs;  // of the normed residual, of the heads' outputs, of the FFN's columns
  for (const LayerWeights& layer : weights_.layers()) {
    qkv_columns = std::max(qkv_columns, static_cast<std::size_t>(layer.qkv.columns));
    for (const Product::Part& part : layer.qkv.parts) readers.push_back(&part.matrix);
    readers.insert(readers.end(), {&layer.gate, &layer.up});
    outputs.push_back(&layer.output);
    downs.push_back(&layer.down);
  }
  carver_.take(shared_.x, rows * dim);
  plan_activations(shared_.normed, layout_.dim, rows, readers);
  if (options_.threads > 1) own_.resize(static_cast<std::size_t>(options_.threads));
  for (Residual& own : own_) {
    carver_.take(own.x, kSmallRows * dim);
    plan_activations(own.normed, layout_.dim, kSmallRows, readers);
  }
  plan_activations(head_outputs_, layout_.head_outputs, rows, outputs);
  plan_activations(hidden_, layout_.ffn, rows, downs);
  carver_.take(qkv_, rows * qkv_columns);
  if (shape_.last) {
    logits_stride_ = static_cast<std::size_t>(round_up(layout_.vocab.size(), kPanelRows));
    row_stride_ = shape_.tp_size == 1 ? logits_stride_ : static_cast<std::size_t>(c.vocab);
    carver_.take(sampled_, kSampleRows * dim);
    carver_.take(logits_, kSampleRows * logits_stride_);
    if (shape_.tp_size > 1 && shape_.tp_rank == 0) {
      carver_.take(gathered_, kSampleRows * static_cast<std::size_t>(c.vocab));
      carver_.take(all_logits_, kSampleRows * static_cast<std::size_t>(c.vocab));
    }
    vocab_shards_ = vocab_shards(c.vocab, shape_.tp_size);
    gather_counts_.resize(vocab_shards_.size());
  }
  worker_bytes_ = round_up(std::max(attention_scratch_bytes(c.head_dim), dim * sizeof(float)), std::size_t{64});
  carver_.take(worker_scratch_, worker_bytes_ * static_cast<std::size_t>(options_.threads));
}

StageMemory CpuStage::memory() const {
  const std::size_t pages = weights_.layers().size() * layout_.heads.groups.size();
  return {weights_.bytes(), pages * page_bytes(), carver_.bytes()};
}

void CpuStage::load(const std::function<void(double)>& progress) {
  team_ = std::make_unique<WorkerTeam>(options_.threads, options_.threads <= static_cast<int>(std::thread::hardware_concurrency()));
  scratch_ = AlignedBuffer(carver_.bytes());
  carver_.place(scratch_.data());
  kv_ = AlignedBuffer(memory().kv_block * static_cast<std::size_t>(options_.kv_blocks));
  if (shape_.last && shape_.tp_rank == 0)
    for (int i = 0; i < options_.threads; ++i) samplers_.emplace_back(config().vocab);
  weights_.pack(*team_, progress);
}

}  // namespace shardline
