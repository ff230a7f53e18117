// Exact convolutions with AVX-512 and VNNI: 32 products of 16 bits an instruction, added in pairs and to the sum.
#include <immintrin.h>

#include <cstdint>

namespace {

struct Lanes {
  using V = __m512i;
  static constexpr int kWidth = 16, kSums = 16;  // 32-bit words; registers for sums

  static V zero() { return _mm512_setzero_si512(); }
  static V load(const void* p) { return _mm512_load_si512(p); }
  static void store(void* p, V v) { _mm512_store_si512(p, v); }
  static V broadcast(int32_t word) { return _mm512_set1_epi32(word); }
  static V dot(V sum, V a, V b) { return _mm512_dpwssd_epi32(sum, a, b); }
  static V combine(V low, V high, const void* bias) {
    return _mm512_add_epi32(_mm512_add_epi32(low, _mm512_slli_epi32(high, 16)), load(bias));
  }
  // low + 2^15 high, the first or second half of the words
  static __m512d joined(V low, V high, int half) {
    const auto part = [half](V v) {
      return _mm512_cvtepi32_pd(half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v));
    };
    return _mm512_add_pd(part(low), _mm512_mul_pd(part(high), _mm512_set1_pd(1 << 15)));
  }
  // total[0..15] += the sums, or = the first time
  static void add(double* total, V low, V high, bool first) {
    for (int half = 0; half < 2; half++) {
      __m512d sum = joined(low, high, half);
      if (!first) sum = _mm512_add_pd(sum, _mm512_load_pd(total + 8 * half));
      _mm512_store_pd(total + 8 * half, sum);
    }
  }
  // The sums and the bias modulo p, as `reduced` in conv.inl
  static V modular(V low, V high, const void* bias, uint32_t p) {
    const __m512d modulus = _mm512_set1_pd(p), inverse = _mm512_set1_pd(1.0 / p);
    __m256i rest[2];
    for (int half = 0; half < 2; half++) {
      const __m512d t = joined(low, high, half);
      const __m512d q = _mm512_roundscale_pd(_mm512_mul_pd(t, inverse), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      rest[half] = _mm512_cvttpd_epi32(_mm512_fnmadd_pd(q, modulus, t));
    }
    const V word = _mm512_set1_epi32(static_cast<int32_t>(p));
    V r = _mm512_inserti64x4(_mm512_castsi256_si512(rest[0]), rest[1], 1);
    r = _mm512_min_epu32(r, _mm512_add_epi32(r, word));
    r = _mm512_add_epi32(r, load(bias));
    return _mm512_min_epu32(r, _mm512_sub_epi32(r, word));
  }
};

}  // namespace

#include "conv.inl"

namespace circa {
const ConvKernels kConvVnni = {"vnni", Lanes::kWidth, run_band};
}
