// The work of the secret key's holder in linear/he.py.
#include <cstring>

#include "packing.h"
#include "rlwe.h"
#include "rlwe_memory.h"

namespace circa {
namespace {

// x = x s modulo a prime, coefficients in and out.
void multiply_secret(const RingKernels& kernels, const Prime& prime, const uint64_t* secret, size_t degree,
                     uint64_t* x, uint64_t* unused) {
  kernels.forward(prime, x, degree);
  const uint64_t* operand = x;
  kernels.accumulate(prime, &operand, &operand, &secret, 1, degree, x, unused);
  kernels.inverse(prime, x, degree);
}

}  // namespace

void encrypt(const Ring& ring, const RingKernels& kernels, const uint64_t* secret, const uint64_t* message,
             const int64_t* error, const uint8_t* seed, uint8_t* out) {
  const size_t degree = ring.degree, primes = ring.primes.size();
  Scratch64 memory((primes + 1) * degree);
  uint64_t *a = memory.get(), *unused = a + primes * degree;
  expand_seed(ring, kernels, seed, a);
  for (size_t i = 0; i < primes; i++) {
    const Prime& prime = ring.primes[i];
    const uint64_t q = prime.q;
    uint64_t* x = a + i * degree;
    multiply_secret(kernels, prime, secret + i * degree, degree, x, unused);
    for (size_t j = 0; j < degree; j++) {
      const uint64_t noise = reduce(x[j] + static_cast<uint64_t>(error[j]) + (error[j] < 0 ? q : 0), q);
      x[j] = reduce(scale(ring, i, message[j]) + q - noise, q);
    }
    pack(x, degree, bits(q), out);
    out += packed_prime(ring, degree, i);
  }
  std::memcpy(out, seed, kSeed);
}

bool decrypt(const Ring& ring, const RingKernels& kernels, const uint64_t* secret, const uint8_t* response,
             const int64_t* positions, size_t count, uint32_t* out) {
  const size_t degree = ring.degree;
  const Prime& prime = ring.primes[0];
  const uint64_t q = prime.q;
  Scratch64 memory(2 * degree + count);
  uint64_t *c1 = memory.get(), *unused = c1 + degree, *c0 = unused + degree;
  if (!unpack_residues(prime, response, degree, c1)) return false;
  if (!unpack_residues(prime, response + packed_prime(ring, degree, 0), count, c0)) return false;
  multiply_secret(kernels, prime, secret, degree, c1, unused);
  const Constant ratio = make_constant(ring.modulus, q);  // floor(t 2^64 / q)
  for (size_t j = 0; j < count; j++) {
    const uint64_t x = reduce(c0[j] + c1[positions[j]], q);
    const auto below = static_cast<uint64_t>((static_cast<unsigned __int128>(x) * ratio.quotient) >> 64);
    // the quotient or, where t x is less than q / 16 above a multiple of q, one less: rest is then above q, and counts
    const uint64_t rest = x * ring.modulus - below * q, quotient = below + (rest > q / 2);
    out[j] = static_cast<uint32_t>(quotient == ring.modulus ? 0 : quotient);
  }
  return true;
}

}  // namespace circa
