// The kernels that module.cpp chooses between at run time. A block is 16 bytes: two 64-bit words, low word first.
// Arrays come checked, in C order; the Python version of each kernel is its definition.
#pragma once

#include <cstddef>
#include <cstdint>

namespace circa {

// garbling/circuit.py: gate i sets slot out[i] to op[i] of slots a[i] and b[i].
struct Circuit {
  const uint8_t* op;
  const int32_t *a, *b, *out;
  size_t gates, slots;
  size_t garbler_inputs, fixed_inputs, evaluator_inputs;  // these fill slots 0, 1, ... in this order
  const int32_t* outputs;
  size_t output_count;
};

enum Op : uint8_t { kXor, kAnd, kInv, kClear };

// One circuit on many instances. Labels are [wire][instance], tables [AND gate][half][instance].
struct Batch {
  Circuit circuit;
  size_t instances;
  uint64_t tweak;
  const uint8_t* delta;      // 16 bytes; the garbler's only
  const uint8_t* garbler;    // labels
  const uint8_t* fixed;      // [fixed input][instance], one bit a byte; the garbler's only
  const uint8_t* evaluator;  // labels
  uint8_t* tables;           // written by the garbler, read by the evaluator
  uint8_t* outputs;          // labels
};

// Memory for one block of instances, which stays in the cache.
struct Scratch {
  size_t block;           // instances at a time
  uint8_t* slots;         // [slot][block], 64-byte aligned
  const uint8_t** wires;  // where the label of each slot lies
};

struct RingKernels;  // rlwe.h

// ot/leaves.py: the round keys of all leaves, tree after tree, each tree with k of the 128 rows (the last with what is
// left); the streams are read from counter block `first`.
struct Forest {
  const uint8_t* schedules;
  size_t k;
  uint64_t first;
};

struct Kernels {
  const char* name;

  // hash.py: out_i = H(x_i, tweak + i).
  void (*tccr)(const uint8_t* x, uint8_t* out, size_t n, uint64_t tweak);
  // ot/cots.py: zero_i = H(K_i, tweak + i), one_i = H(K_i ^ delta, tweak + i).
  void (*cot_pads)(const uint8_t* K, const uint8_t* delta, uint8_t* zero, uint8_t* one, size_t n, uint64_t tweak);
  // ot/expand.py: row i = blocks first, first + 1, ... of AES-CTR under key i.
  void (*expand)(const uint8_t* keys, size_t rows, uint64_t first, uint8_t* out, size_t blocks);
  // ot/transpose.py: bit j of row i to bit i of block j; rows of `width` bytes, the first n columns.
  void (*columns)(const uint8_t* rows, size_t width, uint8_t* out, size_t n);
  // ot/leaves.py: the round keys of every seed, 176 bytes each.
  void (*schedules)(const uint8_t* seeds, uint8_t* out, size_t count);
  // ot/leaves.py, step (2) of the sender: K from d, rows of `width` bytes.
  void (*softspoken_send)(const Forest& forest, const uint8_t* delta, const uint8_t* d, size_t width, uint8_t* K,
                          size_t n);
  // ot/leaves.py, step (1) of the receiver: d and M from the packed choices r.
  void (*softspoken_recv)(const Forest& forest, const uint8_t* r, uint8_t* d, size_t width, uint8_t* M, size_t n);
  // ot/one_of_n.py: the sums of `elements` elements from `first` on, [block][element], of keys [bit][count].
  void (*one_of_n_send)(const uint8_t* K, size_t count, const uint8_t* delta, uint64_t tweak, size_t n, size_t first,
                        uint8_t* out, size_t elements, size_t blocks);
  void (*one_of_n_recv)(const uint8_t* M, size_t count, uint64_t tweak, size_t n, size_t first, uint8_t* out,
                        size_t elements, size_t blocks);
  // garbling/halfgates.py.
  void (*garble)(const Batch& batch, const Scratch& scratch);
  void (*evaluate)(const Batch& batch, const Scratch& scratch);
  // linear/native.py.
  const RingKernels* ring;
};

const Kernels& selected();  // those in use

extern const Kernels kAesni;  // AES-NI, one block an instruction
extern const Kernels kVaes;   // VAES and AVX-512, four blocks an instruction
extern const RingKernels kPortableRing;
extern const RingKernels kAvx512Ring;  // AVX-512 F and DQ

}  // namespace circa
