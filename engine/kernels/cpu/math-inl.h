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

// int8 with one scale for 32 columns: d = max|x| / 127. Magnitudes are compared as integers, among which a NaN is the largest: it ends in
// d.
inline void quantise_block(const float* x, QuantBlock& out, int r) {
  V::I largest = V::magnitude(V::load(x));
  for (int i = V::lanes; i < kBlockColumns; i += V::lanes) largest = V::max(largest, V::magnitude(V::load(x + i)));
  const float most = std::bit_cast<float>(V::fold_max(largest)), d = most * (1.0f / 127);
  const V::F inverse = V::set1(d > 0 ? 127.0f / most : 0.0f);
  alignas(64) std::int8_t q[kBlockColumns];
  for (int i = 0; i < kBlockColumns; i += V::lanes) V::store_i8(q + i, V::mul(V::load(x + i), inverse));
  const std::int32_t low = V::sum_i8(q), high = V::sum_i8(q + 16), sum = low + high;
  for (int group = 0; group < 8; ++group) std::memcpy(out.q[group][r], q + 4 * group, 4);
  out.d[r] = d;
  out.s[r] = d * static_cast<float>(sum);
  out.comp8[r] = -8 * sum;
  out.low_comp8[r] = -8 * low;
  out.high_comp8[r] = -8 * high;
}

// Packs 32 values as block `block` of row m in every form that is asked for.
inline void pack_block(const float* x, const Activations& out, int block, int m) {
  const int r = m % kQuadRows;
  const std::size_t at = static_cast<std::size_t>(m / kQuadRows) * static_cast<std::size_t>(out.blocks) + static_cast<std::size_t>(block);
  if (out.q8) quantise_block(x, out.q8[at], r);
  if (out.f32) {
    auto* to = reinterpret_cast<float*>(out.f32 + at * kF32BlockBytes) + r;
    for (int i = 0; i < kBlockColumns; ++i) to[i * kQuadRows] = x[i];
  }
  if constexpr (V::dot_bf16) {
    if (out.bf16) {
      auto* to = reinterpret_cast<V::Pair*>(out.bf16 + at * kBf16BlockBytes) + r;
      V::Pair pairs[kBlockColumns / 2];
      V::store_pairs(pairs, x);
      V::store_pairs(pairs + 8, x + 16);
      for (int i = 0; i < kBlockColumns / 2; ++i) to[i * kQuadRows] = pairs[i];
    }
  }
}
