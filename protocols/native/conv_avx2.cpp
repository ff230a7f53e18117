// Exact convolutions with AVX2: sixteen products of 16 bits an instruction, added in pairs, then to the sum.
#include <immintrin.h>

#include <cstdint>

namespace {

struct Lanes {
  using V = __m256i;
  static constexpr int kWidth = 8, kSums = 8;  // 32-bit words; registers for sums

  static V zero() { return _mm256_setzero_si256(); }
  static V load(const void* p) { return _mm256_load_si256(static_cast<const V*>(p)); }
  static void store(void* p, V v) { _mm256_store_si256(static_cast<V*>(p), v); }
  static V broadcast(int32_t word) { return _mm256_set1_epi32(word); }
  // A pair of products reaches 2^31 where all four factors are -2^15, and wraps as the sum may.
  static V dot(V sum, V a, V b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
  static V combine(V low, V high, const void* bias) {
    return _mm256_add_epi32(_mm256_add_epi32(low, _mm256_slli_epi32(high, 16)), load(bias));
  }
  // low + 2^15 high, the first or second half of the words
  static __m256d joined(V low, V high, int half) {
    const auto part = [half](V v) {
      return _mm256_cvtepi32_pd(half ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v));
    };
    return _mm256_add_pd(part(low), _mm256_mul_pd(part(high), _mm256_set1_pd(1 << 15)));
  }
  // total[0..7] += the sums, or = the first time
  static void add(double* total, V low, V high, bool first) {
    for (int half = 0; half < 2; half++) {
      __m256d sum = joined(low, high, half);
      if (!first) sum = _mm256_add_pd(sum, _mm256_load_pd(total + 4 * half));
      _mm256_store_pd(total + 4 * half, sum);
    }
  }
  // The sums and the bias modulo p, as `reduced` in conv.inl
  static V modular(V low, V high, const void* bias, uint32_t p) {
    const __m256d modulus = _mm256_set1_pd(p), inverse = _mm256_set1_pd(1.0 / p);
    __m128i rest[2];
    for (int half = 0; half < 2; half++) {
      const __m256d t = joined(low, high, half);
      const __m256d q = _mm256_round_pd(_mm256_mul_pd(t, inverse), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      rest[half] = _mm256_cvttpd_epi32(_mm256_fnmadd_pd(q, modulus, t));
    }
    const V word = _mm256_set1_epi32(static_cast<int32_t>(p));
    V r = _mm256_set_m128i(rest[1], rest[0]);
    r = _mm256_min_epu32(r, _mm256_add_epi32(r, word));
    r = _mm256_add_epi32(r, load(bias));
    return _mm256_min_epu32(r, _mm256_sub_epi32(r, word));
  }
};

}  // namespace

#include "conv.inl"

namespace circa {
const ConvKernels kConvAvx2 = {"avx2", Lanes::kWidth, run_band};
}
