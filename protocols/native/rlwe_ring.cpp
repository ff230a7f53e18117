// The tables of a ring.
#include "rlwe.h"

namespace circa {
namespace {

uint64_t times(uint64_t a, uint64_t b, uint64_t q) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b % q);
}

uint64_t power(uint64_t base, uint64_t exponent, uint64_t q) {
  uint64_t result = 1;
  for (; exponent; exponent >>= 1, base = times(base, base, q))
    if (exponent & 1) result = times(result, base, q);
  return result;
}

uint64_t invert(uint64_t x, uint64_t q) { return power(x % q, q - 2, q); }

size_t reverse(size_t i, unsigned width) {
  size_t result = 0;
  for (unsigned bit = 0; bit < width; bit++) result |= (i >> bit & 1) << (width - 1 - bit);
  return result;
}

// Seven twiddles for each block of 64: one of the stage of distance 4, two of 2, four of 1, eight lanes each.
std::vector<uint64_t> tail(const std::vector<uint64_t>& roots, const std::vector<uint64_t>& quotients) {
  const size_t degree = roots.size();
  std::vector<uint64_t> table;
  for (size_t block = 0; block < degree / 64; block++)
    for (size_t width = 1; width <= 4; width *= 2)
      for (size_t h = 0; h < width; h++)
        for (const auto* source : {&roots, &quotients})
          for (size_t lane = 0; lane < 8; lane++)
            table.push_back((*source)[width * (degree / 8 + 8 * block + lane) + h]);
  return table;
}

Prime make_prime(uint64_t q, uint64_t root, size_t degree) {
  Prime prime;
  prime.q = q;
  const auto width = static_cast<unsigned>(__builtin_ctzll(degree));
  const auto fill = [&](uint64_t psi, std::vector<uint64_t>& roots, std::vector<uint64_t>& quotients) {
    roots.resize(degree), quotients.resize(degree);
    uint64_t value = 1;
    for (size_t i = 0; i < degree; i++, value = times(value, psi, q)) {
      const size_t at = reverse(i, width);
      roots[at] = value, quotients[at] = make_constant(value, q).quotient;
    }
  };
  fill(root, prime.roots, prime.root_quotients);
  fill(invert(root, q), prime.inverses, prime.inverse_quotients);
  prime.tail = tail(prime.roots, prime.root_quotients);
  prime.inverse_tail = tail(prime.inverses, prime.inverse_quotients);
  prime.one = make_constant(1, q);
  prime.two60 = make_constant(power(2, 60, q), q);
  prime.two64 = make_constant(power(2, 64, q), q);
  prime.two90 = make_constant(power(2, 90, q), q);
  prime.scale = make_constant(invert(degree, q), q);
  return prime;
}

}  // namespace

Ring::Ring(size_t n, const std::vector<uint64_t>& chosen, const std::vector<uint64_t>& roots, uint64_t t,
           uint64_t q_modulo_t, const std::vector<uint64_t>& q_over_t)
    : degree(n), modulus(t), remainder(q_modulo_t) {
  for (size_t i = 0; i < chosen.size(); i++) {
    primes.push_back(make_prime(chosen[i], roots[i], n));
    delta.push_back(make_constant(q_over_t[i], chosen[i]));
    inverse.emplace_back();
    for (size_t j = 0; j < i; j++) inverse.back().push_back(make_constant(invert(chosen[i], chosen[j]), chosen[j]));
  }
}

void transform(const Ring& ring, const RingKernels& kernels, const int64_t* values, uint64_t* x) {
  for (const Prime& prime : ring.primes) {
    kernels.lift(prime, values, ring.degree, x);
    kernels.forward(prime, x, ring.degree);
    x += ring.degree;
  }
}

}  // namespace circa
