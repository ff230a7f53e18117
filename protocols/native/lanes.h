// Vectors of blocks: One (AES-NI, a single block) and, where the file is compiled for it, Four (VAES, AVX-512).
// Everything is in an anonymous namespace: the same name compiled for two processors must never be merged by the linker.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct One {
  static constexpr size_t kBlocks = 1;
  __m128i v;

  static One load(const uint8_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
  void store(uint8_t* p) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }
  static One broadcast(__m128i block) { return {block}; }
  static One tweaks(uint64_t first) { return {_mm_cvtsi64_si128(static_cast<long long>(first))}; }

  One operator^(One o) const { return {_mm_xor_si128(v, o.v)}; }
  One operator&(One o) const { return {_mm_and_si128(v, o.v)}; }
  One plus_words(One o) const { return {_mm_add_epi64(v, o.v)}; }
  One round(One key) const { return {_mm_aesenc_si128(v, key.v)}; }
  One last_round(One key) const { return {_mm_aesenclast_si128(v, key.v)}; }
  One sigma() const {  // (lo, hi) -> (hi, lo ^ hi)
    return {_mm_xor_si128(_mm_shuffle_epi32(v, 0x4e), _mm_slli_si128(_mm_srli_si128(v, 8), 8))};
  }
  One lsb_mask() const {  // all ones where the block's lowest bit is set
    const __m128i bit = _mm_and_si128(_mm_shuffle_epi32(v, 0), _mm_set1_epi32(1));
    return {_mm_sub_epi32(_mm_setzero_si128(), bit)};
  }
};

#ifdef __AVX512F__
struct Four {
  static constexpr size_t kBlocks = 4;
  __m512i v;

  static Four load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  void store(uint8_t* p) const { _mm512_storeu_si512(p, v); }
  static Four broadcast(__m128i block) { return {_mm512_broadcast_i32x4(block)}; }
  static Four tweaks(uint64_t first) {
    const __m512i lane = _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0);
    return {_mm512_maskz_add_epi64(0x55, lane, _mm512_set1_epi64(static_cast<long long>(first)))};
  }

  Four operator^(Four o) const { return {_mm512_xor_si512(v, o.v)}; }
  Four operator&(Four o) const { return {_mm512_and_si512(v, o.v)}; }
  Four plus_words(Four o) const { return {_mm512_add_epi64(v, o.v)}; }
  Four round(Four key) const { return {_mm512_aesenc_epi128(v, key.v)}; }
  Four last_round(Four key) const { return {_mm512_aesenclast_epi128(v, key.v)}; }
  Four sigma() const {
    return {_mm512_xor_si512(_mm512_shuffle_epi32(v, _MM_PERM_ENUM(0x4e)), _mm512_maskz_mov_epi64(0xaa, v))};
  }
  Four lsb_mask() const {
    const __m512i bit = _mm512_and_si512(_mm512_shuffle_epi32(v, _MM_PERM_ENUM(0)), _mm512_set1_epi32(1));
    return {_mm512_sub_epi32(_mm512_setzero_si512(), bit)};
  }
};
using Wide = Four;
#else
using Wide = One;
#endif

}  // namespace
