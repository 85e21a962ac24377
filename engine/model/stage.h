// ModelStage on the CPU: all workers of the rank run step() together and meet after every op (device/worker_team.h).
#pragma once
#include <memory>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/device/worker_team.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/batch.h"
#include "engine/model/model_stage.h"
#include "engine/model/rope_table.h"
#include "engine/model/stage_layout.h"
#include "engine/model/stage_weights.h"
#include "engine/sampling/sampler.h"

namespace shardline {

// Pieces of one buffer, handed out at load.
class Carver {
 public:
  template <class T>
  void take(T*& target, std::size_t count) {
    offsets_.push_back({reinterpret_cast<std::byte**>(&target), bytes_});
    bytes_ += round_up(count * sizeof(T), std::size_t{64});
  }
  std::size_t bytes() const { return bytes_; }
  void place(std::byte* base) {
    for (auto& [target, offset] : offsets_) *target = base + offset;
  }

 private:
  std::vector<std::pair<std::byte**, std::size_t>> offsets_;
  std::size_t bytes_ = 0;
};

class CpuStage final : public ModelStage {
 public:
  CpuStage(const ModelFile& file, const StageShape& shape, const StageOptions& options, StageLayout layout, const KernelTable& kernels,
           Collective& tp);
  void load(const std::function<void(double)>& progress);
  StageMemory memory() const override;

  void forward(const StepPlan& plan, std::span<float> hidden, StepResult& result) override;
  const ModelConfig& config() const override { return file_.config(); }
  std::string kernels() const override { return kernels_.name; }

 private:
  // One plan, on one worker.
  void step(Worker& w, const StepPlan& plan, std::span<float> hidden, StepResult& result);
  void begin(Worker& w, const StepPlan& plan, std::span<const float> hidden);
  void layer(Worker& w, const LayerWeights& weights, std::byte* pages);
  void finish(Worker& w, std::span<float> hidden);
  void sample(Worker& w, const StepPlan& plan, StepResult& result);

  // Ops. Each ends with a barrier, but for the norm of a small batch.
  void norm(Worker& w, const float* weight);
  void project(Worker& w, const Product& product, float* out);
  void attend(Worker& w, const LayerWeights& weights, std::byte* pages);
  void attend_item(Worker& w, const LayerWeights& weights, std::byte* pages, const AttentionItem& item, std::size_t group, AttentionFn fn);
  void kv_store(const LayerWeights& weights, std::byte* pages, Run kv_heads, Run rows);
  void pack_heads(Run blocks, Run rows);
  void gated(Worker& w, const LayerWeights& weights);
  void reduce(Worker& w, const PackedMatrix& matrix, const Activations& input, const InputLayout& layout, const ReductionTree& tree);
  void gemm(Worker& w, const GemmArgs& args, int rows) const;
  void logits(Worker& w, const StepPlan& plan, Run samples);
  void gather_logits(int rows);
  Rope rope() const { return {cosines_, sines_, 2 * rope_.half()}; }

  void plan_buffers();
  void plan_activations(Activations& a, const InputLayout& layout, std::size_t rows, const std::vector<const PackedMatrix*>& consumers);
  std::size_t page_bytes() const { return kv_page_bytes(kv_type_, config().head_dim); }
  std::size_t head_pages_bytes() const { return page_bytes() * static_cast<std::size_t>(options_.kv_blocks); }

  const ModelFile& file_;
  const StageShape shape_;
  const StageOptions options_;
  const StageLayout layout_;
  const KernelTable& kernels_;
  const KvType kv_type_;
  Collective& tp_;
  StageWeights weights_;
  RopeTable rope_;
  Batch batch_;
  std::unique_ptr<WorkerTeam> team_;

  Carver carver_;
  AlignedBuffer scratch_, kv_;
  // The residual stream. A small batch's is kept by every worker for itself: its norm is computed as often, and nobody waits for it.
  struct Residual {
    float* x = nullptr;  // (rows, dim)
    Activations normed;  // what the projections read
  };
  static constexpr int kSmallRows = 2;
  const Residual& residual(const Worker& w) const { return small_ ? own_[static_cast<std::size_t>(w.index())] : shared_; }
  bool small_ = false;
  Residual shared_;
  std::vector<Residual> own_;                    // (threads), of kSmallRows rows
  float* sum_ = nullptr;                         // (rows, dim) what the last reduction adds to it
  const float* pending_ = nullptr;               // sum_ or the partial sums themselves where there is one root; null when nothing is due
  static constexpr int kSumRows = 96;            // rows that ranks sum at once, a multiple of a quad and of a kernel's tile
  float* roots_ = nullptr;                       // (roots, rows or kSumRows, dim) partial sums of a row-parallel product
  float* qkv_ = nullptr;                         // (rows, qkv columns)
  float* heads_ = nullptr;                       // (rows, query heads * head_dim)
  float *cosines_ = nullptr, *sines_ = nullptr;  // (rows, half)
  float* partials_ = nullptr;                    // attention split over keys
  static constexpr int kSampleRows = 32;         // rows whose logits are in memory at once
  float* sampled_ = nullptr;                     // (kSampleRows, dim)
  float* logits_ = nullptr;                      // (kSampleRows, logits_stride_) of the rank's vocabulary
  float* gathered_ = nullptr;                    // the same of all ranks, one rank after another; on tp_rank 0
  float* all_logits_ = nullptr;                  // (kSampleRows, row_stride_) in token order; on tp_rank 0
  std::size_t logits_stride_ = 0, row_stride_ = 0;
  float attention_scale_ = 1;
  std::byte* worker_scratch_ = nullptr;
  std::size_t worker_bytes_ = 0;
  Activations head_outputs_, hidden_;
  std::vector<std::size_t> gather_counts_;
  std::vector<Run> vocab_shards_;
  std::vector<Sampler> samplers_;  // one per worker
};

}  // namespace shardline
