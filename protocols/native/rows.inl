// IKNP's matrices: 128 rows of AES-CTR, and their columns as blocks. Both parties' whole step runs on kSlice columns at
// a time, so that a row's bytes are expanded, masked and transposed while they are in the cache.
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

struct Slice {
  alignas(64) uint8_t row[kRows][kSliceBytes];
};

inline void load_slice(Wide* v, const uint8_t* bytes, size_t size) {
  if (size < kSliceBytes) std::memset(v, 0, kSliceBytes);
  std::memcpy(v, bytes, size);
}

// q_i = G(k_i) ^ delta_i u_i, K_j = column j of q
void iknp_send(const uint8_t* keys, uint64_t first, const uint8_t* delta, const uint8_t* u, size_t width, uint8_t* K,
               size_t n) {
  Schedule key[kRows];
  for (size_t i = 0; i < kRows; i++) key[i] = Schedule(keys + 16 * i);
  Slice q;
  for (size_t start = 0; start < width; start += kSliceBytes) {
    const size_t size = width - start < kSliceBytes ? width - start : kSliceBytes;
    const Counters counters(first + start / 16);
    for (size_t i = 0; i < kRows; i++) {
      const Wide mask = Wide::broadcast(_mm_set1_epi8(static_cast<char>(-(delta[i / 8] >> i % 8 & 1))));
      Wide row[kLanes], other[kLanes];
      expand_slice(key[i], counters, row);
      load_slice(other, u + i * width + start, size);
      for (size_t j = 0; j < kLanes; j++) (row[j] ^ (other[j] & mask)).store(q.row[i] + 16 * Wide::kBlocks * j);
    }
    const size_t left = n - 8 * start;
    columns_padded(q.row[0], kSliceBytes, K + 128 * start, left < 8 * kSliceBytes ? left : 8 * kSliceBytes);
  }
}

// t_i = G(k_i^0), u_i = t_i ^ G(k_i^1) ^ r, M_j = column j of t
void iknp_recv(const uint8_t* zero_keys, const uint8_t* one_keys, uint64_t first, const uint8_t* r, uint8_t* u,
               size_t width, uint8_t* M, size_t n) {
  Schedule zero_key[kRows], one_key[kRows];
  for (size_t i = 0; i < kRows; i++) zero_key[i] = Schedule(zero_keys + 16 * i), one_key[i] = Schedule(one_keys + 16 * i);
  Slice t;
  for (size_t start = 0; start < width; start += kSliceBytes) {
    const size_t size = width - start < kSliceBytes ? width - start : kSliceBytes;
    const Counters counters(first + start / 16);
    Wide choices[kLanes];
    load_slice(choices, r + start, size);
    for (size_t i = 0; i < kRows; i++) {
      Wide zero[kLanes], one[kLanes];
      expand_slice(zero_key[i], counters, zero);
      expand_slice(one_key[i], counters, one);
      for (size_t j = 0; j < kLanes; j++) {
        zero[j].store(t.row[i] + 16 * Wide::kBlocks * j);
        one[j] = one[j] ^ zero[j] ^ choices[j];
      }
      std::memcpy(u + i * width + start, one, size);
    }
    const size_t left = n - 8 * start;
    columns_padded(t.row[0], kSliceBytes, M + 128 * start, left < 8 * kSliceBytes ? left : 8 * kSliceBytes);
  }
}

}  // namespace
