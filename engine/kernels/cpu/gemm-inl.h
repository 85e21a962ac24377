// Products with packed weights (kernel_table.h: GemmFn, GatedFn). Each lane is one output; columns run in the order of the layout, so the
// bits of an output do not depend on how many rows or panels a call has.

constexpr bool kWide = V::lanes == 16 && V::dot_bf16;  // 32 vector registers
constexpr int kMaxSums = 8;                            // unfinished sums of a reduction tree of 16 leaves

// Sums the leaves of a tile of N vectors and merges them in tree order. add(acc, block) adds one block; store(root, acc) takes a finished
// root.
template <int N, class Add, class Store>
[[gnu::always_inline]] inline void sum_leaves(const InputLayout& layout, Add&& add, Store&& store) {
  V::F waiting[kMaxSums][N];
  int depth = 0, block = 0, root = 0;
  for (const InputLayout::Leaf& leaf : layout.leaves) {
    V::F acc[N];
    unroll<N>([&](auto i) { acc[i] = V::zero(); });
    for (const int end = block + leaf.blocks; block < end; ++block) add(acc, block);
    for (int i = 0; i < leaf.merges; ++i) {
      --depth;
      unroll<N>([&](auto j) { acc[j] = V::add(waiting[depth][j], acc[j]); });
    }
    if (leaf.done) {
      store(root++, acc);
    } else {
      unroll<N>([&](auto i) { waiting[depth][i] = acc[i]; });
      ++depth;
    }
  }
}

// A tile's share of the output: (root, m, n) at out + root * root_stride + m * row_stride + n.
struct TileOut {
  float* out;
  std::size_t row_stride, root_stride;
};

// M rows times P vectors of a panel, from vector `part` on. `input` is the first row's quad, `quad_blocks` its length.
template <class L, int M, int P>
[[gnu::noinline]] void quant_tile(const std::byte* panel, int part, const QuantBlock* input, int quad_blocks, const InputLayout& layout,
                                  const TileOut& to) {
  constexpr std::size_t kBytes = weight_block_bytes(L::type);
  const std::size_t ahead = M <= 4 ? 8 * kBytes : 0;
  sum_leaves<M * P>(
      layout,
      [&](V::F(&acc)[M * P], int block) __attribute__((always_inline)) {
        const std::byte* w = panel + static_cast<std::size_t>(block) * kBytes;
        if constexpr (M <= 4)
          unroll<static_cast<int>((kBytes + 63) / 64 * P / kParts)>(
              [&](auto i) { __builtin_prefetch(w + ahead + 64 * (i * (kParts / P) + part), 0, 3); });
        const auto* q = reinterpret_cast<const std::uint8_t*>(w + L::quants) + part * V::lanes * 4;
        const auto row = [&](int r) __attribute__((always_inline))->const QuantBlock& {
          return input[static_cast<std::size_t>(r / kQuadRows) * static_cast<std::size_t>(quad_blocks) + static_cast<std::size_t>(block)];
        };
        // As many rows at once as the registers hold: they share what it takes to unpack a weight.
        constexpr int kAtOnce = kWide ? M : kQuadRows;
        unroll<(M + kAtOnce - 1) / kAtOnce>([&](auto some) __attribute__((always_inline)) {
          constexpr int first = some * kAtOnce, R = first + kAtOnce <= M ? kAtOnce : M - first;
          typename L::Dot t[R * P];
          unroll<8>([&](auto group) __attribute__((always_inline)) {
            unroll<P>([&](auto p) __attribute__((always_inline)) {
              const auto weights = L::template weights<group>(q + p * V::lanes * 4);
              unroll<R>([&](auto r) __attribute__((always_inline)) {
                L::template dot<group>(t[r * P + p], weights, row(first + r), (first + r) % kQuadRows);
              });
            });
          });
          unroll<R * P>([&](auto i) __attribute__((always_inline)) {
            constexpr int r = first + i / P;
            acc[r * P + i % P] = L::scale(t[i], w, part + i % P, row(r), r % kQuadRows, acc[r * P + i % P]);
          });
        });
      },
      [&](int root, V::F(&acc)[M * P]) __attribute__((always_inline)) {
        float* out = to.out + static_cast<std::size_t>(root) * to.root_stride + part * V::lanes;
        unroll<M>([&](auto m) { unroll<P>([&](auto p) { V::store(out + m * to.row_stride + p * V::lanes, acc[m * P + p]); }); });
      });
}

