// Single kernels on data that stays in the cache, one thread: operations per second, and their share of what this CPU's instructions can
// do.
//   kernels_bench [--json] [--kernels TABLE]
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string_view>

#include "launcher/commands/machine.h"
#include "tests/unit/engine/kernels/kernel_fixture.h"

namespace shardline {
namespace {

struct Measured {
  std::string kernel, table;
  int rows;
  double rate;  // 10^9 per second
  const char* unit;
  double limit;  // 0: none known
};

// Of this thread alone, so that other programs do not count.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Calls per second: the best of several times of at least 20 ms.
template <class Call>
double calls_per_second(Call call) {
  double best = 0;
  for (int time = 0; time < 5; ++time) {
    const double begin = cpu_seconds();
    double seconds = 0;
    int calls = 0;
    for (int more = 1; seconds < 0.02; more *= 2) {
      for (int i = 0; i < more; ++i) call();
      calls += more;
      seconds = cpu_seconds() - begin;
    }
    best = std::max(best, calls / seconds);
  }
  return best;
}

class KernelBench {
 public:
  explicit KernelBench(const KernelTable& table)
      : table_(table), limits_(launcher::measure_machine(table.name).arithmetic.front().second) {}

  std::vector<Measured> all() {
    for (const DType layout :
         {DType::q4_0, DType::q4_1, DType::q8_0, DType::q4_k, DType::q5_k, DType::q6_k, DType::bf16, DType::f16, DType::f32})
      for (const int rows : {1, 4, 8, 128}) gemm(layout, rows);
    for (const KvType kv : {KvType::bf16, KvType::f32})
      for (const int rows : {1, kAttentionVectors / kHeads}) attention(kv, rows);
    for (const ActivationForm form : {ActivationForm::q8, ActivationForm::bf16, ActivationForm::f32})
      if (form != ActivationForm::bf16 || table_.form(DType::bf16) == form)
        for (const int rows : {1, 128}) norm(form, rows);
    return std::move(out_);
  }

 private:
  static constexpr int kOutputs = 256, kColumns = 512;             // of a product: at most 512 KiB of weights
  static constexpr int kHeads = 3, kHeadDim = 64, kKeys = 1024;    // of attention: at most 512 KiB of keys and values
  static constexpr std::size_t kStride = (kHeads + 2) * kHeadDim;  // queries, a key and a value
  static constexpr std::size_t kPages = kKeys / 16;

  double limit(ActivationForm form) const {
    if (form == ActivationForm::q8) return limits_.int8_gops;
    return form == ActivationForm::bf16 && limits_.bf16_gflops > 0 ? limits_.bf16_gflops : limits_.f32_gflops;
  }

  void add(std::string kernel, int rows, double rate, const char* unit, double most) {
    out_.push_back({std::move(kernel), table_.name, rows, rate / 1e9, unit, most});
  }

  void gemm(DType type, int rows) {
    const RandomMatrix stored(type, kOutputs, kColumns, random_);
    const InputLayout layout = whole_input(kColumns);
    const Packed weights(stored, type, layout);
    const PackedInput input(table_, random_floats(static_cast<std::size_t>(rows * kColumns), 1.0f, random_), rows, layout);
    std::vector<float> out(static_cast<std::size_t>(rows * kOutputs));
    const GemmArgs args{.weights = &weights.matrix,
                        .input = &input.a,
                        .layout = &layout,
                        .out = out.data(),
                        .row_stride = kOutputs,
                        .root_stride = out.size()};
    const double calls = calls_per_second([&] { table_.gemm(args, {0, weights.matrix.panels()}, {0, rows}); });
    add(fmt::format("gemm {}", dtype_info(type).name), rows, calls * 2.0 * rows * kOutputs * kColumns, "Gop/s", limit(table_.form(type)));
  }

