// 2^x and what is made of it, the same bits wherever they are used; packing of one block of activations.

constexpr float kLog2E = 1.44269504f;

// 2^x for x <= 127, relative error 1.6e-7; 0 below -150. NaN stays NaN. Degree 5, minimax over [-1/2, 1/2] with p(0) = 1.
[[gnu::always_inline]] inline V::F exp2(V::F x) {
  x = V::max(V::set1(-150.0f), x);
  const V::F n = V::round(x), r = V::sub(x, n);
  V::F p = V::set1(1.3264727e-3f);
  p = V::fma(p, r, V::set1(9.6715130e-3f));
  p = V::fma(p, r, V::set1(5.5507336e-2f));
  p = V::fma(p, r, V::set1(2.4022242e-1f));
  p = V::fma(p, r, V::set1(6.9314700e-1f));
  p = V::fma(p, r, V::set1(1.0f));
  return V::scale2(p, n);
}

// x / (1 + exp(-x)); the power is kept below overflow, where the quotient is zero all the same.
[[gnu::always_inline]] inline V::F silu(V::F x) {
  const V::F bounded = V::sub(V::zero(), V::max(V::set1(-126.0f), V::mul(x, V::set1(kLog2E))));
  return V::div(x, V::add(V::set1(1.0f), exp2(bounded)));
}

// Where 32 values are packed: block `block` of row m.
struct PackPlace {
  const float* x;
  int block, m;
  int lane() const { return m % kQuadRows; }
  std::size_t at(const Activations& out) const {
    return static_cast<std::size_t>(m / kQuadRows) * static_cast<std::size_t>(out.blocks) + static_cast<std::size_t>(block);
  }
};
constexpr int kPackTogether = 24;

// Magnitudes are compared as integers, among which a NaN is the largest: it ends in d.
inline float largest_magnitude(const float* x) {
  V::I largest = V::magnitude(V::load(x));
  for (int i = V::lanes; i < kBlockColumns; i += V::lanes) largest = V::max(largest, V::magnitude(V::load(x + i)));
  return std::bit_cast<float>(V::fold_max(largest));
}

// int8 with one scale for 32 columns: d = max|x| / 127.
inline void quantise_block(const float* x, float most, QuantBlock& out, int r) {
  const float d = most * (1.0f / 127);
  const V::F inverse = V::set1(d > 0 ? 127.0f / most : 0.0f);
  V::F scaled[kBlockColumns / V::lanes];
  unroll<kBlockColumns / V::lanes>([&](auto i) { scaled[i] = V::mul(V::load(x + i * V::lanes), inverse); });
  const auto [low, high] = V::store_quants(out.q[0][r], kQuadRows * 4, scaled);
  const std::int32_t sum = low + high;
  out.d[r] = d;
  out.s[r] = d * static_cast<float>(sum);
  out.comp8[r] = -8 * sum;
  out.low_comp8[r] = -8 * low;
  out.high_comp8[r] = -8 * high;
}

// Packs up to kPackTogether blocks in every form that is asked for. All maxima come first: a block's chain of dependent instructions is
// long, and the shorter its parts the more of them overlap.
inline void pack_blocks(std::span<const PackPlace> places, const Activations& out) {
  if (out.q8) {
    float most[kPackTogether];
    for (std::size_t i = 0; i < places.size(); ++i) most[i] = largest_magnitude(places[i].x);
    for (std::size_t i = 0; i < places.size(); ++i) quantise_block(places[i].x, most[i], out.q8[places[i].at(out)], places[i].lane());
  }
  for (const PackPlace& place : places) {
    if (out.f32) {
      auto* to = reinterpret_cast<float*>(out.f32 + place.at(out) * kF32BlockBytes) + place.lane();
      for (int i = 0; i < kBlockColumns; ++i) to[i * kQuadRows] = place.x[i];
    }
    if constexpr (V::dot_bf16) {
      if (!out.bf16) continue;
      auto* to = reinterpret_cast<V::Pair*>(out.bf16 + place.at(out) * kBf16BlockBytes) + place.lane();
      V::Pair pairs[kBlockColumns / 2];
      V::store_pairs(pairs, place.x);
      V::store_pairs(pairs + 8, place.x + 16);
      for (int i = 0; i < kBlockColumns / 2; ++i) to[i * kQuadRows] = pairs[i];
    }
  }
}