// ---- Weights in floating point. A layout adds one block of one vector of a panel to M rows.

struct F32 {
  static constexpr DType type = DType::f32;
  static constexpr std::size_t quad_block_bytes = kF32BlockBytes;
  static constexpr int steps = 32, two_panels = 2;
  static V::F weights(const std::byte* w, int step, int part) {
    return V::load(reinterpret_cast<const float*>(w) + step * 16 + part * V::lanes);
  }
  static V::F add(V::F acc, V::F w, const std::byte* a, int step, int r) {
    return V::fma(w, V::set1(reinterpret_cast<const float*>(a)[step * 4 + r]), acc);
  }
};

struct F16 {
  static constexpr DType type = DType::f16;
  static constexpr std::size_t quad_block_bytes = kF32BlockBytes;
  static constexpr int steps = 32, two_panels = 2;
  static V::F weights(const std::byte* w, int step, int part) { return V::load_f16(w + (step * 16 + part * V::lanes) * 2); }
  static V::F add(V::F acc, V::F w, const std::byte* a, int step, int r) { return F32::add(acc, w, a, step, r); }
};

struct Bf16 {
  static constexpr DType type = DType::bf16;
  static constexpr std::size_t quad_block_bytes = V::dot_bf16 ? kBf16BlockBytes : kF32BlockBytes;
  static constexpr int steps = 16, two_panels = V::dot_bf16 ? 2 : 1;  // most rows whose sums over two panels fit 16 registers
  static V::Pairs weights(const std::byte* w, int step, int part) { return V::load_pairs(w + (step * 16 + part * V::lanes) * 4); }
  static V::F add(V::F acc, V::Pairs w, const std::byte* a, int step, int r) {
    if constexpr (V::dot_bf16) {
      return V::dot2(acc, w, reinterpret_cast<const V::Pair*>(a)[step * 4 + r]);
    } else {
      const auto* x = reinterpret_cast<const float*>(a) + step * 8 + r;
      return V::dot2(acc, w, V::make_pair(x[0], x[4]));
    }
  }
};

// M rows times U consecutive vectors, beginning with vector `unit` counted over panels.
template <class L, int M, int U>
[[gnu::noinline]] void float_tile(const std::byte* weights, std::size_t panel_bytes, const std::byte* input, int quad_blocks,
                                  const InputLayout& layout, const TileOut& to) {
  constexpr int kQuads = (M + 3) / 4;
  constexpr std::size_t kBytes = weight_block_bytes(L::type), kStepBytes = kBytes / L::steps;
  constexpr int kAhead = kBytes < 2048 ? 2048 / static_cast<int>(kBytes) : 1;  // blocks
  const std::byte* w[U];
  unroll<U>([&](auto u) { w[u] = weights + (u / kParts) * panel_bytes; });
  const std::size_t quad_bytes = static_cast<std::size_t>(quad_blocks) * L::quad_block_bytes;
  sum_leaves<M * U>(
      layout,
      [&](V::F(&acc)[M * U], int block) __attribute__((always_inline)) {
        const std::size_t at = static_cast<std::size_t>(block) * kBytes;
        // Two panels are two streams: behind the end of one begins what the other has read, its own next panel is one further.
        const std::size_t ahead = kAhead * kBytes + (block + kAhead < quad_blocks ? 0 : (U / kParts - 1) * panel_bytes);
        const std::byte* a = input + static_cast<std::size_t>(block) * L::quad_block_bytes;
#pragma GCC unroll 2
        for (int step = 0; step < L::steps; ++step) {
          decltype(L::weights(nullptr, 0, 0)) x[U];
          unroll<U>([&](auto u) { x[u] = L::weights(w[u] + at, step, u % kParts); });
          if constexpr (M <= 4)
            unroll<U / kParts>([&](auto p) { __builtin_prefetch(w[p * kParts] + at + ahead + kStepBytes * step, 0, 3); });
          unroll<kQuads>([&](auto quad) {
            constexpr int G = quad * 4 + 4 <= M ? 4 : M - quad * 4;
            const std::byte* from = a + quad * quad_bytes;
            unroll<G>([&](auto r) {
              unroll<U>([&](auto u) {
                constexpr int i = (quad * 4 + r) * U + u;
                acc[i] = L::add(acc[i], x[u], from, step, r);
              });
            });
          });
        }
      },
      [&](int root, V::F(&acc)[M * U]) __attribute__((always_inline)) {
        float* out = to.out + static_cast<std::size_t>(root) * to.root_stride;
        unroll<M>([&](auto m) { unroll<U>([&](auto u) { V::store(out + m * to.row_stride + u * V::lanes, acc[m * U + u]); }); });
      });
}