  // The last rows of a sequence, the keys of all its tokens being there.
  void attention(KvType kv, int rows) {
    std::vector<float> qkv = random_floats(kKeys * kStride, 1.0f, random_), out(static_cast<std::size_t>(rows) * kHeads * kHeadDim);
    const std::vector<float> cosines(kKeys * kHeadDim / 2, 1.0f), sines(cosines.size(), 0.0f);
    const Rope rope{cosines.data(), sines.data(), kHeadDim};
    std::vector<BlockId> blocks(kPages), block_of_row(kKeys);
    std::vector<std::int32_t> slot_of_row(kKeys);
    for (int t = 0; t < kKeys; ++t)
      blocks[static_cast<std::size_t>(t / 16)] = block_of_row[static_cast<std::size_t>(t)] = t / 16,
                                          slot_of_row[static_cast<std::size_t>(t)] = t % 16;
    const AlignedBuffer pages(kPages * kv_page_bytes(kv, kHeadDim)), scratch(attention_scratch_bytes(kHeadDim));
    table_.kv_store({.qkv = qkv.data(),
                     .stride = kStride,
                     .kv_heads = 1,
                     .head_dim = kHeadDim,
                     .key_offset = kHeads * kHeadDim,
                     .value_offset = (kHeads + 1) * kHeadDim,
                     .rope = rope,
                     .block_of_row = block_of_row.data(),
                     .slot_of_row = slot_of_row.data(),
                     .pages = pages.data(),
                     .head_stride = 0,
                     .kv = kv},
                    {0, kKeys});
    const AttentionArgs args{.qkv = qkv.data(),
                             .stride = kStride,
                             .query_offset = 0,
                             .heads = kHeads,
                             .head_dim = kHeadDim,
                             .rope = rope,
                             .scale = 0.125f,
                             .first_position = kKeys - rows,
                             .blocks = blocks.data(),
                             .pages = pages.data(),
                             .kv = kv,
                             .out = out.data(),
                             .out_stride = kHeads * kHeadDim,
                             .out_offset = 0,
                             .scratch = scratch.data(),
                             .chunks = {0, kKeys / kChunkKeys},
                             .partials = nullptr};
    const double calls = calls_per_second([&] { table_.attention(args, {0, rows}); });
    add(fmt::format("attention {}", kv == KvType::bf16 ? "BF16" : "F32"), rows, calls * 4.0 * rows * kHeads * kHeadDim * kKeys, "Gop/s",
        limit(kv == KvType::bf16 ? table_.form(DType::bf16) : ActivationForm::f32));
  }

  void norm(ActivationForm form, int rows) {
    const InputLayout layout = whole_input(kColumns);
    std::vector<float> x = random_floats(static_cast<std::size_t>(rows * kColumns), 1.0f, random_), scratch(kColumns);
    const std::vector<float> weight(kColumns, 1.0f);
    const PackedInput room(table_, {}, rows, layout);
    Activations out{.blocks = room.a.blocks};
    if (form == ActivationForm::q8) out.q8 = room.a.q8;
    if (form == ActivationForm::bf16) out.bf16 = room.a.bf16;
    if (form == ActivationForm::f32) out.f32 = room.a.f32;
    const NormArgs args{.x = x.data(),
                        .pending = nullptr,
                        .weight = weight.data(),
                        .scratch = scratch.data(),
                        .dim = kColumns,
                        .epsilon = 1e-5f,
                        .layout = &layout,
                        .out = &out};
    const double calls = calls_per_second([&] { table_.norm(args, {0, rows}); });
    const char* name = form == ActivationForm::q8 ? "int8" : form == ActivationForm::bf16 ? "BF16" : "F32";
    add(fmt::format("norm to {}", name), rows, calls * rows * kColumns, "Gvalues/s", 0);
  }

  const KernelTable& table_;
  const launcher::ArithmeticLimits limits_;
  std::mt19937 random_{1};
  std::vector<Measured> out_;
};

void print(const std::vector<Measured>& all) {
  fmt::print("{:<18}{:<8}{:>6}{:>10}{:>11}{:>15}\n", "kernel", "table", "rows", "rate", "", "of the limit");
  for (const Measured& m : all)
    fmt::print("{:<18}{:<8}{:>6}{:>10.1f} {:<10}{:>15}\n", m.kernel, m.table, m.rows, m.rate, m.unit,
               m.limit > 0 ? fmt::format("{:.0f} %", 100 * m.rate / m.limit) : "");
}

void print_json(const std::vector<Measured>& all) {
  const char* separator = "[";
  for (const Measured& m : all) {
    fmt::print("{}{{\"kernel\": \"{}\", \"table\": \"{}\", \"rows\": {}, \"rate\": {}, \"unit\": \"{}\", \"limit\": {}}}", separator,
               m.kernel, m.table, m.rows, m.rate, m.unit, m.limit);
    separator = ",\n ";
  }
  fmt::print("]\n");
}

}  // namespace
}  // namespace shardline

int main(int argc, char** argv) {
  bool json = false;
  std::string_view only;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") {
      json = true;
    } else if (std::string_view(argv[i]) == "--kernels" && i + 1 < argc) {
      only = argv[++i];
    } else {
      fmt::print(stderr, "usage: {} [--json] [--kernels TABLE]\n", argv[0]);
      return 64;
    }
  }
  std::vector<shardline::Measured> all;
  for (const shardline::KernelTable* table : shardline::kernel_tables())
    if (table->supported() && (only.empty() || only == table->name))
      std::ranges::move(shardline::KernelBench(*table).all(), std::back_inserter(all));
  if (all.empty()) {
    fmt::print(stderr, "no kernels {} on this CPU\n", only);
    return 78;
  }
  json ? shardline::print_json(all) : shardline::print(all);
}
