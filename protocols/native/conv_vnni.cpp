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
  // total[0..15] += low + 2^15 high, or = the first time
  static void add(double* total, V low, V high, bool first) {
    for (int half = 0; half < 2; half++) {
      const auto part = [half](V v) {
        return _mm512_cvtepi32_pd(half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v));
      };
      __m512d sum = _mm512_add_pd(part(low), _mm512_mul_pd(part(high), _mm512_set1_pd(1 << 15)));
      if (!first) sum = _mm512_add_pd(sum, _mm512_load_pd(total + 8 * half));
      _mm512_store_pd(total + 8 * half, sum);
    }
  }
};

}  // namespace

#include "conv.inl"

namespace circa {
const ConvKernels kConvVnni = {"vnni", Lanes::kWidth, run_band};
}
