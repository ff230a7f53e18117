// The sums of ot/one_of_n.py: per element, n keys hashed into each block of the table, and chosen by constant masks.
#pragma once

#include "aes.h"

namespace {

constexpr size_t kMostBits = 8;

// Bit p of mask i is bit i of position p, or of position 128 + p in the second block of a word of 256.
struct Positions {
  alignas(16) uint8_t mask[2][kMostBits][16] = {};

  Positions() {
    for (size_t position = 0; position < 256; position++)
      for (size_t i = 0; i < kMostBits; i++)
        if (position >> i & 1) mask[position / 128][i][position % 128 / 8] |= static_cast<uint8_t>(1 << position % 8);
  }
};

// K is [bit][count]; out is [block][elements]. As many groups of M vectors as fit from element e on.
template <class V, size_t M>
size_t sender_sum_groups(const uint8_t* K, size_t count, V delta, uint64_t tweak, size_t n, size_t first, uint8_t* out,
                         size_t e, size_t elements, size_t block, const uint8_t (*mask)[16]) {
  const Rounds<V> pi(fixed_key());
  const V sigma_delta = delta.sigma();
  for (; e + M * V::kBlocks <= elements; e += M * V::kBlocks) {
    V sum[M];
    for (size_t j = 0; j < M; j++) sum[j] = V::broadcast(_mm_setzero_si128());
    for (size_t i = 0; i < n; i++) {
      const V chosen = V::broadcast(One::load(mask[i]).v);
      V s[2 * M], h[2 * M];
      for (size_t j = 0; j < M; j++) {
        const size_t at = i * count + first + e + j * V::kBlocks;
        h[2 * j] = s[2 * j] = V::load(K + 16 * at).sigma() ^ V::tweaks(tweak + at);
        h[2 * j + 1] = s[2 * j + 1] = s[2 * j] ^ sigma_delta;
      }
      pi.template encrypt<2 * M>(h);
      for (size_t j = 0; j < M; j++) {
        const V zero = h[2 * j] ^ s[2 * j], one = h[2 * j + 1] ^ s[2 * j + 1];
        sum[j] = sum[j] ^ zero ^ ((zero ^ one) & chosen);
      }
    }
    for (size_t j = 0; j < M; j++) sum[j].store(out + 16 * (block * elements + e + j * V::kBlocks));
  }
  return e;
}

void one_of_n_send(const uint8_t* K, size_t count, const uint8_t* delta, uint64_t tweak, size_t n, size_t first,
                   uint8_t* out, size_t elements, size_t blocks) {
  static const Positions positions;
  const One d = One::load(delta);
  const Wide wide = Wide::broadcast(d.v);
  for (size_t b = 0; b < blocks; b++) {
    const uint64_t own = tweak + (uint64_t{b + 1} << 48);
    const auto* mask = positions.mask[n == kMostBits ? b % 2 : 0];
    size_t e = sender_sum_groups<Wide, 4>(K, count, wide, own, n, first, out, 0, elements, b, mask);
    e = sender_sum_groups<Wide, 1>(K, count, wide, own, n, first, out, e, elements, b, mask);
    sender_sum_groups<One, 1>(K, count, d, own, n, first, out, e, elements, b, mask);
  }
}

template <class V, size_t N>
size_t receiver_sum_groups(const uint8_t* M, size_t count, uint64_t tweak, size_t n, size_t first, uint8_t* out,
                           size_t e, size_t elements, size_t block) {
  const Rounds<V> pi(fixed_key());
  for (; e + N * V::kBlocks <= elements; e += N * V::kBlocks) {
    V sum[N];
    for (size_t j = 0; j < N; j++) sum[j] = V::broadcast(_mm_setzero_si128());
    for (size_t i = 0; i < n; i++) {
      V h[N], t[N];
      for (size_t j = 0; j < N; j++) {
        const size_t at = i * count + first + e + j * V::kBlocks;
        h[j] = V::load(M + 16 * at);
        t[j] = V::tweaks(tweak + at);
      }
      pi.template hash<N>(h, t);
      for (size_t j = 0; j < N; j++) sum[j] = sum[j] ^ h[j];
    }
    for (size_t j = 0; j < N; j++) sum[j].store(out + 16 * (block * elements + e + j * V::kBlocks));
  }
  return e;
}

void one_of_n_recv(const uint8_t* M, size_t count, uint64_t tweak, size_t n, size_t first, uint8_t* out,
                   size_t elements, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) {
    const uint64_t own = tweak + (uint64_t{b + 1} << 48);
    size_t e = receiver_sum_groups<Wide, 8>(M, count, own, n, first, out, 0, elements, b);
    e = receiver_sum_groups<Wide, 1>(M, count, own, n, first, out, e, elements, b);
    receiver_sum_groups<One, 1>(M, count, own, n, first, out, e, elements, b);
  }
}

}  // namespace
