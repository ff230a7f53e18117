// SoftSpoken OT's steps (ot/leaves.py): every tree's streams folded into its rows, masked, transposed, on a slice of
// columns at a time, so that the rows never leave the cache. The leaves' round keys come from memory.
#pragma once

#include <cstring>

#include "aes.h"
#include "kernels.h"
#include "rows.inl"

namespace {

constexpr size_t kScheduleBytes = 176;
constexpr size_t kDeepest = 8;
constexpr size_t kPart = Wide::kBlocks > 1 ? 4 : 2;  // vectors of a stream at a time: four leaves' fit the registers
constexpr size_t kPartBytes = 16 * Wide::kBlocks * kPart;

void schedules(const uint8_t* seeds, uint8_t* out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const Schedule schedule(seeds + 16 * i);
    std::memcpy(out + kScheduleBytes * i, schedule.key, kScheduleBytes);
  }
}

// x[leaf] <- the streams of Count leaves with consecutive schedules.
template <size_t Count>
inline void streams(const uint8_t* schedule, const Wide* counters, Wide x[Count][kPart]) {
  const auto key = [schedule](size_t leaf, size_t round) {
    return Wide::broadcast(One::load(schedule + kScheduleBytes * leaf + 16 * round).v);
  };
  for (size_t leaf = 0; leaf < Count; leaf++)
    for (size_t j = 0; j < kPart; j++) x[leaf][j] = counters[j] ^ key(leaf, 0);
  for (size_t round = 1; round < 10; round++)
    for (size_t leaf = 0; leaf < Count; leaf++) {
      const Wide k = key(leaf, round);
      for (size_t j = 0; j < kPart; j++) x[leaf][j] = x[leaf][j].round(k);
    }
  for (size_t leaf = 0; leaf < Count; leaf++) {
    const Wide k = key(leaf, 10);
    for (size_t j = 0; j < kPart; j++) x[leaf][j] = x[leaf][j].last_round(k);
  }
}

inline void add(Wide* sum, const Wide* x) {
  for (size_t j = 0; j < kPart; j++) sum[j] = sum[j] ^ x[j];
}

// U and V of a tree at kPart vectors of columns. A group of leaves is summed in registers; the sums of groups meet as
// the carries of a binary counter do: where the counter's bit b is one, V_b takes the sum, which joins the one waiting.
struct Fold {
  Wide U[kPart], V[kDeepest][kPart];

  void run(const uint8_t* schedule, size_t depth, const Wide* counters) {
    Wide waiting[kDeepest][kPart];
    for (size_t b = 0; b < depth; b++)
      for (size_t j = 0; j < kPart; j++) V[b][j] = Wide::broadcast(_mm_setzero_si128());
    const size_t bits = depth < 2 ? 1 : 2;  // of a leaf's number inside its group
    for (size_t group = 0; group < size_t{1} << (depth - bits); group++) {
      Wide sum[kPart];
      const uint8_t* at = schedule + (kScheduleBytes * group << bits);
      bits == 1 ? pair(at, counters, sum) : four(at, counters, sum);
      size_t b = bits;
      for (; group >> (b - bits) & 1; b++) {
        add(V[b], sum);
        add(sum, waiting[b]);
      }
      std::memcpy(b == depth ? U : waiting[b], sum, sizeof sum);
    }
  }

 private:
  void pair(const uint8_t* schedule, const Wide* counters, Wide* sum) {
    Wide x[2][kPart];
    streams<2>(schedule, counters, x);
    for (size_t j = 0; j < kPart; j++) {
      V[0][j] = V[0][j] ^ x[1][j];
      sum[j] = x[0][j] ^ x[1][j];
    }
  }

  void four(const uint8_t* schedule, const Wide* counters, Wide* sum) {
    Wide x[4][kPart];
    streams<4>(schedule, counters, x);
    for (size_t j = 0; j < kPart; j++) {
      const Wide high = x[2][j] ^ x[3][j];
      V[0][j] = V[0][j] ^ x[1][j] ^ x[3][j];
      V[1][j] = V[1][j] ^ high;
      sum[j] = x[0][j] ^ x[1][j] ^ high;
    }
  }
};

// Bytes [start, start + kPartBytes) of a row of `width`, zeros behind its end.
inline void load_part(Wide* v, const uint8_t* row, size_t start, size_t width) {
  const size_t size = width > start ? (width - start < kPartBytes ? width - start : kPartBytes) : 0;
  if (size < kPartBytes) std::memset(v, 0, kPartBytes);
  std::memcpy(v, row + start, size);
}

inline void store_part(uint8_t* row, size_t start, size_t width, const Wide* v) {
  std::memcpy(row + start, v, width - start < kPartBytes ? width - start : kPartBytes);
}

struct Slice {
  alignas(64) uint8_t row[kRows][kSliceBytes];
};

// Calls role(fold, tree, first row, depth, part's start in the message, rows of the slice at that part) for every tree
// and part, then transposes the slice to out.
template <class Role>
void each_fold(const circa::Forest& forest, size_t width, uint8_t* out, size_t n, const Role& role) {
  Slice slice;
  Fold fold;
  for (size_t start = 0; start < width; start += kSliceBytes) {
    const size_t stop = width - start < kSliceBytes ? width : start + kSliceBytes;
    const uint8_t* schedule = forest.schedules;
    for (size_t row = 0, tree = 0; row < kRows; row += forest.k, tree++) {
      const size_t depth = kRows - row < forest.k ? kRows - row : forest.k;
      for (size_t part = start; part < stop; part += kPartBytes) {
        Wide counters[kPart];
        for (size_t j = 0; j < kPart; j++) counters[j] = Wide::counters(forest.first + part / 16 + j * Wide::kBlocks);
        fold.run(schedule, depth, counters);
        role(fold, tree, row, depth, part, slice.row[row] + (part - start));
      }
      schedule += kScheduleBytes << depth;
    }
    const size_t left = n - 8 * start;
    columns_padded(slice.row[0], kSliceBytes, out + 128 * start, left < 8 * kSliceBytes ? left : 8 * kSliceBytes);
  }
}

// q = V ^ delta d, K_j = column j of q
void softspoken_send(const circa::Forest& forest, const uint8_t* delta, const uint8_t* d, size_t width, uint8_t* K,
                     size_t n) {
  const auto role = [=](const Fold& fold, size_t tree, size_t row, size_t depth, size_t start, uint8_t* q) {
    Wide message[kPart];
    load_part(message, d + tree * width, start, width);
    for (size_t b = 0; b < depth; b++) {
      const int bit = delta[(row + b) / 8] >> (row + b) % 8 & 1;
      const Wide mask = Wide::broadcast(_mm_set1_epi8(static_cast<char>(-bit)));
      for (size_t j = 0; j < kPart; j++)
        (fold.V[b][j] ^ (message[j] & mask)).store(q + b * kSliceBytes + 16 * Wide::kBlocks * j);
    }
  };
  each_fold(forest, width, K, n, role);
}

// d = U ^ r, M_j = column j of V
void softspoken_recv(const circa::Forest& forest, const uint8_t* r, uint8_t* d, size_t width, uint8_t* M, size_t n) {
  const auto role = [=](const Fold& fold, size_t tree, size_t, size_t depth, size_t start, uint8_t* v) {
    Wide message[kPart];
    load_part(message, r, start, width);
    add(message, fold.U);
    store_part(d + tree * width, start, width, message);
    for (size_t b = 0; b < depth; b++) std::memcpy(v + b * kSliceBytes, fold.V[b], kPartBytes);
  };
  each_fold(forest, width, M, n, role);
}

}  // namespace
