// H over arrays of blocks.
#pragma once

#include "aes.h"

namespace {

// As many groups of M vectors as fit from block i on; returns the first block that is left.
template <class V, size_t M>
size_t tccr_groups(const uint8_t* x, uint8_t* out, size_t i, size_t n, uint64_t tweak) {
  const Rounds<V> pi(fixed_key());
  for (; i + M * V::kBlocks <= n; i += M * V::kBlocks) {
    V h[M], t[M];
    for (size_t j = 0; j < M; j++) {
      h[j] = V::load(x + 16 * (i + j * V::kBlocks));
      t[j] = V::tweaks(tweak + i + j * V::kBlocks);
    }
    pi.template hash<M>(h, t);
    for (size_t j = 0; j < M; j++) h[j].store(out + 16 * (i + j * V::kBlocks));
  }
  return i;
}

void tccr(const uint8_t* x, uint8_t* out, size_t n, uint64_t tweak) {
  size_t i = tccr_groups<Wide, 8>(x, out, 0, n, tweak);
  i = tccr_groups<Wide, 1>(x, out, i, n, tweak);
  tccr_groups<One, 1>(x, out, i, n, tweak);
}

// sigma is linear, so the input of the second hash is that of the first ^ sigma(delta).
template <class V, size_t M>
size_t cot_groups(const uint8_t* K, V delta, uint8_t* zero, uint8_t* one, size_t i, size_t n, uint64_t tweak) {
  const Rounds<V> pi(fixed_key());
  const V sigma_delta = delta.sigma();
  for (; i + M * V::kBlocks <= n; i += M * V::kBlocks) {
    V s[2 * M], h[2 * M];
    for (size_t j = 0; j < M; j++) {
      const size_t at = i + j * V::kBlocks;
      h[2 * j] = s[2 * j] = V::load(K + 16 * at).sigma() ^ V::tweaks(tweak + at);
      h[2 * j + 1] = s[2 * j + 1] = s[2 * j] ^ sigma_delta;
    }
    pi.template encrypt<2 * M>(h);
    for (size_t j = 0; j < M; j++) {
      const size_t at = i + j * V::kBlocks;
      (h[2 * j] ^ s[2 * j]).store(zero + 16 * at);
      (h[2 * j + 1] ^ s[2 * j + 1]).store(one + 16 * at);
    }
  }
  return i;
}

void cot_pads(const uint8_t* K, const uint8_t* delta, uint8_t* zero, uint8_t* one, size_t n, uint64_t tweak) {
  const One d = One::load(delta);
  size_t i = cot_groups<Wide, 4>(K, Wide::broadcast(d.v), zero, one, 0, n, tweak);
  i = cot_groups<Wide, 1>(K, Wide::broadcast(d.v), zero, one, i, n, tweak);
  cot_groups<One, 1>(K, d, zero, one, i, n, tweak);
}

}  // namespace
