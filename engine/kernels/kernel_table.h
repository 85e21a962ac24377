// The ops of a transformer layer as one table of functions per instruction set. A table is chosen once per rank; every rank of a job uses
// the same one. scalar is the reference that the others are tested against; results agree bit for bit only within one table.
//
// Every function works on the part of the op that it is given (rows, panels, one attention item), so that workers share an op by
// claiming parts. No function allocates, and none depends on how an op was cut.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/types.h"
#include "engine/kernels/packed.h"

namespace shardline {

// out[root, m, n] = the sums of the input's roots, for panels [panels.begin, panels.end) and rows [rows.begin, rows.end) (rows.begin a
// multiple of 4). Each output is one left-to-right fold of fma per leaf, whatever the number of rows.
struct GemmArgs {
  const PackedMatrix* weights;
  const Activations* input;
  const InputLayout* layout;
  float* out;  // (roots, rows, row_stride), row_stride a multiple of 16
  std::size_t row_stride;
  std::size_t root_stride;
};
using GemmFn = void (*)(const GemmArgs&, Run panels, Run rows);

// out = silu(x gate^T) * (x up^T), packed as the down projection's input. Works on the blocks [blocks.begin, blocks.end) of `out_layout`,
// whose columns must start at multiples of 16. Shazeer 2020 (SwiGLU).
struct GatedArgs {
  const PackedMatrix* gate;  // (columns, dim)
  const PackedMatrix* up;
  const Activations* input;
  const InputLayout* layout;
  const Activations* out;
  const InputLayout* out_layout;
};
using GatedFn = void (*)(const GatedArgs&, Run blocks, Run rows);

// Packs some blocks of rows of x (rows, stride) into the forms of `out`. Only row r's lanes of its quad are written.
struct PackArgs {
  const float* x;
  std::size_t stride;
  const InputLayout* layout;
  const Activations* out;
  Run blocks;
};
using PackFn = void (*)(const PackArgs&, Run rows);

// x += pending where pending is given; then packs x * weight / sqrt(mean(x^2) + epsilon). Zhang & Sennrich 2019 (RMSNorm).
struct NormArgs {
  float* x;              // (rows, dim), dim a multiple of 16
  const float* pending;  // (rows, dim) or null
  const float* weight;   // (dim)
  float* scratch;        // (dim) of the calling worker
  int dim;
  float epsilon;
  const InputLayout* layout;
  const Activations* out;
};
using NormFn = void (*)(const NormArgs&, Run rows);

// A KV page: 16 tokens of one KV head of one layer. Keys lie before values.
//   bf16  K u16 [head_dim/2][16][2], V u16 [8][head_dim][2]
//   f32   K f32 [head_dim/2][2][16], V f32 [8][2][head_dim]
enum class KvType { bf16, f32 };
constexpr std::size_t kv_page_bytes(KvType type, int head_dim) {
  return static_cast<std::size_t>(2 * 16 * head_dim) * (type == KvType::bf16 ? 2 : 4);
}

// Rotary position embedding (Su et al. 2021), halves paired.
struct Rope {
  const float* cosines;  // (rows, dims / 2)
  const float* sines;
  int dims;  // of each head, the first ones
};

// Puts rows' keys, rotated, and values into their pages.
struct KvStoreArgs {
  const float* qkv;  // (rows, stride)
  std::size_t stride;
  int kv_heads, head_dim;
  std::size_t key_offset, value_offset;  // columns of the first key and value head
  Rope rope;
  const BlockId* block_of_row;      // (rows)
  const std::int32_t* slot_of_row;  // (rows): 0..15 within the block
  std::byte* pages;                 // of this layer: KV head h's page of block b at h * head_stride + b * kv_page_bytes
  std::size_t head_stride;          // bytes
  KvType kv;
};
using KvStoreFn = void (*)(const KvStoreArgs&, Run rows);

// Attention of the query heads of one KV head over a sequence's pages, in absolute chunks of 128 keys (docs/decisions/). One call handles
// rows [rows.begin, rows.end) of the plan, at most kAttentionVectors / heads of them, all of one sequence, at consecutive positions.
inline constexpr int kChunkKeys = 128;
inline constexpr int kSpanChunks = 32;
inline constexpr int kAttentionVectors = 24;
struct AttentionArgs {
  const float* qkv;  // (rows, stride); head h of this call at column query_offset + h * head_dim
  std::size_t stride, query_offset;
  int heads, head_dim;     // query heads that share the KV head
  Rope rope;               // turns the queries
  float scale;             // 1 / sqrt(head_dim)
  int first_position;      // of rows.begin
  const BlockId* blocks;   // the sequence's block table
  const std::byte* pages;  // of this layer and KV head: block b at b * kv_page_bytes
  KvType kv;
  float* out;  // (rows, out_stride); head h at column out_offset + h * head_dim
  std::size_t out_stride, out_offset;
  std::byte* scratch;  // attention_scratch_bytes(head_dim) of the calling worker
  // Split over keys: where `partials` is given, only chunks [chunks.begin, chunks.end) are computed and their (m, l, o[head_dim]) per query
  // vector stored at partials + ((chunk * vectors) + vector) * (head_dim + 2), to be folded by attention_fold.
  Run chunks;
  float* partials;
};
using AttentionFn = void (*)(const AttentionArgs&, Run rows);
// Folds the partials of all chunks of the rows in the canonical order into args.out.
using AttentionFoldFn = void (*)(const AttentionArgs&, Run rows);
constexpr std::size_t attention_scratch_bytes(int head_dim) {
  return static_cast<std::size_t>(kAttentionVectors) *
             (static_cast<std::size_t>(3 * head_dim + 8) + kChunkKeys * 2 + static_cast<std::size_t>(head_dim)) * 4 +
         256;
}

struct KernelTable {
  const char* name;
  bool (*supported)();                   // by this CPU
  ActivationForm (*form)(DType layout);  // what a layout's product reads
  GemmFn gemm;
  GatedFn gated;
  PackFn pack;
  NormFn norm;
  KvStoreFn kv_store;
  AttentionFn attention;
  AttentionFoldFn attention_fold;
};

// All tables of this build, plainest first.
std::span<const KernelTable* const> kernel_tables();
// The table of that name; "" or "auto" takes SHARDLINE_KERNELS or else the best the CPU supports. Null where unknown or unsupported.
const KernelTable* find_kernels(const std::string& name);

}  // namespace shardline
