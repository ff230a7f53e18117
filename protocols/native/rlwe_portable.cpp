// The transforms and products of rlwe.h for any processor: Harvey's butterflies, lazily reduced.
// [Har14] Harvey. Faster arithmetic for number-theoretic transforms. J. Symb. Comput. 60.
#include <utility>

#include "blake2x.inl"
#include "rlwe.h"

namespace circa {
namespace {

void lift(const Prime& prime, const int64_t* values, size_t degree, uint64_t* x) {
  for (size_t j = 0; j < degree; j++) x[j] = static_cast<uint64_t>(values[j]) + (values[j] < 0 ? prime.q : 0);
}

void transpose_blocks(uint64_t* x, size_t degree) {
  for (size_t block = 0; block < degree; block += 64)
    for (size_t l = 0; l < 8; l++)
      for (size_t r = 0; r < l; r++) std::swap(x[block + 8 * l + r], x[block + 8 * r + l]);
}

void forward(const Prime& prime, uint64_t* x, size_t degree) {
  const uint64_t q = prime.q;
  for (size_t m = 1, t = degree / 2; t >= 1; m *= 2, t /= 2)
    for (size_t i = 0; i < m; i++) {
      const Constant root{prime.roots[m + i], prime.root_quotients[m + i]};
      uint64_t *low = x + 2 * i * t, *high = low + t;
      for (size_t j = 0; j < t; j++) {  // values below 4q
        const uint64_t u = reduce(low[j], 2 * q), v = multiply(high[j], root, q);
        low[j] = u + v;
        high[j] = u - v + 2 * q;
      }
    }
  for (size_t j = 0; j < degree; j++) x[j] = reduce(reduce(x[j], 2 * q), q);
  transpose_blocks(x, degree);
}

void inverse(const Prime& prime, uint64_t* x, size_t degree) {
  const uint64_t q = prime.q;
  transpose_blocks(x, degree);
  for (size_t m = degree / 2, t = 1; m >= 1; m /= 2, t *= 2)
    for (size_t i = 0; i < m; i++) {
      const Constant root{prime.inverses[m + i], prime.inverse_quotients[m + i]};
      uint64_t *low = x + 2 * i * t, *high = low + t;
      for (size_t j = 0; j < t; j++) {  // values below 2q
        const uint64_t u = low[j], v = high[j];
        low[j] = reduce(u + v, 2 * q);
        high[j] = multiply(u - v + 2 * q, root, q);
      }
    }
  for (size_t j = 0; j < degree; j++) x[j] = reduce(multiply(x[j], prime.scale, q), q);
}

void accumulate(const Prime& prime, const uint64_t* const* a0, const uint64_t* const* a1, const uint64_t* const* b,
                size_t pairs, size_t degree, uint64_t* out0, uint64_t* out1) {
  constexpr size_t kChunk = 64, kSafe = 128;  // products below 2^120: so many sums stay below 2^127
  const uint64_t q = prime.q;
  const auto residue = [&](unsigned __int128 x) {
    const uint64_t high = multiply(static_cast<uint64_t>(x >> 64), prime.two64, q);
    return reduce(reduce(high + multiply(static_cast<uint64_t>(x), prime.one, q), 2 * q), q);
  };
  for (size_t start = 0; start < degree; start += kChunk) {
    unsigned __int128 sum0[kChunk] = {}, sum1[kChunk] = {};
    for (size_t i = 0; i < pairs; i++) {
      for (size_t j = 0; j < kChunk; j++) {
        const unsigned __int128 factor = b[i][start + j];
        sum0[j] += factor * a0[i][start + j];
        sum1[j] += factor * a1[i][start + j];
      }
      if (i % kSafe == kSafe - 1)
        for (size_t j = 0; j < kChunk; j++) sum0[j] = residue(sum0[j]), sum1[j] = residue(sum1[j]);
    }
    for (size_t j = 0; j < kChunk; j++) out0[start + j] = residue(sum0[j]), out1[start + j] = residue(sum1[j]);
  }
}

}  // namespace

const RingKernels kPortableRing = {lift, forward, inverse, accumulate, expand_root};

}  // namespace circa