// ---- Loops over tiles.

// Calls fn(std::integral_constant<M>, first row) with the largest tiles first. Largest is a multiple of 4.
template <int Largest, class Fn>
void for_row_tiles(int rows, Fn&& fn) {
  int m = 0;
  for (; rows - m >= Largest; m += Largest) fn(std::integral_constant<int, Largest>{}, m);
  if constexpr (Largest > 8)
    for (; rows - m >= 8; m += 8) fn(std::integral_constant<int, 8>{}, m);
  if constexpr (Largest > 4)
    for (; rows - m >= 4; m += 4) fn(std::integral_constant<int, 4>{}, m);
  switch (rows - m) {
    case 3: return fn(std::integral_constant<int, 3>{}, m);
    case 2: return fn(std::integral_constant<int, 2>{}, m);
    case 1: return fn(std::integral_constant<int, 1>{}, m);
  }
}

template <class L>
void quant_gemm(const GemmArgs& g, Run panels, Run rows, const TileOut& to) {
  constexpr int kLargest = !kWide ? 4 : sizeof(typename L::Dot) == sizeof(V::I) ? 12 : 8;  // whose sums stay in registers
  const int blocks = g.input->blocks;
  const QuantBlock* input = g.input->q8 + static_cast<std::size_t>(rows.begin / kQuadRows) * static_cast<std::size_t>(blocks);
  for (int panel = panels.begin; panel < panels.end; ++panel) {
    const std::byte* w = g.weights->data + static_cast<std::size_t>(panel) * g.weights->panel_bytes();
    for_row_tiles<kLargest>(rows.size(), [&](auto tile, int m) {
      const TileOut at{to.out + static_cast<std::size_t>(m) * to.row_stride + (panel - panels.begin) * kPanelRows, to.row_stride,
                       to.root_stride};
      constexpr int kTogether = tile <= 2 ? kParts : 1;  // few rows leave registers for a whole panel
      for (int part = 0; part < kParts; part += kTogether)
        quant_tile<L, tile, kTogether>(w, part, input + static_cast<std::size_t>(m / kQuadRows) * static_cast<std::size_t>(blocks), blocks,
                                       *g.layout, at);
    });
  }
}

