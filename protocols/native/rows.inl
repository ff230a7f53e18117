// Bit matrices of 128 rows: AES-CTR streams, and columns as blocks.
#pragma once

#include <cstring>

#include "aes.h"

namespace {

constexpr size_t kRows = 128;
constexpr size_t kSliceBlocks = 16;               // of each row at a time
constexpr size_t kSliceBytes = 16 * kSliceBlocks;  // 2048 columns; 32 KiB a matrix
constexpr size_t kLanes = kSliceBlocks / Wide::kBlocks;

// The counter blocks first, first + 1, ...: the same for every row of a slice.
struct Counters {
  Wide v[kLanes];

  explicit Counters(uint64_t first) {
    for (size_t j = 0; j < kLanes; j++) v[j] = Wide::counters(first + j * Wide::kBlocks);
  }
};

// The next kSliceBlocks of one key's stream.
inline void expand_slice(const Schedule& key, const Counters& counters, Wide* out) {
  const Rounds<Wide> aes(key);
  constexpr size_t kTogether = kLanes < 8 ? kLanes : 8;  // AES-NI has 16 registers
  for (size_t j = 0; j < kLanes; j++) out[j] = counters.v[j];
  for (size_t j = 0; j < kLanes; j += kTogether) aes.encrypt<kTogether>(out + j);
}

void expand(const uint8_t* keys, size_t rows, uint64_t first, uint8_t* out, size_t blocks) {
  for (size_t i = 0; i < rows; i++) {
    const Schedule key(keys + 16 * i);
    uint8_t* row = out + 16 * blocks * i;
    for (size_t start = 0; start < blocks; start += kSliceBlocks) {
      Wide stream[kLanes];
      expand_slice(key, Counters(first + start), stream);
      const size_t size = blocks - start < kSliceBlocks ? blocks - start : kSliceBlocks;
      std::memcpy(row + 16 * start, stream, 16 * size);
    }
  }
}

// 128 columns: the 16 bytes at rows[i * stride] for each of 128 rows i to 128 blocks. Four interleavings turn 16 rows of
// 16 bytes into 16 vectors of one byte column each; eight doublings then bring every bit of it to the top.
void columns_128(const uint8_t* rows, size_t stride, uint8_t* out) {
  constexpr size_t kTogether = 16 * Wide::kBlocks;  // rows; lane l of a vector holds rows 16 l to 16 l + 15
  for (size_t group = 0; group < kRows; group += kTogether) {
    Wide x[16], y[16];
    for (size_t i = 0; i < 16; i++) x[i] = Wide::gather(rows + (group + i) * stride, 16 * stride);
    for (size_t pass = 0; pass < 4; pass++) {
      for (size_t i = 0; i < 8; i++) {
        y[2 * i] = x[i].low_bytes(x[i + 8]);
        y[2 * i + 1] = x[i].high_bytes(x[i + 8]);
      }
      for (size_t i = 0; i < 16; i++) x[i] = y[i];
    }
    for (size_t byte = 0; byte < 16; byte++) {
      Wide v = x[byte];
      for (size_t bit = 8; bit-- > 0; v = v.doubled()) {
        const auto bits = v.top_bits();
        static_assert(8 * sizeof bits == kTogether, "one bit a row");
        std::memcpy(out + 16 * (8 * byte + bit) + group / 8, &bits, sizeof bits);
      }
    }
  }
}

// The first n columns of rows whose bytes are there up to the next multiple of 128 columns.
inline void columns_padded(const uint8_t* rows, size_t stride, uint8_t* out, size_t n) {
  size_t j = 0;
  for (; j + 128 <= n; j += 128) columns_128(rows + j / 8, stride, out + 16 * j);
  if (j < n) {
    uint8_t last[16 * 128];
    columns_128(rows + j / 8, stride, last);
    std::memcpy(out + 16 * j, last, 16 * (n - j));
  }
}

void columns(const uint8_t* rows, size_t width, uint8_t* out, size_t n) {
  const size_t whole = width / 16 * 128 < n ? width / 16 * 128 : n;
  columns_padded(rows, width, out, whole);
  if (whole < n) {
    uint8_t last[kRows * 16] = {};
    for (size_t i = 0; i < kRows; i++) std::memcpy(last + 16 * i, rows + i * width + whole / 8, width - whole / 8);
    columns_padded(last, 16, out + 16 * whole, n - whole);
  }
}

}  // namespace
