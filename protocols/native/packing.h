// packing.py: words of `width` bits, 1 to 64, to bytes and back; value i at bits [i width, (i + 1) width), low bit first.
// Nothing in it depends on the processor beyond little-endian words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace circa {

inline size_t packed_size(size_t n, size_t width) { return (n * width + 7) / 8; }

// Values are below 2^width.
template <class T>
void pack(const T* values, size_t n, size_t width, uint8_t* out) {
  uint64_t word = 0;
  size_t filled = 0;  // bits of the word, fewer than 64
  for (size_t i = 0; i < n; i++) {
    const uint64_t value = values[i];
    word |= value << filled;
    filled += width;
    if (filled < 64) continue;
    std::memcpy(out, &word, 8);
    out += 8;
    filled -= 64;
    word = filled ? value >> (width - filled) : 0;
  }
  std::memcpy(out, &word, (filled + 7) / 8);
}

inline void unpack(const uint8_t* packed, size_t n, size_t width, uint64_t* values) {
  const uint64_t mask = ~uint64_t{0} >> (64 - width);
  const size_t size = packed_size(n, width);
  for (size_t i = 0; i < n; i++) {
    const size_t byte = i * width / 8, shift = i * width % 8;
    uint64_t word = 0;
    if (size - byte >= 8)
      std::memcpy(&word, packed + byte, 8);
    else
      std::memcpy(&word, packed + byte, size - byte);
    word >>= shift;
    if (shift + width > 64) word |= static_cast<uint64_t>(packed[byte + 8]) << (64 - shift);
    values[i] = word & mask;
  }
}

}  // namespace circa
