// A linear layer exact modulo M on 32-bit residues, by multiplying 16-bit integers: conv.cpp plans it once, conv.inl
// runs it. Residues are two signed digits, x = x_0 + 2^b x_1, weights have 16 bits, and pairs of input channels lie
// side by side, as the instructions for 16-bit integers want them (vpmaddwd; vpdpwssd also adds):
//
//     W x = sum W x_0 + 2^b sum W x_1
//
// In the ring b = 16 and 32-bit sums may wrap. For the prime b = 15, residues are centred, and 32-bit sums are moved to
// float64 before they can overflow; a row of weights has 1-norm 2^21 at most, so that no sum there reaches 2^53. Groups
// of so few output channels that a vector would be mostly empty, depthwise convolutions above all, run along the row
// instead, with whole 32-bit products, or float64 ones for the prime.
#pragma once

#include <cstddef>
#include <cstdint>

namespace circa {

// One spatial axis: output i reads input i * stride + tap * dilation - before. Inputs are rearranged by their remainder
// modulo the stride, their phase, as far as some tap reads it: there neighbouring outputs read neighbours.
struct ConvPhase {
  int64_t shift;     // place j is input j * stride - shift
  int64_t from, to;  // the places that are no padding
};

struct ConvAxis {
  int64_t size, stride, outputs;
  int64_t reach;  // how far beyond its own place an output reads
  const ConvPhase* phases;
  int64_t phase_count;
};

struct ConvPlan {
  ConvAxis rows, columns;
  int64_t groups, inputs, outputs;  // channels a group
  int64_t pairs;                    // of input channels a group; the channels themselves where `along_rows`
  bool ring, along_rows;
  bool flat;                        // a 1x1 kernel: the rows of a band are one long row
  bool matrix;                      // fully connected: each image is one pixel, and its outputs lie side by side
  uint32_t modulus;                 // of the prime; 0 in the ring
  int64_t channel_stride, row_stride;  // of the input, in words
  int64_t output_stride;               // of the output, in words from channel to channel
  int64_t band;                     // output rows at a time, so that their inputs stay in the cache
  int64_t row_words, plane_words;   // of the rearranged inputs: one row of all column phases; one channel (pair)
  int64_t steps;                    // channel (pairs) * kernel
  const int32_t* offsets;           // where each step reads, in words
  const int64_t* chunks;            // steps after which sums move to float64, increasing; the last is `steps`
  int64_t vectors;                  // of output channels a block, 1 or 2
  int64_t blocks;                   // in all groups; output channels where `along_rows`
  const int16_t* weights;           // [block][step][vectors * width][2], 64-byte aligned; or
  const void* values;               // [output channel][step], uint32 or double, where `along_rows`
  const uint32_t* bias;             // [block][vectors * width] or [output channel]
};

// Output rows first .. first + count - 1 of one image, blocks first_block .. end_block - 1. (Of a matrix: images.)
struct ConvTask {
  const uint32_t* x;
  uint32_t* y;
  int64_t first, count, first_block, end_block;
};

struct ConvKernels {
  const char* name;
  int64_t width;  // 32-bit words a vector
  void (*run)(const ConvPlan& plan, const ConvTask& task, int32_t* scratch);
};

constexpr int64_t kSlack = 64;  // words that a row may be read beyond its end

extern const ConvKernels kConvAvx2;  // vpmaddwd
extern const ConvKernels kConvVnni;  // AVX-512 with vpdpwssd

}  // namespace circa
