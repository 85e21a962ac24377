// The vector vocabulary of the kernels in plain C++: the reference for the other tables. Included inside the table's namespace.
struct V {
  static constexpr int lanes = 16;
  static constexpr bool dot_bf16 = false;
  struct F {
    float v[16];
  };
  struct I {
    std::int32_t v[16];
  };
  template <class T, class Fn>
  static T each(Fn fn) {
    T out;
    for (int i = 0; i < 16; ++i) out.v[i] = fn(i);
    return out;
  }

  static F zero() { return set1(0); }
  static F set1(float x) {
    return each<F>([&](int) { return x; });
  }
  static F load(const float* p) {
    return each<F>([&](int i) { return p[i]; });
  }
  static void store(float* p, const F& x) { std::memcpy(p, x.v, sizeof x.v); }
  static F add(const F& a, const F& b) {
    return each<F>([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F sub(const F& a, const F& b) {
    return each<F>([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F mul(const F& a, const F& b) {
    return each<F>([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F div(const F& a, const F& b) {
    return each<F>([&](int i) { return a.v[i] / b.v[i]; });
  }
  // Not fused: the baseline instruction set has no fma.
  static F fma(const F& a, const F& b, const F& c) {
    return each<F>([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  static F fnma(const F& a, const F& b, const F& c) {
    return each<F>([&](int i) { return c.v[i] - a.v[i] * b.v[i]; });
  }
  static F max(const F& a, const F& b) {
    return each<F>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }  // b where either is NaN
  static F round(const F& a) {
    return each<F>([&](int i) { return std::nearbyint(a.v[i]); });
  }
  static F scale2(const F& a, const F& n) {
    return each<F>([&](int i) {
      const int whole = static_cast<int>(std::fmax(std::fmin(n.v[i], 126.0f), -252.0f)), half = whole >> 1;
      return a.v[i] * power2(half) * power2(whole - half);
    });
  }
  static F first(const F& a, int n, const F& other) {
    return each<F>([&](int i) { return i < n ? a.v[i] : other.v[i]; });
  }
  static F from_int(const I& a) {
    return each<F>([&](int i) { return static_cast<float>(a.v[i]); });
  }
  static F load_f16(const void* p) {
    const auto* h = static_cast<const std::uint16_t*>(p);
    return each<F>([&](int i) { return f16_to_f32(h[i]); });
  }
  static F load_u8(const void* p) {
    const auto* b = static_cast<const std::uint8_t*>(p);
    return each<F>([&](int i) { return static_cast<float>(b[i]); });
  }
  static F load_i8(const void* p) {
    const auto* b = static_cast<const std::int8_t*>(p);
    return each<F>([&](int i) { return static_cast<float>(b[i]); });
  }
  template <class Op>
  static float fold(F a, Op op) {
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) a.v[i] = op(a.v[i], a.v[i + half]);
    return a.v[0];
  }
  static float fold_add(const F& a) {
    return fold(a, [](float x, float y) { return x + y; });
  }
  static float fold_max(const F& a) {
    return fold(a, [](float x, float y) { return x > y ? x : y; });
  }
  static float lane0(const F& a) { return a.v[0]; }
  static I magnitude(const F& a) {
    return each<I>([&](int i) { return std::bit_cast<std::int32_t>(a.v[i]) & 0x7FFFFFFF; });
  }
  static I max(const I& a, const I& b) {
    return each<I>([&](int i) { return std::max(a.v[i], b.v[i]); });
  }
  static std::int32_t fold_max(const I& a) { return *std::max_element(a.v, a.v + 16); }
  static std::pair<std::int32_t, std::int32_t> store_quants(std::int8_t* p, std::size_t stride, const F (&x)[2]) {
    std::int32_t sums[2] = {0, 0};
    for (std::size_t i = 0; i < 32; ++i)
      sums[i / 16] += p[i / 4 * stride + i % 4] = static_cast<std::int8_t>(std::nearbyint(x[i / 16].v[i % 16]));
    return {sums[0], sums[1]};
  }

  using Dot = I;
  struct W {
    std::int8_t v[64];
  };
  static Dot dot_start(std::int32_t comp) {
    return each<I>([&](int) { return comp; });
  }
  static I dot_finish(const Dot& t, std::int32_t) { return t; }
  static W low_nibbles(const std::uint8_t* p) {
    W w;
    for (int i = 0; i < 64; ++i) w.v[i] = static_cast<std::int8_t>(p[i] & 15);
    return w;
  }
  static W high_nibbles(const std::uint8_t* p) {
    W w;
    for (int i = 0; i < 64; ++i) w.v[i] = static_cast<std::int8_t>(p[i] >> 4);
    return w;
  }
  static void dot4(Dot& t, const W& w, const std::int8_t* a) {
    for (int i = 0; i < 16; ++i) t.v[i] += w.v[4 * i] * a[0] + w.v[4 * i + 1] * a[1] + w.v[4 * i + 2] * a[2] + w.v[4 * i + 3] * a[3];
  }
  template <int Shift>
  static W with_bits(const W& w, const std::uint8_t* p, int mask) {
    W out;
    for (int i = 0; i < 64; ++i)
      out.v[i] = static_cast<std::int8_t>(w.v[i] | ((Shift >= 0 ? p[i] << (Shift & 7) : p[i] >> (-Shift & 7)) & mask));
    return out;
  }
  using Dot6 = I;
  static Dot6 dot6_start(std::int32_t comp8) { return dot_start(4 * comp8); }
  static I dot6_finish(const Dot6& t) { return t; }
  template <int Group>
  static void dot4_6(Dot6& t, const W& w, const std::int8_t* a) {
    dot4(t, w, a);
  }
  using Dot8 = I;
  using W8 = W;
  static Dot8 dot8_start(std::int32_t) { return dot_start(0); }
  static I dot8_finish(const Dot8& t) { return t; }
  static W8 bytes(const std::uint8_t* p) {
    W w;
    for (int i = 0; i < 64; ++i) w.v[i] = static_cast<std::int8_t>(p[i] - 128);
    return w;
  }
  static void dot4_bytes(Dot8& t, const W8& w, const std::int8_t* a) { dot4(t, w, a); }

  struct Pairs {
    F even, odd;
  };
  struct Pair {
    float even, odd;
  };
  static Pair make_pair(float a, float b) { return {a, b}; }
  static Pairs load_pairs(const void* p) {
    const auto* x = static_cast<const std::uint16_t*>(p);
    return {each<F>([&](int i) { return bf16_to_f32(x[2 * i]); }), each<F>([&](int i) { return bf16_to_f32(x[2 * i + 1]); })};
  }
  static void store_pairs(Pair* p, const float* x) { __builtin_memcpy(p, x, 64); }  // 16 floats are 8 pairs of neighbours
  static Pairs first_of_pairs(const Pairs& x) { return {x.even, zero()}; }
  static F dot2(const F& acc, const Pairs& x, Pair p) { return fma(x.odd, set1(p.odd), fma(x.even, set1(p.even), acc)); }

 private:
  static float power2(int n) { return std::bit_cast<float>((n + 127) << 23); }
};
