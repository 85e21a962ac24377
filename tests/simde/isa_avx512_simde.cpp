// The AVX-512 table built against SIMDe, so that a machine without AVX-512 still runs its sources. For correctness only: emulated
// vdpbf16ps rounds differently from the hardware's, so its bits are its own.
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include "engine/kernels/cpu/includes-inl.h"

// What SIMDe 0.7.4 lacks, by definition of the instructions.
namespace shim {

template <class Out, class In>
Out bits(const In& in) {
  Out out;
  static_assert(sizeof out == sizeof in);
  std::memcpy(&out, &in, sizeof out);
  return out;
}
template <class T, int N>
struct Array {
  T v[N];
};

inline simde__m256bh cvtneps_pbh(simde__m512 x) {
  const auto in = bits<Array<float, 16>>(x);
  Array<std::uint16_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = shardline::f32_to_bf16(in.v[i]);
  return bits<simde__m256bh>(out);
}

inline simde__m512 cvtph_ps(simde__m256i x) {
  const auto in = bits<Array<std::uint16_t, 16>>(x);
  Array<float, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = shardline::f16_to_f32(in.v[i]);
  return bits<simde__m512>(out);
}

inline simde__m512 cvtepi32_ps(simde__m512i x) {
  const auto in = bits<Array<std::int32_t, 16>>(x);
  Array<float, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<float>(in.v[i]);
  return bits<simde__m512>(out);
}

inline simde__m512i cvtps_epi32(simde__m512 x) {
  const auto in = bits<Array<float, 16>>(x);
  Array<std::int32_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = std::fabs(in.v[i]) < 2147483648.0f ? static_cast<std::int32_t>(std::nearbyint(in.v[i])) : std::numeric_limits<std::int32_t>::min();
  return bits<simde__m512i>(out);
}

inline simde__m128i cvtepi32_epi8(simde__m512i x) {
  const auto in = bits<Array<std::int32_t, 16>>(x);
  Array<std::int8_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<std::int8_t>(in.v[i]);
  return bits<simde__m128i>(out);
}

template <class Byte>
simde__m512i widen(simde__m128i x) {
  const auto in = bits<Array<Byte, 16>>(x);
  Array<std::int32_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = in.v[i];
  return bits<simde__m512i>(out);
}

}  // namespace shim
#define _mm512_cvtneps_pbh shim::cvtneps_pbh
#define _mm512_cvtph_ps shim::cvtph_ps
#define _mm512_cvtepi32_ps shim::cvtepi32_ps
#define _mm512_cvtps_epi32 shim::cvtps_epi32
#define _mm512_cvtepu8_epi32 shim::widen<std::uint8_t>
#define _mm512_cvtepi8_epi32 shim::widen<std::int8_t>
#define _mm512_cvtepi32_epi8 shim::cvtepi32_epi8
#define __mmask16 simde__mmask16
#ifndef _MM_FROUND_NO_EXC
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#endif

namespace shardline::avx512_simde {
namespace {

#include "engine/kernels/cpu/simd_avx512.h"

#include "engine/kernels/cpu/unroll-inl.h"

#include "engine/kernels/cpu/math-inl.h"

#include "engine/kernels/cpu/layouts-inl.h"

#include "engine/kernels/cpu/gemm-inl.h"

#include "engine/kernels/cpu/rows-inl.h"

#include "engine/kernels/cpu/attention-inl.h"

#include "engine/kernels/cpu/table-inl.h"

bool supported() { return true; }

}  // namespace

const KernelTable& table() {
  static const KernelTable kTable{"avx512_simde", supported, form, gemm, gated, pack, norm, kv_store, attention, attention_fold};
  return kTable;
}

}  // namespace shardline::avx512_simde
