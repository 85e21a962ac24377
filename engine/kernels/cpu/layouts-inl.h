// Layouts of quantised weights (packed.h). Each says where its quants begin, gives them four columns at a time, and adds the sums of a
// sub-block (the whole block, or half of it where halves have scales of their own) to the sum of a row.

// Group g of 4 columns: low nibbles of vector g, or high nibbles of vector g - 4.
template <int Group>
[[gnu::always_inline]] inline V::W nibbles(const std::uint8_t* q) {
  return Group < 4 ? V::low_nibbles(q + 64 * Group) : V::high_nibbles(q + 64 * (Group & 3));
}

// Weights of four bits.
template <DType Type, int Quants>
struct Nibbles {
  static constexpr DType type = Type;
  static constexpr int quants = Quants, sub_blocks = 1;
  using Dot = V::Dot;
  template <int Group>
  static V::W weights(const std::uint8_t* q) {
    return nibbles<Group>(q);
  }
  static void dot(Dot& t, V::W w, const std::int8_t* a) { V::dot4(t, w, a); }
};

struct Q4_0 : Nibbles<DType::q4_0, 32> {
  static Dot start(const QuantBlock& a, int r, int) { return V::dot_start(a.comp8[r]); }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, int, V::F acc) {
    return V::fma(V::from_int(V::dot_finish(t, a.comp8[r])), V::mul(V::load_f16(w + part * V::lanes * 2), V::set1(a.d[r])), acc);
  }
};

struct Q4_1 : Nibbles<DType::q4_1, 64> {
  static Dot start(const QuantBlock&, int, int) { return V::dot_start(0); }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, int, V::F acc) {
    acc = V::fma(V::from_int(V::dot_finish(t, 0)), V::mul(V::load_f16(w + part * V::lanes * 2), V::set1(a.d[r])), acc);
    return V::fma(V::load_f16(w + 32 + part * V::lanes * 2), V::set1(a.s[r]), acc);
  }
};

struct Q8_0 {
  static constexpr DType type = DType::q8_0;
  static constexpr int quants = 32, sub_blocks = 1;
  using Dot = V::Dot8;
  static Dot start(const QuantBlock& a, int r, int) { return V::dot8_start(a.comp8[r]); }
  template <int Group>
  static V::W8 weights(const std::uint8_t* q) {
    return V::bytes(q + 64 * Group);
  }
  static void dot(Dot& t, V::W8 w, const std::int8_t* a) { V::dot4_bytes(t, w, a); }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, int, V::F acc) {
    return V::fma(V::from_int(V::dot8_finish(t)), V::mul(V::load_f16(w + part * V::lanes * 2), V::set1(a.d[r])), acc);
  }
};

// d s q - m t, with both products exact in float32.
template <class Dots>
[[gnu::always_inline]] inline V::F scale_k(const Dots& sums, const std::byte* w, int part, const QuantBlock& a, int r, V::F acc) {
  const V::F scale = V::mul(V::load_f16(w + part * V::lanes * 2), V::load_u8(w + 64 + part * V::lanes));
  const V::F minimum = V::mul(V::load_f16(w + 32 + part * V::lanes * 2), V::load_u8(w + 80 + part * V::lanes));
  acc = V::fma(V::from_int(sums), V::mul(scale, V::set1(a.d[r])), acc);
  return V::fnma(minimum, V::set1(a.s[r]), acc);
}

struct Q4_K : Nibbles<DType::q4_k, 96> {
  static Dot start(const QuantBlock&, int, int) { return V::dot_start(0); }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, int, V::F acc) {
    return scale_k(V::dot_finish(t, 0), w, part, a, r, acc);
  }
};

struct Q5_K {
  static constexpr DType type = DType::q5_k;
  static constexpr int quants = 96, sub_blocks = 1;
  using Dot = V::Dot6;
  static Dot start(const QuantBlock&, int, int) { return V::dot6_start(0); }
  template <int Group>
  static V::W weights(const std::uint8_t* q) {
    return V::with_bits<4 - Group>(nibbles<Group>(q), q + 256, 0x10);
  }
  static void dot(Dot& t, V::W w, const std::int8_t* a) { V::dot4_6(t, w, a); }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, int, V::F acc) {
    return scale_k(t, w, part, a, r, acc);
  }
};

struct Q6_K {
  static constexpr DType type = DType::q6_k;
  static constexpr int quants = 64, sub_blocks = 2;
  using Dot = V::Dot6;
  static Dot start(const QuantBlock& a, int r, int half) { return V::dot6_start(half == 0 ? a.low_comp8[r] : a.high_comp8[r]); }
  template <int Group>
  static V::W weights(const std::uint8_t* q) {
    return V::with_bits<4 - 2 * (Group & 3)>(nibbles<Group>(q), q + 256 + 64 * (Group / 4), 0x30);
  }
  static void dot(Dot& t, V::W w, const std::int8_t* a) { V::dot4_6(t, w, a); }
  [[gnu::always_inline]] static V::F scale(const Dot& t, const std::byte* w, int part, const QuantBlock& a, int r, int half, V::F acc) {
    const V::F d = V::mul(V::load_f16(w + part * V::lanes * 2), V::load_i8(w + 32 + 16 * half + part * V::lanes));
    return V::fma(V::from_int(t), V::mul(d, V::set1(a.d[r])), acc);
  }
};
