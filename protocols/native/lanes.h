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
  // Past the cache: for what is written once, in whole lines, and sent.
  void stream(uint8_t* p) const { store(p); }
  static One broadcast(__m128i block) { return {block}; }
  static One tweaks(uint64_t first) { return {_mm_cvtsi64_si128(static_cast<long long>(first))}; }

  // the 128-bit big-endian counter of CTR mode, below 2^64
  static One counters(uint64_t first) { return {_mm_set_epi64x(static_cast<long long>(__builtin_bswap64(first)), 0)}; }
  // the 16 bytes at p, p + stride, ...
  static One gather(const uint8_t* p, size_t) { return load(p); }

  One operator^(One o) const { return {_mm_xor_si128(v, o.v)}; }
  One operator&(One o) const { return {_mm_and_si128(v, o.v)}; }
  One round(One key) const { return {_mm_aesenc_si128(v, key.v)}; }
  One last_round(One key) const { return {_mm_aesenclast_si128(v, key.v)}; }
  One sigma() const {  // (lo, hi) -> (hi, lo ^ hi)
    return {_mm_xor_si128(_mm_shuffle_epi32(v, 0x4e), _mm_slli_si128(_mm_srli_si128(v, 8), 8))};
  }
  One lsb_mask() const {  // all ones where the block's lowest bit is set
    const __m128i bit = _mm_and_si128(_mm_shuffle_epi32(v, 0), _mm_set1_epi32(1));
    return {_mm_sub_epi32(_mm_setzero_si128(), bit)};
  }

  // for bit matrices: bytes interleaved within each 16, doubled, and their top bits
  One low_bytes(One o) const { return {_mm_unpacklo_epi8(v, o.v)}; }
  One high_bytes(One o) const { return {_mm_unpackhi_epi8(v, o.v)}; }
  One doubled() const { return {_mm_add_epi8(v, v)}; }
  uint16_t top_bits() const { return static_cast<uint16_t>(_mm_movemask_epi8(v)); }
};

#ifdef __AVX512F__
struct Four {
  static constexpr size_t kBlocks = 4;
  __m512i v;

  static Four load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  void store(uint8_t* p) const { _mm512_storeu_si512(p, v); }
  void stream(uint8_t* p) const {
    if (reinterpret_cast<uintptr_t>(p) % 64) return store(p);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), v);
  }
  static Four broadcast(__m128i block) { return {_mm512_broadcast_i32x4(block)}; }
  static Four tweaks(uint64_t first) {
    const __m512i lane = _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0);
    return {_mm512_maskz_add_epi64(0x55, lane, _mm512_set1_epi64(static_cast<long long>(first)))};
  }

  static Four counters(uint64_t first) {
    const auto word = [first](uint64_t lane) { return static_cast<long long>(__builtin_bswap64(first + lane)); };
    return {_mm512_set_epi64(word(3), 0, word(2), 0, word(1), 0, word(0), 0)};
  }
  static Four gather(const uint8_t* p, size_t stride) {
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(One::load(p).v), One::load(p + stride).v, 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(One::load(p + 2 * stride).v),
                                                 One::load(p + 3 * stride).v, 1);
    return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
  }

  Four operator^(Four o) const { return {_mm512_xor_si512(v, o.v)}; }
  Four operator&(Four o) const { return {_mm512_and_si512(v, o.v)}; }
  Four round(Four key) const { return {_mm512_aesenc_epi128(v, key.v)}; }
  Four last_round(Four key) const { return {_mm512_aesenclast_epi128(v, key.v)}; }
  Four sigma() const {
    return {_mm512_xor_si512(_mm512_shuffle_epi32(v, _MM_PERM_ENUM(0x4e)), _mm512_maskz_mov_epi64(0xaa, v))};
  }
  Four lsb_mask() const {
    const __m512i bit = _mm512_and_si512(_mm512_shuffle_epi32(v, _MM_PERM_ENUM(0)), _mm512_set1_epi32(1));
    return {_mm512_sub_epi32(_mm512_setzero_si512(), bit)};
  }

  Four low_bytes(Four o) const { return {_mm512_unpacklo_epi8(v, o.v)}; }
  Four high_bytes(Four o) const { return {_mm512_unpackhi_epi8(v, o.v)}; }
  Four doubled() const { return {_mm512_add_epi8(v, v)}; }
  uint64_t top_bits() const { return _mm512_movepi8_mask(v); }
};
using Wide = Four;
#else
using Wide = One;
#endif

}  // namespace
