// The vector vocabulary of the kernels on AVX-512 with VNNI and BF16. Included inside the table's namespace.
struct V {
  static constexpr int lanes = 16;
  static constexpr bool dot_bf16 = true;
  using F = __m512;
  using I = __m512i;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }  // b where either is NaN
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F scale2(F a, F n) { return _mm512_scalef_ps(a, n); }                                 // a * 2^n
  static F first(F a, int n, F other) { return _mm512_mask_mov_ps(other, first_mask(n), a); }  // lanes < n from a
  static F from_int(I a) { return _mm512_cvtepi32_ps(a); }
  static F load_f16(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }
  static F load_u8(const void* p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16(p))); }
  static F load_i8(const void* p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p))); }
  static float fold_add(F a) {  // (i, i + 8), (i, i + 4), (i, i + 2), (i, i + 1)
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
    return fold8(h, [](__m128 x, __m128 y) { return _mm_add_ps(x, y); });
  }
  static float fold_max(F a) {
    const __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
    return fold8(h, [](__m128 x, __m128 y) { return _mm_max_ps(x, y); });
  }
  static float lane0(F a) { return _mm_cvtss_f32(_mm512_castps512_ps128(a)); }
  static I magnitude(F a) { return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7FFFFFFF)); }
  static I max(I a, I b) { return _mm512_max_epi32(a, b); }
  static std::int32_t fold_max(I a) {
    const __m256i h = _mm256_max_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    __m128i q = _mm_max_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    q = _mm_max_epi32(q, _mm_unpackhi_epi64(q, q));
    return _mm_cvtsi128_si32(_mm_max_epi32(q, _mm_shuffle_epi32(q, 1)));
  }
  // 32 numbers as int8, to the nearest: eight groups of 4 to p, p + stride, ... Gives the sums of both halves.
  static std::pair<std::int32_t, std::int32_t> store_quants(std::int8_t* p, std::size_t stride, const F (&x)[2]) {
    const __m128i low = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x[0])), high = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x[1]));
    alignas(16) std::int32_t groups[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(groups), low);
    _mm_store_si128(reinterpret_cast<__m128i*>(groups + 4), high);
    for (std::size_t i = 0; i < 8; ++i) __builtin_memcpy(p + i * stride, &groups[i], 4);
    const __m128i offset = _mm_set1_epi8(static_cast<char>(0x80)), zero = _mm_setzero_si128();
    const __m128i a = _mm_sad_epu8(_mm_xor_si128(low, offset), zero), b = _mm_sad_epu8(_mm_xor_si128(high, offset), zero);
    const __m128i halves = _mm_add_epi32(_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b));
    return {_mm_cvtsi128_si32(halves) - 16 * 128, _mm_extract_epi32(halves, 2) - 16 * 128};
  }

  // Sums of u4 or u8 weights times int8 inputs, four columns to a lane.
  using Dot = __m512i;
  using W = __m512i;
  static Dot dot_start(std::int32_t comp) { return _mm512_set1_epi32(comp); }
  static I dot_finish(Dot t, std::int32_t) { return t; }
  static W low_nibbles(const std::uint8_t* p) { return _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(15)); }
  static W high_nibbles(const std::uint8_t* p) {
    return _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(p), 4), _mm512_set1_epi8(15));
  }
  static void dot4(Dot& t, W w, const std::int8_t* a) { t = _mm512_dpbusd_epi32(t, w, _mm512_set1_epi32(load_i32(a))); }
  // Bits of p, shifted left (or right where shift < 0), under `mask` on top of w.
  template <int Shift>
  static W with_bits(W w, const std::uint8_t* p, int mask) {
    const __m512i x = _mm512_loadu_si512(p), moved = Shift >= 0 ? _mm512_slli_epi16(x, Shift & 7) : _mm512_srli_epi16(x, -Shift & 7);
    return _mm512_or_si512(w, _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(mask))));
  }
  // Sums of weights of 5 or 6 bits.
  using Dot6 = __m512i;
  static Dot6 dot6_start(std::int32_t comp8) { return _mm512_slli_epi32(_mm512_set1_epi32(comp8), 2); }
  static I dot6_finish(Dot6 t) { return t; }
  template <int Group>
  static void dot4_6(Dot6& t, W w, const std::int8_t* a) {
    dot4(t, w, a);
  }
  using Dot8 = __m512i;
  using W8 = __m512i;
  static Dot8 dot8_start(std::int32_t comp8) { return _mm512_slli_epi32(_mm512_set1_epi32(comp8), 4); }  // -128 sum(q)
  static I dot8_finish(Dot8 t) { return t; }
  static W8 bytes(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static void dot4_bytes(Dot8& t, W8 w, const std::int8_t* a) { dot4(t, w, a); }

  // Pairs of bf16: one lane holds two neighbours.
  using Pairs = __m512bh;
  using Pair = std::uint32_t;
  static Pair make_pair(float a, float b) { return f32_to_bf16(a) | static_cast<std::uint32_t>(f32_to_bf16(b)) << 16; }
  static Pairs load_pairs(const void* p) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p)); }
  static Pairs first_of_pairs(Pairs x) {
    return reinterpret_cast<__m512bh>(_mm512_and_si512(reinterpret_cast<__m512i>(x), _mm512_set1_epi32(0xFFFF)));
  }
  static F dot2(F acc, Pairs x, Pair p) {
    return _mm512_dpbf16_ps(acc, x, reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(p))));
  }
  // 16 floats become 8 pairs of neighbours.
  static void store_pairs(Pair* p, const float* x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(load(x))));
  }

 private:
  static __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __mmask16 first_mask(int n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFF : (1u << n) - 1); }
  static std::int32_t load_i32(const std::int8_t* p) {
    std::int32_t x;
    __builtin_memcpy(&x, p, 4);
    return x;
  }
  template <class Op>
  static float fold8(__m256 h, Op op) {
    __m128 q = op(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = op(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(op(q, _mm_shuffle_ps(q, q, 1)));
  }
};
