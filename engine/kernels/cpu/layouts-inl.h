// Layouts of quantised weights (packed.h). Each says where its quants begin, gives them four columns at a time, adds their products with a
// row's inputs to the row's integer sums (group 0 starts them), and adds those to the sum of a row when the block is done.

// Group g of 4 columns: low nibbles of vector g, or high nibbles of vector g - 4.
template <int Group>
[[gnu::always_inline]] inline V::W nibbles(const std::uint8_t* q) {
  return Group < 4 ? V::low_nibbles(q + 64 * Group) : V::high_nibbles(q + 64 * (Group & 3));
}

// Weights of four bits. Offset: they stand for q - 8.
template <DType Type, int Quants, bool Offset>
struct Nibbles {
  static constexpr DType type = Type;
  static constexpr int quants = Quants;
  using Dot = V::Dot;
  template <int Group>
  static V::W weights(const std::uint8_t* q) {
    return nibbles<Group>(q);
  }
  template <int Group>
  static void dot(Dot& t, V::W w, const QuantBlock& a, int r) {
    if constexpr (Group == 0) t = V::dot_start(Offset ? a.comp8[r] : 0);
    V::dot4(t, w, a.q[Group][r]);
  }
};

struct Q4_0 : Nibbles<DType::q4_0, 32, true> {
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
    return V::fma(V::from_int(V::dot_finish(t, a.comp8[r])), V::mul(V::load_f16(w + part * V::lanes * 2), V::set1(a.d[r])), acc);
  }
};

struct Q4_1 : Nibbles<DType::q4_1, 64, false> {
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
    acc = V::fma(V::from_int(V::dot_finish(t, 0)), V::mul(V::load_f16(w + part * V::lanes * 2), V::set1(a.d[r])), acc);
    return V::fma(V::load_f16(w + 32 + part * V::lanes * 2), V::set1(a.s[r]), acc);
  }
};

struct Q8_0 {
  static constexpr DType type = DType::q8_0;
  static constexpr int quants = 32;
  using Dot = V::Dot8;
  template <int Group>
  static V::W8 weights(const std::uint8_t* q) {
    return V::bytes(q + 64 * Group);
  }
  template <int Group>
  static void dot(Dot& t, V::W8 w, const QuantBlock& a, int r) {
    if constexpr (Group == 0) t = V::dot8_start(a.comp8[r]);
    V::dot4_bytes(t, w, a.q[Group][r]);
  }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
    return V::fma(V::from_int(V::dot8_finish(t)), V::mul(V::load_f16(w + part * V::lanes * 2), V::set1(a.d[r])), acc);
  }
};

// d s q - m t, with both products exact in float32.
[[gnu::always_inline]] inline V::F scale_k(V::I sums, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
  const V::F scale = V::mul(V::load_f16(w + part * V::lanes * 2), V::load_u8(w + 64 + part * V::lanes));
  const V::F minimum = V::mul(V::load_f16(w + 32 + part * V::lanes * 2), V::load_u8(w + 80 + part * V::lanes));
  acc = V::fma(V::from_int(sums), V::mul(scale, V::set1(a.d[r])), acc);
  return V::fnma(minimum, V::set1(a.s[r]), acc);
}

struct Q4_K : Nibbles<DType::q4_k, 96, false> {
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
    return scale_k(V::dot_finish(t, 0), w, part, a, r, acc);
  }
};

struct Q5_K {
  static constexpr DType type = DType::q5_k;
  static constexpr int quants = 96;
  using Dot = V::Dot6;
  template <int Group>
  static V::W weights(const std::uint8_t* q) {
    return V::with_bits<4 - Group>(nibbles<Group>(q), q + 256, 0x10);
  }
  template <int Group>
  static void dot(Dot& t, V::W w, const QuantBlock& a, int r) {
    if constexpr (Group == 0) t = V::dot6_start(0);
    V::dot4_6<Group>(t, w, a.q[Group][r]);
  }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
    return scale_k(V::dot6_finish(t), w, part, a, r, acc);
  }
};

// The halves of 16 columns have scales of their own: they are added before the input's scale comes in.
struct Q6_K {
  static constexpr DType type = DType::q6_k;
  static constexpr int quants = 64;
  struct Dot {
    V::Dot6 low, high;
  };
  template <int Group>
  static V::W weights(const std::uint8_t* q) {
    return V::with_bits<4 - 2 * (Group & 3)>(nibbles<Group>(q), q + 256 + 64 * (Group / 4), 0x30);
  }
  template <int Group>
  static void dot(Dot& t, V::W w, const QuantBlock& a, int r) {
    if constexpr (Group == 0) t.low = V::dot6_start(a.low_comp8[r]);
    if constexpr (Group == 4) t.high = V::dot6_start(a.high_comp8[r]);
    V::dot4_6<Group>(Group < 4 ? t.low : t.high, w, a.q[Group][r]);
  }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
    const V::F d = V::load_f16(w + part * V::lanes * 2);
    const V::F low = V::mul(d, V::load_i8(w + 32 + part * V::lanes)), high = V::mul(d, V::load_i8(w + 48 + part * V::lanes));
    const V::F both = V::fma(V::from_int(V::dot6_finish(t.high)), high, V::mul(V::from_int(V::dot6_finish(t.low)), low));
    return V::fma(both, V::set1(a.d[r]), acc);
  }
};
