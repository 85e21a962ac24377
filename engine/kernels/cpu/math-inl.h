// exp and what is made of it, the same bits wherever they are used; packing of one block of activations.

// exp(x) for x <= 88, relative error about 2e-7; 0 below -104. NaN stays NaN. Cody-Waite reduction, Taylor to degree 6.
[[gnu::always_inline]] inline V::F exp(V::F x) {
  x = V::max(V::set1(-104.0f), x);
  const V::F n = V::round(V::mul(x, V::set1(1.44269504f)));
  V::F r = V::fnma(n, V::set1(0.693145752f), x);
  r = V::fnma(n, V::set1(1.42860677e-6f), r);
  V::F p = V::set1(1.0f / 720);
  p = V::fma(p, r, V::set1(1.0f / 120));
  p = V::fma(p, r, V::set1(1.0f / 24));
  p = V::fma(p, r, V::set1(1.0f / 6));
  p = V::fma(p, r, V::set1(0.5f));
  p = V::fma(p, r, V::set1(1.0f));
  p = V::fma(p, r, V::set1(1.0f));
  return V::scale2(p, n);
}

inline float exp1(float x) {
  alignas(64) float lanes[V::lanes];
  V::store(lanes, exp(V::set1(x)));
  return lanes[0];
}

// x / (1 + exp(-x)); exp is kept below overflow, where the quotient is zero all the same.
[[gnu::always_inline]] inline V::F silu(V::F x) {
  const V::F bounded = V::sub(V::zero(), V::max(V::set1(-88.0f), x));
  return V::div(x, V::add(V::set1(1.0f), exp(bounded)));
}

// int8 with one scale for 32 columns: d = max|x| / 127. A NaN or an infinity makes d NaN, so that it is not lost on the way.
inline void quantise_block(const float* x, QuantBlock& out, int r) {
  V::F largest = V::zero(), poison = V::zero();
  for (int i = 0; i < kBlockColumns; i += V::lanes) {
    largest = V::max(largest, V::abs(V::load(x + i)));
    poison = V::fma(V::load(x + i), V::zero(), poison);
  }
  const float d = V::fold_max(largest) / 127.0f + V::fold_add(poison);
  const V::F inverse = V::set1(d > 0 ? 1.0f / d : 0.0f);
  alignas(64) std::int8_t q[kBlockColumns];
  for (int i = 0; i < kBlockColumns; i += V::lanes) V::store_i8(q + i, V::mul(V::load(x + i), inverse));
  std::int32_t sum = 0;
  for (int i = 0; i < kBlockColumns; ++i) sum += q[i];
  for (int group = 0; group < 8; ++group) std::memcpy(out.q[group][r], q + 4 * group, 4);
  out.d[r] = d;
  out.s[r] = d * static_cast<float>(sum);
  out.comp8[r] = -8 * sum;
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
