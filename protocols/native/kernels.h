// The kernels that module.cpp chooses between at run time. A block is 16 bytes: two 64-bit words, low word first.
#pragma once

#include <cstddef>
#include <cstdint>

namespace circa {

struct Kernels {
  const char* name;

  // out_i = H(x_i, tweak + i) for n blocks; protocols/hash.py defines H.
  void (*tccr)(const uint8_t* x, uint8_t* out, size_t n, uint64_t tweak);
};

extern const Kernels kAesni;  // AES-NI, one block an instruction
extern const Kernels kVaes;   // VAES and AVX-512, four blocks an instruction

}  // namespace circa
