// Arithmetic in Z_q[x] / (x^N + 1) for primes below 2^60, and the sender's work of linear/he.py over it.
// linear/native.py says what a caller sees; linear/seal.py computes the same and is the definition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.h"

namespace circa {

// A constant w modulo q with floor(w 2^64 / q): its products need no division (Shoup).
struct Constant {
  uint64_t w, quotient;
};

constexpr size_t kSeed = 64;  // bytes of the seed of a request's c1

struct Prime {
  uint64_t q;
  // Powers of a primitive 2N-th root of unity and of its inverse in bit-reversed order, with their quotients.
  std::vector<uint64_t> roots, root_quotients, inverses, inverse_quotients;
  // The same of the three innermost stages, as `ntt` of AVX-512 reads them.
  std::vector<uint64_t> tail, inverse_tail;
  Constant one, two60, two64, two90, scale;  // 2^60, 2^64, 2^90, 1 / N modulo q
};

// Coefficients live in [0, q), N of them. Transformed, block by block of 64, entry 8 r + l of a block is the value
// at psi^(2 bitreverse(64 b + 8 l + r) + 1): stages within a block work on eight columns of an 8 x 8 transpose.
struct RingKernels {
  // Small signed values modulo a prime.
  void (*lift)(const Prime& prime, const int64_t* values, size_t degree, uint64_t* x);
  void (*forward)(const Prime& prime, uint64_t* x, size_t degree);
  void (*inverse)(const Prime& prime, uint64_t* x, size_t degree);
  // out_k[j] = sum_i a_k[i][j] b[i][j] modulo q for j < degree; k < 2 are the two halves of ciphertexts a.
  void (*accumulate)(const Prime& prime, const uint64_t* const* a0, const uint64_t* const* a1,
                     const uint64_t* const* b, size_t pairs, size_t degree, uint64_t* out0, uint64_t* out1);
  // blake2x.inl: 512 words of SEAL's generator from Blake2xb's root digest.
  void (*expand_root)(const uint64_t* root, uint64_t* words);
};

struct Ring {
  size_t degree;
  uint64_t modulus;    // of plaintexts, at most 2^32
  uint64_t remainder;  // q modulo it, q the product of the primes
  std::vector<Prime> primes;
  std::vector<Constant> delta;                 // floor(q / modulus) modulo each prime
  std::vector<std::vector<Constant>> inverse;  // [last][i]: 1 / q_last modulo q_i

  Ring(size_t degree, const std::vector<uint64_t>& primes, const std::vector<uint64_t>& roots, uint64_t modulus,
       uint64_t remainder, const std::vector<uint64_t>& delta);
};

// x is what the coefficients of a small signed polynomial are modulo each prime, transformed: (primes, N).
void transform(const Ring& ring, const RingKernels& kernels, const int64_t* values, uint64_t* x);

// A seeded ciphertext as it travels, to (2, primes, N), transformed. False: a coefficient is not reduced.
bool expand_request(const Ring& ring, const RingKernels& kernels, const uint8_t* message, uint64_t* out);

struct Response {
  std::vector<const uint64_t*> ciphertexts, factors;  // (2, primes, N) and (primes, N), the public key first
  const int64_t* error;                               // e1, N
  const uint64_t* flood;                              // E modulo each prime, (primes, count)
  const uint32_t* message;                            // -s, count
  const int64_t* positions;
  size_t count;
};

// Step (2) of he.py: c1, then c0 at the positions, at the first prime and at exactly its bits.
void respond(const Ring& ring, const RingKernels& kernels, const Response& response, uint8_t* out);

// Step (1): c0 = q / t m - a s - e, a from the seed, as `expand_request` takes it; e is `error`, m below t.
void encrypt(const Ring& ring, const RingKernels& kernels, const uint64_t* secret, const uint64_t* message,
             const int64_t* error, const uint8_t* seed, uint8_t* out);

// Step (3): round(t / q (c0 + c1 s)) modulo t at the positions, of a response. False: a coefficient is not reduced.
bool decrypt(const Ring& ring, const RingKernels& kernels, const uint64_t* secret, const uint8_t* response,
             const int64_t* positions, size_t count, uint32_t* out);

size_t request_size(const Ring& ring);
size_t response_size(const Ring& ring, size_t count);
size_t packed_prime(const Ring& ring, size_t count, size_t i);  // bytes of so many residues modulo prime i

// Residues from their packed form. False: one of them is not reduced.
bool unpack_residues(const Prime& prime, const uint8_t* packed, size_t count, uint64_t* out);

// SEAL's expansion of a 64-byte seed (Blake2xb, 4096 bytes at a time, rejection) to residues, (primes, N).
void expand_seed(const Ring& ring, const RingKernels& kernels, const uint8_t* seed, uint64_t* out);

static inline Constant make_constant(uint64_t w, uint64_t q) {
  return {w, static_cast<uint64_t>((static_cast<unsigned __int128>(w) << 64) / q)};
}

// Lazy: y w modulo q in [0, 2q), for any y.
static inline uint64_t multiply(uint64_t y, const Constant& c, uint64_t q) {
  const auto estimate = static_cast<uint64_t>((static_cast<unsigned __int128>(y) * c.quotient) >> 64);
  return y * c.w - estimate * q;
}

static inline uint64_t reduce(uint64_t x, uint64_t bound) { return x >= bound ? x - bound : x; }

static inline unsigned bits(uint64_t x) { return 64 - static_cast<unsigned>(__builtin_clzll(x)); }

// round(q m / t) modulo prime i: floor(q / t) m + floor(((q mod t) m + floor((t + 1) / 2)) / t).
static inline uint64_t scale(const Ring& ring, size_t i, uint64_t m) {
  const uint64_t q = ring.primes[i].q;
  const uint64_t correction = (ring.remainder * m + (ring.modulus + 1) / 2) / ring.modulus;
  return reduce(reduce(multiply(m, ring.delta[i], q), q) + correction, q);
}

}  // namespace circa