template <class L>
void float_gemm(const GemmArgs& g, Run panels, Run rows, const TileOut& to) {
  constexpr int kLargest = kWide ? 12 : 4;
  const std::size_t quad_bytes = static_cast<std::size_t>(g.input->blocks) * L::quad_block_bytes;
  const std::byte* input = (L::quad_block_bytes == kBf16BlockBytes ? g.input->bf16 : g.input->f32) +
                           static_cast<std::size_t>(rows.begin / kQuadRows) * quad_bytes;
  for (int panel = panels.begin; panel < panels.end;) {
    const int step = std::min(2, panels.end - panel);
    const std::byte* w = g.weights->data + static_cast<std::size_t>(panel) * g.weights->panel_bytes();
    for_row_tiles<kLargest>(rows.size(), [&](auto tile, int m) {
      const TileOut at{to.out + static_cast<std::size_t>(m) * to.row_stride + (panel - panels.begin) * kPanelRows, to.row_stride,
                       to.root_stride};
      const std::byte* from = input + static_cast<std::size_t>(m / kQuadRows) * quad_bytes;
      const auto run = [&](auto units, int first) {
        float_tile<L, tile, units>(w + static_cast<std::size_t>(first) * g.weights->panel_bytes(), g.weights->panel_bytes(), from,
                                   g.input->blocks, *g.layout, TileOut{at.out + first * kPanelRows, at.row_stride, at.root_stride});
      };
      // Two panels at once where the registers hold them, else one after another.
      if (step == 2 && (kWide || (V::lanes == 8 && tile <= L::two_panels))) return run(std::integral_constant<int, 2 * kParts>{}, 0);
      for (int i = 0; i < step; ++i) run(std::integral_constant<int, kParts>{}, i);
    });
    panel += step;
  }
}

// Output at `to`, which is where (root 0, row rows.begin, column 16 * panels.begin) goes.
void gemm_at(const GemmArgs& g, Run panels, Run rows, const TileOut& to) {
  switch (g.weights->layout) {
    case DType::q4_0: return quant_gemm<Q4_0>(g, panels, rows, to);
    case DType::q4_1: return quant_gemm<Q4_1>(g, panels, rows, to);
    case DType::q8_0: return quant_gemm<Q8_0>(g, panels, rows, to);
    case DType::q4_k: return quant_gemm<Q4_K>(g, panels, rows, to);
    case DType::q5_k: return quant_gemm<Q5_K>(g, panels, rows, to);
    case DType::q6_k: return quant_gemm<Q6_K>(g, panels, rows, to);
    case DType::bf16: return float_gemm<Bf16>(g, panels, rows, to);
    case DType::f16: return float_gemm<F16>(g, panels, rows, to);
    case DType::f32: return float_gemm<F32>(g, panels, rows, to);
  }
}

void gemm(const GemmArgs& g, Run panels, Run rows) {
  float* out = g.out + static_cast<std::size_t>(rows.begin) * g.row_stride + static_cast<std::size_t>(panels.begin) * kPanelRows;
  gemm_at(g, panels, rows, {out, g.row_stride, g.root_stride});
}

void gated(const GatedArgs& g, Run blocks, Run rows) {
  constexpr int kRows = kPackTogether;
  alignas(64) float gate[kRows * kBlockColumns], up[kRows * kBlockColumns];
  const GemmArgs gate_args{g.gate, g.input, g.layout, nullptr, 0, 0}, up_args{g.up, g.input, g.layout, nullptr, 0, 0};
  for (int block = blocks.begin; block < blocks.end; ++block) {
    const InputLayout::Block& b = g.out_layout->blocks[static_cast<std::size_t>(block)];
    const Run panels{b.begin / kPanelRows, (b.begin + b.width + kPanelRows - 1) / kPanelRows};
    for (int m = rows.begin; m < rows.end; m += kRows) {
      const Run some{m, std::min(rows.end, m + kRows)};
      gemm_at(gate_args, panels, some, {gate, kBlockColumns, 0});
      gemm_at(up_args, panels, some, {up, kBlockColumns, 0});
      PackPlace places[kRows];
      for (int r = 0; r < some.size(); ++r) {
        float* h = gate + r * kBlockColumns;
        for (int i = 0; i < kBlockColumns; i += V::lanes) {
          const V::F value = i < panels.size() * kPanelRows ? V::mul(silu(V::load(h + i)), V::load(up + r * kBlockColumns + i)) : V::zero();
          V::store(h + i, value);
        }
        places[r] = {h, block, m + r};
      }
      pack_blocks({places, static_cast<std::size_t>(some.size())}, *g.out);
    }
  }
}
