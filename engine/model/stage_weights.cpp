#include "engine/model/stage_weights.h"

#include <algorithm>
#include <atomic>

#include "engine/base/check.h"
#include "engine/weights/dequantize.h"

namespace shardline {
namespace {

std::vector<RowSource> row_run(const Tensor* tensor, Run run) {
  std::vector<RowSource> rows;
  rows.reserve(static_cast<std::size_t>(run.size()));
  for (int i = run.begin; i < run.end; ++i) rows.push_back({tensor, i});
  return rows;
}

// Runs of rows of one stored type become one matrix each; a run may only end on a whole panel.
std::vector<std::size_t> type_borders(const std::vector<RowSource>& rows) {
  std::vector<std::size_t> borders{0};
  for (std::size_t i = 1; i < rows.size(); ++i)
    if (rows[i].tensor->dtype != rows[i - 1].tensor->dtype) borders.push_back(i);
  borders.push_back(rows.size());
  return borders;
}

}  // namespace

StageWeights::StageWeights(const ModelFile& file, const StageShape& shape, const StageLayout& layout, Compute compute)
    : file_(file), layout_(layout), compute_(compute) {
  layers_.resize(static_cast<std::size_t>(shape.layers.size()));
  for (int i = 0; i < shape.layers.size(); ++i) plan_layer(shape.layers.begin + i, layers_[static_cast<std::size_t>(i)]);
  const Tensor* embedding = file.find(TensorRole::token_embedding);
  if (shape.first) embedding_ = embedding;
  if (shape.last) {
    plan_vector(file.find(TensorRole::output_norm), &output_norm_);
    const Tensor* output = file.config().tied_embeddings ? embedding : file.find(TensorRole::output);
    plan_matrix(head_, row_run(output, layout.vocab), 0, layout.dim);
  }
}

// Rows of some heads. Files whose rotated rows stand as neighbours (0, d/2, 1, d/2 + 1, ...) are put back in the order of halves.
std::vector<RowSource> StageWeights::head_rows(const Tensor* tensor, Run heads, bool rotated) const {
  const int d = file_.config().head_dim, half = file_.config().rope.dims / 2;
  std::vector<RowSource> rows;
  for (int h = heads.begin; h < heads.end; ++h)
    for (int i = 0; i < d; ++i) {
      const bool moved = rotated && file_.config().rows_interleaved && i < 2 * half;
      const int from = moved ? i % half * 2 + i / half : i;
      rows.push_back({tensor, static_cast<std::int64_t>(h) * d + from});
    }
  return rows;
}

void StageWeights::plan_layer(int index, LayerWeights& layer) {
  const ModelConfig& config = file_.config();
  plan_vector(file_.find(TensorRole::attn_norm, index), &layer.attn_norm);
  plan_vector(file_.find(TensorRole::ffn_norm, index), &layer.ffn_norm);

  std::vector<RowSource> rows = head_rows(file_.find(TensorRole::attn_q, index), layout_.heads.queries, true);
  layer.key_column = static_cast<int>(rows.size());
  const auto append = [&](std::vector<RowSource> more) { rows.insert(rows.end(), more.begin(), more.end()); };
  append(head_rows(file_.find(TensorRole::attn_k, index), layout_.heads.kv, true));
  layer.value_column = static_cast<int>(rows.size());
  append(head_rows(file_.find(TensorRole::attn_v, index), layout_.heads.kv, false));
  const std::vector<std::size_t> borders = type_borders(rows);
  layer.qkv.parts.resize(borders.size() - 1);  // before matrices point into it
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    layer.qkv.parts[i].column = static_cast<int>(borders[i]);  // head_dim is a multiple of 16, so every part begins on a panel
    plan_matrix(layer.qkv.parts[i].matrix, {rows.begin() + static_cast<std::ptrdiff_t>(borders[i]), rows.begin() + static_cast<std::ptrdiff_t>(borders[i + 1])}, 0, layout_.dim);
  }
  layer.qkv.columns = static_cast<int>(rows.size());

  plan_matrix(layer.output, row_run(file_.find(TensorRole::attn_output, index), {0, config.dim}),
              static_cast<std::int64_t>(layout_.heads.queries.begin) * config.head_dim, layout_.head_outputs);
  if (layout_.ffn_columns.size() == 0) return;
  plan_matrix(layer.gate, row_run(file_.find(TensorRole::ffn_gate, index), layout_.ffn_columns), 0, layout_.dim);
  plan_matrix(layer.up, row_run(file_.find(TensorRole::ffn_up, index), layout_.ffn_columns), 0, layout_.dim);
  plan_matrix(layer.down, row_run(file_.find(TensorRole::ffn_down, index), {0, config.dim}), layout_.ffn_columns.begin, layout_.ffn);
}

void StageWeights::plan_vector(const Tensor* tensor, const float** target) {
  vectors_.push_back({target, tensor, bytes_});
  bytes_ += round_up(static_cast<std::size_t>(tensor->columns) * sizeof(float), std::size_t{64});
}

void StageWeights::plan_matrix(PackedMatrix& target, std::vector<RowSource> rows, std::int64_t first_column, const InputLayout& layout) {
  if (rows.empty()) return;
  const DType type = compute_ == Compute::f32 ? DType::f32 : rows.front().tensor->dtype;
  target = {type, static_cast<int>(rows.size()), layout.block_count(), nullptr};
  matrices_.push_back({&target, type, std::move(rows), first_column, &layout, bytes_});
  bytes_ += round_up(target.bytes(), std::size_t{64});
}

void StageWeights::pack(WorkerTeam& team, const std::function<void(double)>& progress) {
  memory_ = AlignedBuffer(bytes_);
  for (const Vector& v : vectors_) {
    float* out = reinterpret_cast<float*>(memory_.data() + v.offset);
    dequantize_row(v.tensor->dtype, v.tensor->data, {out, static_cast<std::size_t>(v.tensor->columns)});
    *v.target = out;
  }
  std::size_t done = 0;
  for (const Matrix& m : matrices_) {
    std::byte* out = memory_.data() + m.offset;
    team.run([&](Worker& w) {
      constexpr int kGrain = 8;
      for (int first; (first = w.claim() * kGrain) < m.target->panels();)
        pack_panels(m.type, m.rows, m.first_column, *m.layout, out, {first, std::min(first + kGrain, m.target->panels())});
    });
    m.target->data = out;
    const Tensor* released = nullptr;
    for (const RowSource& row : m.rows)
      if (row.tensor != released) file_.release(*(released = row.tensor));
    done += m.target->bytes();
    if (progress) progress(static_cast<double>(done) / static_cast<double>(bytes_));
  }
  for (Matrix& m : matrices_) m.rows = {};
}

}  // namespace shardline
