// halfgates.py and relu/garbled.py: between labels, bits and words. Nothing in it depends on the processor.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace circa {

// out_i = zero_i ^ bit_i delta, a label being two words.
inline void encode(const uint64_t* zero, const uint64_t* delta, const uint8_t* bits, size_t n, uint64_t* out) {
  const uint64_t low = delta[0], high = delta[1];
  for (size_t i = 0; i < n; i++) {
    const uint64_t mask = uint64_t{0} - bits[i];
    out[2 * i] = zero[2 * i] ^ (mask & low);
    out[2 * i + 1] = zero[2 * i + 1] ^ (mask & high);
  }
}

inline void colours(const uint64_t* labels, size_t n, uint8_t* bits) {
  for (size_t i = 0; i < n; i++) bits[i] = static_cast<uint8_t>(labels[2 * i] & 1);
}

// Bit i of a word is that of wire i, `width` of the wires; bits are [wire][instance].
inline void words(const uint8_t* bits, size_t width, size_t n, uint32_t* out) {
  constexpr size_t kBlock = 2048;  // words in the first-level cache
  for (size_t start = 0; start < n; start += kBlock) {
    const size_t stop = std::min(n, start + kBlock);
    for (size_t i = start; i < stop; i++) out[i] = 0;
    for (size_t wire = 0; wire < width; wire++)
      for (size_t i = start; i < stop; i++) out[i] |= static_cast<uint32_t>(bits[wire * n + i]) << wire;
  }
}

}  // namespace circa
