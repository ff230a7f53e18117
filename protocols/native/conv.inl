// See conv.h. Compiled once for each processor, with its Lanes; everything is in an anonymous namespace, so that the
// linker never takes one processor's code for another's.
#pragma once

#include <immintrin.h>

#include <cstring>
#include <utility>

#include "conv.h"
#include "conv_pack.inl"

namespace {

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// ---- tiles: a few neighbouring pixels, all output channels of a block

// (t + bias) modulo the prime, for |t| < 2^53. The nearest multiple leaves a rest in (-p, p); adding p as a word
// without sign, and taking the smaller, brings it to [0, p).
inline uint32_t reduced(double t, uint32_t bias, uint32_t p) {
  const double rest = t - __builtin_rint(t * (1.0 / p)) * p;
  uint32_t r = static_cast<uint32_t>(static_cast<int32_t>(rest));
  r = r < r + p ? r : r + p;
  r += bias;
  return r < r - p ? r : r - p;
}

inline void transpose(__m256i r[8]) {
  __m256i s[8], t[8];
  for (int i = 0; i < 8; i += 2) {
    s[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    t[i] = _mm256_unpacklo_epi64(s[i], s[i + 2]);
    t[i + 1] = _mm256_unpackhi_epi64(s[i], s[i + 2]);
    t[i + 2] = _mm256_unpacklo_epi64(s[i + 1], s[i + 3]);
    t[i + 3] = _mm256_unpackhi_epi64(s[i + 1], s[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x20);
    r[i + 4] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x31);
  }
}

template <int kCount>
inline void store_first(uint32_t* out, __m256i v) {
  if constexpr (kCount >= 8) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), v);
  } else {
    __m128i part = _mm256_castsi256_si128(v);
    if constexpr (kCount >= 4) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), part);
      part = _mm256_extracti128_si256(v, 1);
    }
    uint32_t words[4];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(words), part);
    std::memcpy(out + (kCount & 4), words, (kCount & 3) * 4);
  }
}

// [pixel][channel] to [channel][pixel]; `channels` of the kChannels exist.
template <int kPixels, int kChannels>
inline void store_tile(const uint32_t* tile, int64_t channels, int64_t stride, uint32_t* out) {
  for (int first = 0; first < kChannels && first < channels; first += 8) {
    const int64_t count = least(8, channels - first);
    __m256i low[8], high[8];
    for (int p = 0; p < 8; p++) {
      const auto at = [&](int pixel) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile + pixel * kChannels + first));
      };
      low[p] = p < kPixels ? at(p) : _mm256_setzero_si256();
      if (kPixels > 8) high[p] = p + 8 < kPixels ? at(p + 8) : _mm256_setzero_si256();
    }
    transpose(low);
    if (kPixels > 8) transpose(high);
    for (int64_t c = 0; c < count; c++) {
      uint32_t* row = out + (first + c) * stride;
      store_first<kPixels>(row, low[c]);
      if constexpr (kPixels > 8) store_first<kPixels - 8>(row + 8, high[c]);
    }
  }
}

template <int kPixels, int kVectors>
void tile(const ConvPlan& plan, const int32_t* x, const int16_t* w, const uint32_t* bias, int64_t channels,
          uint32_t* out) {
  using V = typename Lanes::V;
  constexpr int kChannels = kVectors * Lanes::kWidth;
  alignas(64) uint32_t result[kPixels * kChannels];
  alignas(64) double total[kPixels * kChannels];
  const bool once = *plan.chunks == plan.steps;  // sums that never leave the registers
  const int32_t* offset = plan.offsets;
  for (const int64_t* chunk = plan.chunks; offset != plan.offsets + plan.steps; chunk++) {
    V low[kPixels][kVectors], high[kPixels][kVectors];
    for (int p = 0; p < kPixels; p++)
      for (int v = 0; v < kVectors; v++) low[p][v] = high[p][v] = Lanes::zero();
    for (; offset != plan.offsets + *chunk; offset++, w += 2 * kChannels) {
      const int32_t* at = x + *offset;
      V weight[kVectors];
      for (int v = 0; v < kVectors; v++) weight[v] = Lanes::load(w + 2 * v * Lanes::kWidth);
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; p++) {
        const V x0 = Lanes::broadcast(at[2 * p]), x1 = Lanes::broadcast(at[2 * p + 1]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v++) {
          low[p][v] = Lanes::dot(low[p][v], x0, weight[v]);
          high[p][v] = Lanes::dot(high[p][v], x1, weight[v]);
        }
      }
    }
    for (int p = 0; p < kPixels; p++)
      for (int v = 0; v < kVectors; v++) {
        const int i = p * kChannels + v * Lanes::kWidth;
        const uint32_t* offsets = bias + v * Lanes::kWidth;
        if (plan.ring) Lanes::store(result + i, Lanes::combine(low[p][v], high[p][v], offsets));
        else if (once) Lanes::store(result + i, Lanes::modular(low[p][v], high[p][v], offsets, plan.modulus));
        else Lanes::add(total + i, low[p][v], high[p][v], chunk == plan.chunks);
      }
  }
  if (!plan.ring && !once) {
    const uint32_t modulus = plan.modulus;
    for (int p = 0; p < kPixels; p++)
      for (int c = 0; c < kChannels; c++)
        result[p * kChannels + c] = reduced(total[p * kChannels + c], bias[c], modulus);
  }
  if (plan.matrix) {
    for (int p = 0; p < kPixels; p++)
      std::memcpy(out + p * plan.groups * plan.outputs, result + p * kChannels, static_cast<size_t>(channels) * 4);
    return;
  }
  store_tile<kPixels, kChannels>(result, channels, plan.output_stride, out);
}

