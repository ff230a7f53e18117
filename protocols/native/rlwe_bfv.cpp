// The sender's work of linear/he.py, with SEAL's rounding.
#include "packing.h"
#include "rlwe.h"
#include "rlwe_memory.h"

namespace circa {
namespace {

// Rows of residues modulo all primes, `stride` apart, to the first alone: SEAL's divide_and_round_q_last, repeated.
void drop(const Ring& ring, uint64_t* x, size_t stride, size_t count) {
  for (size_t last = ring.primes.size() - 1; last > 0; last--) {
    const uint64_t dropped = ring.primes[last].q, half = dropped / 2;
    uint64_t* from = x + last * stride;
    for (size_t j = 0; j < count; j++) from[j] = reduce(from[j] + half, dropped);
    for (size_t i = 0; i < last; i++) {
      const Prime& prime = ring.primes[i];
      const Constant inverse = ring.inverse[last][i];
      const uint64_t q = prime.q, above = half % q + 2 * q;
      uint64_t* to = x + i * stride;
      for (size_t j = 0; j < count; j++)
        to[j] = reduce(multiply(to[j] + above - multiply(from[j], prime.one, q), inverse, q), q);
    }
  }
}

}  // namespace

size_t packed_prime(const Ring& ring, size_t count, size_t i) { return packed_size(count, bits(ring.primes[i].q)); }

bool unpack_residues(const Prime& prime, const uint8_t* packed, size_t count, uint64_t* out) {
  unpack(packed, count, bits(prime.q), out);
  uint64_t largest = 0;
  for (size_t j = 0; j < count; j++) largest = out[j] > largest ? out[j] : largest;
  return largest < prime.q;
}

size_t request_size(const Ring& ring) {
  size_t size = kSeed;
  for (size_t i = 0; i < ring.primes.size(); i++) size += packed_prime(ring, ring.degree, i);
  return size;
}

size_t response_size(const Ring& ring, size_t count) {
  return packed_prime(ring, ring.degree, 0) + packed_prime(ring, count, 0);
}

bool expand_request(const Ring& ring, const RingKernels& kernels, const uint8_t* message, uint64_t* out) {
  const size_t degree = ring.degree, half = ring.primes.size() * degree;
  for (size_t i = 0; i < ring.primes.size(); i++) {
    if (!unpack_residues(ring.primes[i], message, degree, out + i * degree)) return false;
    message += packed_prime(ring, degree, i);
  }
  expand_seed(ring, kernels, message, out + half);
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; i < ring.primes.size(); i++)
      kernels.forward(ring.primes[i], out + k * half + i * degree, degree);
  return true;
}

void respond(const Ring& ring, const RingKernels& kernels, const Response& response, uint8_t* out) {
  const size_t degree = ring.degree, primes = ring.primes.size(), half = primes * degree, count = response.count;
  const size_t pairs = response.factors.size();
  Scratch64 memory(2 * half + primes * count);
  uint64_t *c0 = memory.get(), *c1 = c0 + half, *kept = c1 + half;
  std::vector<const uint64_t*> a0(pairs), a1(pairs), b(pairs);
  for (size_t i = 0; i < primes; i++) {
    const Prime& prime = ring.primes[i];
    const uint64_t q = prime.q;
    uint64_t *x0 = c0 + i * degree, *x1 = c1 + i * degree;
    for (size_t p = 0; p < pairs; p++) {
      a0[p] = response.ciphertexts[p] + i * degree;
      a1[p] = a0[p] + half;
      b[p] = response.factors[p] + i * degree;
    }
    kernels.accumulate(prime, a0.data(), a1.data(), b.data(), pairs, degree, x0, x1);
    kernels.inverse(prime, x0, degree);
    kernels.inverse(prime, x1, degree);
    for (size_t j = 0; j < degree; j++) {
      const int64_t error = response.error[j];
      x1[j] = reduce(x1[j] + static_cast<uint64_t>(error) + (error < 0 ? q : 0), q);
    }
    for (size_t j = 0; j < count; j++) {
      const uint64_t noisy = reduce(x0[response.positions[j]] + response.flood[i * count + j], q);
      kept[i * count + j] = reduce(noisy + scale(ring, i, response.message[j]), q);
    }
  }
  drop(ring, c1, degree, degree);
  drop(ring, kept, count, count);
  const unsigned width = bits(ring.primes[0].q);
  pack(c1, degree, width, out);
  pack(kept, count, width, out + packed_prime(ring, degree, 0));
}

}  // namespace circa
