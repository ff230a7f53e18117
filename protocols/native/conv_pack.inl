// The inputs of a band of rows, rearranged for conv.inl: [channel or pair][row phase][row][column phase][column].
// Everything is in an anonymous namespace, so that the linker never takes one processor's code for another's.
#pragma once

#include <cstring>

#include "conv.h"

namespace {

using circa::ConvAxis;
using circa::ConvPlan;
using circa::ConvTask;

// Two words a column: the low digits of both channels, then the high ones. `b` is null beyond the last channel.
struct Digits {
  int bits;
  uint32_t modulus;
  static constexpr int64_t kWords = 2;

  template <int64_t kStride>
  void row(const uint32_t* a, const uint32_t* b, int64_t stride, int64_t n, int32_t* out) const {
    const uint32_t half = 1u << (bits - 1), p = modulus, middle = modulus / 2;  // of the ring's residues nothing goes
    const int shift = bits;
    if (kStride) stride = kStride;
    for (int64_t j = 0; j < n; j++) {
      uint32_t u = a[j * stride], v = b ? b[j * stride] : 0;
      u -= u > middle ? p : 0, v -= v > middle ? p : 0;
      const uint32_t high_u = static_cast<uint32_t>(static_cast<int32_t>(u + half) >> shift);
      const uint32_t high_v = static_cast<uint32_t>(static_cast<int32_t>(v + half) >> shift);
      const uint32_t low_u = u - (high_u << shift), low_v = v - (high_v << shift);
      out[2 * j] = static_cast<int32_t>((low_u & 0xffff) | low_v << 16);
      out[2 * j + 1] = static_cast<int32_t>((high_u & 0xffff) | high_v << 16);
    }
  }
};

// One 32-bit word a column, or one double.
template <class T>
struct Plain {
  static constexpr int64_t kWords = sizeof(T) / 4;

  template <int64_t kStride>
  void row(const uint32_t* a, const uint32_t*, int64_t stride, int64_t n, int32_t* out) const {
    T* values = reinterpret_cast<T*>(out);
    if (kStride) stride = kStride;
    for (int64_t j = 0; j < n; j++) {
      if constexpr (sizeof(T) == 8) values[j] = static_cast<int32_t>(a[j * stride]);  // below 2^31
      else values[j] = a[j * stride];
    }
  }
};

template <class Format>
void pack_row(const Format& format, const ConvAxis& axis, const uint32_t* a, const uint32_t* b, int32_t* out) {
  constexpr int64_t kWords = Format::kWords;
  const int64_t length = axis.outputs + axis.reach;
  for (int64_t i = 0; i < axis.phase_count; i++, out += length * kWords) {
    const auto [shift, from, to] = axis.phases[i];
    if (from > 0) std::memset(out, 0, static_cast<size_t>(from * kWords) * 4);
    if (to < length) std::memset(out + to * kWords, 0, static_cast<size_t>((length - to) * kWords) * 4);
    if (from == to) continue;
    const int64_t first = from * axis.stride - shift;
    const uint32_t* bb = b ? b + first : nullptr;
    int32_t* place = out + from * kWords;
    if (axis.stride == 1) format.template row<1>(a + first, bb, 1, to - from, place);
    else if (axis.stride == 2) format.template row<2>(a + first, bb, 2, to - from, place);
    else format.template row<0>(a + first, bb, axis.stride, to - from, place);
  }
}

template <class Format>
void pack(const ConvPlan& plan, const ConvTask& task, int64_t first_group, int64_t end_group, const Format& format,
          int32_t* scratch) {
  const int64_t together = plan.along_rows ? 1 : 2, height = plan.band + plan.rows.reach;
  for (int64_t group = first_group; group < end_group; group++)
    for (int64_t i = 0; i < plan.pairs; i++) {
      const int64_t channel = group * plan.inputs + i * together;
      const uint32_t* a = task.x + channel * plan.channel_stride;
      const uint32_t* b = together == 2 && i * 2 + 1 < plan.inputs ? a + plan.channel_stride : nullptr;
      int32_t* plane = scratch + (group * plan.pairs + i) * plan.plane_words;
      for (int64_t phase = 0; phase < plan.rows.phase_count; phase++, plane += height * plan.row_words)
        for (int64_t r = 0; r < task.count + plan.rows.reach; r++) {
          int32_t* out = plane + r * plan.row_words;
          const auto [shift, from, to] = plan.rows.phases[phase];
          if (task.first + r < from || task.first + r >= to) {
            std::memset(out, 0, static_cast<size_t>(plan.row_words) * 4);
            continue;
          }
          const int64_t at = ((task.first + r) * plan.rows.stride - shift) * plan.row_stride;
          if (plan.matrix) format.template row<1>(a + at, b ? b + at : nullptr, 1, 1, out);
          else pack_row(format, plan.columns, a + at, b ? b + at : nullptr, out);
        }
    }
}

}  // namespace