using Tile = void (*)(const ConvPlan&, const int32_t*, const int16_t*, const uint32_t*, int64_t, uint32_t*);

template <int kVectors, int... kPixels>
constexpr void fill(Tile* tiles, std::integer_sequence<int, kPixels...>) {
  ((tiles[kPixels] = tile<kPixels + 1, kVectors>), ...);
}

// Tiles as wide as the registers hold, and of nearly equal width.
template <int kVectors>
void run_tiles(const ConvPlan& plan, const ConvTask& task, const int32_t* scratch) {
  constexpr int kMost = Lanes::kSums / (2 * kVectors);
  Tile tiles[kMost];
  fill<kVectors>(tiles, std::make_integer_sequence<int, kMost>());
  const int64_t lanes = kVectors * Lanes::kWidth, blocks = (plan.outputs + lanes - 1) / lanes;
  const int64_t rows = plan.flat ? 1 : task.count;
  const int64_t columns = plan.flat ? task.count * plan.columns.outputs : plan.columns.outputs;
  const int64_t pieces = (columns + kMost - 1) / kMost, width = columns / pieces, wider = columns % pieces;
  const int64_t pixel = plan.matrix ? plan.groups * plan.outputs : 1;
  for (int64_t block = task.first_block; block < task.end_block; block++) {
    const int64_t group = block / blocks, channel = block % blocks * lanes;
    const int16_t* w = plan.weights + block * plan.steps * 2 * lanes;
    uint32_t* y = task.y + (group * plan.outputs + channel) * plan.output_stride;
    for (int64_t r = 0; r < rows; r++) {
      const int32_t* x = scratch + group * plan.pairs * plan.plane_words + r * plan.row_words;
      uint32_t* out = y + (task.first + r) * plan.columns.outputs * pixel;
      for (int64_t i = 0; i < pieces; i++) {
        const int64_t n = width + (i < wider);
        tiles[n - 1](plan, x, w, plan.bias + block * lanes, least(lanes, plan.outputs - channel), out);
        x += 2 * n, out += n * pixel;
      }
    }
  }
}

// ---- along the row, for groups of few output channels: T is uint32_t in the ring, double for the prime

template <class T, int kVectors>
void stretch(const ConvPlan& plan, const int32_t* x, const T* w, uint32_t bias, int64_t n, uint32_t* out) {
  typedef T V __attribute__((vector_size(4 * Lanes::kWidth)));
  constexpr int kEach = static_cast<int>(sizeof(V) / sizeof(T));
  V sum[kVectors];
  for (int v = 0; v < kVectors; v++) sum[v] = V{} + static_cast<T>(plan.ring ? bias : 0);
  for (int64_t k = 0; k < plan.steps; k++) {
    const T* at = reinterpret_cast<const T*>(x + plan.offsets[k]);
    for (int v = 0; v < kVectors; v++) {
      V values;
      std::memcpy(&values, at + v * kEach, sizeof values);
      sum[v] += values * w[k];
    }
  }
  uint32_t result[kVectors * kEach];
  if constexpr (sizeof(T) == 4) {
    std::memcpy(result, sum, sizeof result);
  } else {
    const uint32_t modulus = plan.modulus;
    double total[kVectors * kEach];
    std::memcpy(total, sum, sizeof total);
    for (int i = 0; i < kVectors * kEach; i++) result[i] = reduced(total[i], bias, modulus);
  }
  std::memcpy(out, result, static_cast<size_t>(n) * 4);
}

template <class T>
void run_rows(const ConvPlan& plan, const ConvTask& task, const int32_t* scratch) {
  constexpr int64_t kEach = Lanes::kWidth * 4 / sizeof(T), kWords = Plain<T>::kWords;
  const int64_t rows = plan.flat ? 1 : task.count;
  const int64_t columns = plan.flat ? task.count * plan.columns.outputs : plan.columns.outputs;
  for (int64_t channel = task.first_block; channel < task.end_block; channel++) {
    const T* w = static_cast<const T*>(plan.values) + channel * plan.steps;
    const int32_t* planes = scratch + channel / plan.outputs * plan.pairs * plan.plane_words;
    uint32_t* y = task.y + channel * plan.output_stride + task.first * plan.columns.outputs;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t j = 0; j < columns; j += 4 * kEach) {
        const int64_t n = least(columns - j, 4 * kEach);
        const int32_t* x = planes + r * plan.row_words + j * kWords;
        uint32_t* out = y + r * columns + j;
        const uint32_t bias = plan.bias[channel];
        if (n > 2 * kEach) stretch<T, 4>(plan, x, w, bias, n, out);
        else if (n > kEach) stretch<T, 2>(plan, x, w, bias, n, out);
        else stretch<T, 1>(plan, x, w, bias, n, out);
      }
  }
}

void run_band(const ConvPlan& plan, const ConvTask& task, int32_t* scratch) {
  const int64_t each = plan.blocks / plan.groups;  // blocks a group
  const int64_t first = task.first_block / each, end = (task.end_block + each - 1) / each;
  if (!plan.along_rows) {
    pack(plan, task, first, end, Digits{plan.ring ? 16 : 15, plan.modulus}, scratch);
    plan.vectors == 1 ? run_tiles<1>(plan, task, scratch) : run_tiles<2>(plan, task, scratch);
  } else if (plan.ring) {
    pack(plan, task, first, end, Plain<uint32_t>{}, scratch);
    run_rows<uint32_t>(plan, task, scratch);
  } else {
    pack(plan, task, first, end, Plain<double>{}, scratch);
    run_rows<double>(plan, task, scratch);
  }
}

}  // namespace
