// The vector vocabulary of the kernels on AVX2 with FMA and F16C. Included inside the table's namespace.
struct V {
  static constexpr int lanes = 8;
  static constexpr bool dot_bf16 = false;
  using F = __m256;
  using I = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }  // b where either is NaN
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F scale2(F a, F n) {  // a * 2^n for n in [-252, 126], in two steps so that each exponent is in range
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return mul(mul(a, power2(half)), power2(_mm256_sub_epi32(whole, half)));
  }
  static F first(F a, int n, F other) {  // lanes < n from a
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)));
  }
  static F from_int(I a) { return _mm256_cvtepi32_ps(a); }
  static F load_f16(const void* p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  static F load_u8(const void* p) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8(p))); }
  static F load_i8(const void* p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(p))); }
  static float fold_add(F a) {
    return fold8(a, [](__m128 x, __m128 y) { return _mm_add_ps(x, y); });
  }
  static float fold_max(F a) {
    return fold8(a, [](__m128 x, __m128 y) { return _mm_max_ps(x, y); });
  }
  static float lane0(F a) { return _mm256_cvtss_f32(a); }
  static I magnitude(F a) { return _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7FFFFFFF)); }
  static I max(I a, I b) { return _mm256_max_epi32(a, b); }
  static std::int32_t fold_max(I a) {
    __m128i q = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    q = _mm_max_epi32(q, _mm_unpackhi_epi64(q, q));
    return _mm_cvtsi128_si32(_mm_max_epi32(q, _mm_shuffle_epi32(q, 1)));
  }
  // 32 numbers as int8, to the nearest: eight groups of 4 to p, p + stride, ... Gives the sums of both halves.
  static std::pair<std::int32_t, std::int32_t> store_quants(std::int8_t* p, std::size_t stride, const F (&x)[4]) {
    const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
    const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(x[2]), _mm256_cvtps_epi32(x[3]));
    const __m256i quants = _mm256_packs_epi16(low, high);  // groups 0 2 4 6 1 3 5 7
    alignas(32) std::int32_t groups[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(groups), quants);
    for (std::size_t i = 0; i < 8; ++i) __builtin_memcpy(p + i * stride, &groups[i % 2 * 4 + i / 2], 4);
    const __m256i sums = _mm256_sad_epu8(_mm256_xor_si256(quants, _mm256_set1_epi8(static_cast<char>(0x80))), _mm256_setzero_si256());
    const __m128i halves = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return {_mm_cvtsi128_si32(halves) - 16 * 128, _mm_extract_epi32(halves, 2) - 16 * 128};
  }

  // u4 times int8: 16-bit sums of a whole block fit, 8 * 2 * 15 * 127 = 30480.
  using Dot = __m256i;
  using W = __m256i;
  static Dot dot_start(std::int32_t) { return _mm256_setzero_si256(); }
  static I dot_finish(Dot t, std::int32_t comp) {
    return _mm256_add_epi32(_mm256_madd_epi16(t, _mm256_set1_epi16(1)), _mm256_set1_epi32(comp));
  }
  static W low_nibbles(const std::uint8_t* p) { return _mm256_and_si256(load_bytes(p), _mm256_set1_epi8(15)); }
  static W high_nibbles(const std::uint8_t* p) { return _mm256_and_si256(_mm256_srli_epi16(load_bytes(p), 4), _mm256_set1_epi8(15)); }
  static void dot4(Dot& t, W w, const std::int8_t* a) { t = _mm256_add_epi16(t, _mm256_maddubs_epi16(w, broadcast(a))); }
  // Bits of p, shifted left (or right where shift < 0), under `mask` on top of w.
  template <int Shift>
  static W with_bits(W w, const std::uint8_t* p, int mask) {
    const __m256i x = load_bytes(p), moved = Shift >= 0 ? _mm256_slli_epi16(x, Shift & 7) : _mm256_srli_epi16(x, -Shift & 7);
    return _mm256_or_si256(w, _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask))));
  }
  // u5 or u6 times int8: a pair's sum is at most 2 * 63 * 127, two of them fit 16 bits.
  struct Dot6 {
    __m256i sum, pairs;
  };
  static Dot6 dot6_start(std::int32_t comp8) { return {_mm256_slli_epi32(_mm256_set1_epi32(comp8), 2), _mm256_setzero_si256()}; }
  static I dot6_finish(const Dot6& t) { return t.sum; }
  template <int Group>
  static void dot4_6(Dot6& t, W w, const std::int8_t* a) {
    const __m256i pairs = _mm256_maddubs_epi16(w, broadcast(a));
    if constexpr (Group % 2 == 0)
      t.pairs = pairs;
    else
      t.sum = _mm256_add_epi32(t.sum, _mm256_madd_epi16(_mm256_add_epi16(t.pairs, pairs), _mm256_set1_epi16(1)));
  }
  // int8 times int8: |w| (at most 128) times a with w's sign; a pair's sum is at most 2 * 128 * 127 = 32512.
  using Dot8 = __m256i;
  struct W8 {
    __m256i magnitude, sign;
  };
  static Dot8 dot8_start(std::int32_t) { return _mm256_setzero_si256(); }
  static I dot8_finish(Dot8 t) { return t; }
  static W8 bytes(const std::uint8_t* p) {
    const __m256i w = _mm256_xor_si256(load_bytes(p), _mm256_set1_epi8(static_cast<char>(0x80)));
    return {_mm256_abs_epi8(w), w};
  }
  static void dot4_bytes(Dot8& t, W8 w, const std::int8_t* a) {
    const __m256i pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(broadcast(a), w.sign));
    t = _mm256_add_epi32(t, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  // Pairs of bf16, widened: the even neighbour first.
  struct Pairs {
    F even, odd;
  };
  struct Pair {
    float even, odd;
  };
  static Pair make_pair(float a, float b) { return {a, b}; }
  static Pairs load_pairs(const void* p) {
    const __m256i x = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))))};
  }
  static void store_pairs(Pair* p, const float* x) { __builtin_memcpy(p, x, 64); }  // 16 floats are 8 pairs of neighbours
  static Pairs first_of_pairs(Pairs x) { return {x.even, zero()}; }
  static F dot2(F acc, Pairs x, Pair p) { return fma(x.odd, set1(p.odd), fma(x.even, set1(p.even), acc)); }

 private:
  static __m128i load8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
  static __m256i load_bytes(const std::uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static __m256i broadcast(const std::int8_t* p) {
    std::int32_t x;
    __builtin_memcpy(&x, p, 4);
    return _mm256_set1_epi32(x);
  }
  static F power2(__m256i n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
  template <class Op>
  static float fold8(__m256 h, Op op) {
    __m128 q = op(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = op(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(op(q, _mm_shuffle_ps(q, q, 1)));
  }
};
