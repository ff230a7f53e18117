// H over an array of blocks.
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

}  // namespace
