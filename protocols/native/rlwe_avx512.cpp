// The transforms and products of rlwe.h, eight coefficients an instruction.
//
// Shoup's quotient is taken from three of the four partial products of 32-bit halves: at most 2 too small, so lazy
// products are below 4q and sums below 8q.
#include <immintrin.h>

#include <cstring>

#include "blake2x.inl"
#include "rlwe.h"
#include "rlwe_memory.h"

namespace circa {
namespace {

using Vector = __m512i;

inline Vector load(const uint64_t* x) { return _mm512_loadu_si512(x); }
inline void store(uint64_t* x, Vector v) { _mm512_storeu_si512(x, v); }
inline Vector all(uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
inline Vector reduce(Vector x, Vector bound) { return _mm512_min_epu64(x, _mm512_sub_epi64(x, bound)); }

struct Bounds {
  Vector q, q2, q4, q8;
  explicit Bounds(uint64_t p) : q(all(p)), q2(all(2 * p)), q4(all(4 * p)), q8(all(8 * p)) {}
  Vector whole(Vector x) const { return reduce(reduce(reduce(x, q4), q2), q); }
};

struct Twiddle {
  Vector w, quotient, high;
  Twiddle(Vector root, Vector shoup) : w(root), quotient(shoup), high(_mm512_srli_epi64(shoup, 32)) {}
  explicit Twiddle(const Constant& c) : Twiddle(all(c.w), all(c.quotient)) {}
};

// y w modulo q in [0, 4q), for any y.
inline Vector multiply(Vector y, const Twiddle& t, Vector q) {
  const Vector y1 = _mm512_srli_epi64(y, 32);
  const Vector middle = _mm512_add_epi64(_mm512_srli_epi64(_mm512_mul_epu32(y1, t.quotient), 32),
                                         _mm512_srli_epi64(_mm512_mul_epu32(y, t.high), 32));
  const Vector estimate = _mm512_add_epi64(_mm512_mul_epu32(y1, t.high), middle);
  return _mm512_sub_epi64(_mm512_mullo_epi64(y, t.w), _mm512_mullo_epi64(estimate, q));
}

inline void butterfly(Vector& low, Vector& high, const Twiddle& t, const Bounds& bounds) {  // below 8q
  const Vector u = reduce(low, bounds.q4), v = multiply(high, t, bounds.q);
  low = _mm512_add_epi64(u, v);
  high = _mm512_add_epi64(_mm512_sub_epi64(u, v), bounds.q4);
}

inline void inverse_butterfly(Vector& low, Vector& high, const Twiddle& t, const Bounds& bounds) {  // below 4q
  const Vector u = low, v = high;
  low = reduce(_mm512_add_epi64(u, v), bounds.q4);
  high = multiply(_mm512_add_epi64(_mm512_sub_epi64(u, v), bounds.q4), t, bounds.q);
}

inline void transpose(Vector (&x)[8]) {
  Vector y[8];
  for (int i = 0; i < 8; i += 2) {
    y[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      x[i + j] = _mm512_shuffle_i64x2(y[i + j], y[i + j + 2], 0x88);
      x[i + j + 2] = _mm512_shuffle_i64x2(y[i + j], y[i + j + 2], 0xdd);
    }
  for (int j = 0; j < 4; j++) {
    y[j] = _mm512_shuffle_i64x2(x[j], x[j + 4], 0x88);
    y[j + 4] = _mm512_shuffle_i64x2(x[j], x[j + 4], 0xdd);
  }
  for (int j = 0; j < 8; j++) x[j] = y[j];
}

void lift(const Prime& prime, const int64_t* values, size_t degree, uint64_t* x) {
  const Vector q = all(prime.q);
  for (size_t j = 0; j < degree; j += 8) {
    const Vector v = _mm512_loadu_si512(values + j);
    store(x + j, _mm512_mask_add_epi64(v, _mm512_movepi64_mask(v), v, q));
  }
}

constexpr size_t kTail = 7 * 2 * 8;  // words of a block: seven twiddles, root and quotient, eight lanes

inline Twiddle tail(const std::vector<uint64_t>& table, size_t block, size_t i) {
  const uint64_t* at = table.data() + block * kTail + 16 * i;
  return {load(at), load(at + 8)};
}

void forward(const Prime& prime, uint64_t* x, size_t degree) {
  const Bounds bounds(prime.q);
  for (size_t m = 1, t = degree / 2; t >= 8; m *= 2, t /= 2)
    for (size_t i = 0; i < m; i++) {
      const Twiddle root(all(prime.roots[m + i]), all(prime.root_quotients[m + i]));
      uint64_t *low = x + 2 * i * t, *high = low + t;
      for (size_t j = 0; j < t; j += 8) {
        Vector u = load(low + j), v = load(high + j);
        butterfly(u, v, root, bounds);
        store(low + j, u), store(high + j, v);
      }
    }
  for (size_t block = 0; block < degree / 64; block++) {
    uint64_t* at = x + 64 * block;
    Vector v[8];
    for (size_t i = 0; i < 8; i++) v[i] = load(at + 8 * i);
    transpose(v);
    const Twiddle first = tail(prime.tail, block, 0);
    for (int i = 0; i < 4; i++) butterfly(v[i], v[i + 4], first, bounds);
    for (size_t h = 0; h < 2; h++) {
      const Twiddle second = tail(prime.tail, block, 1 + h);
      for (size_t i = 4 * h; i < 4 * h + 2; i++) butterfly(v[i], v[i + 2], second, bounds);
    }
    for (size_t h = 0; h < 4; h++) butterfly(v[2 * h], v[2 * h + 1], tail(prime.tail, block, 3 + h), bounds);
    for (size_t i = 0; i < 8; i++) store(at + 8 * i, bounds.whole(v[i]));
  }
}

void inverse(const Prime& prime, uint64_t* x, size_t degree) {
  const Bounds bounds(prime.q);
  for (size_t block = 0; block < degree / 64; block++) {
    uint64_t* at = x + 64 * block;
    Vector v[8];
    for (size_t i = 0; i < 8; i++) v[i] = load(at + 8 * i);
    const auto& table = prime.inverse_tail;
    for (size_t h = 0; h < 4; h++) inverse_butterfly(v[2 * h], v[2 * h + 1], tail(table, block, 3 + h), bounds);
    for (size_t h = 0; h < 2; h++) {
      const Twiddle second = tail(table, block, 1 + h);
      for (size_t i = 4 * h; i < 4 * h + 2; i++) inverse_butterfly(v[i], v[i + 2], second, bounds);
    }
    const Twiddle first = tail(table, block, 0);
    for (int i = 0; i < 4; i++) inverse_butterfly(v[i], v[i + 4], first, bounds);
    transpose(v);
    for (size_t i = 0; i < 8; i++) store(at + 8 * i, v[i]);
  }
  for (size_t m = degree / 16, t = 8; m >= 1; m /= 2, t *= 2)
    for (size_t i = 0; i < m; i++) {
      const Twiddle root(all(prime.inverses[m + i]), all(prime.inverse_quotients[m + i]));
      uint64_t *low = x + 2 * i * t, *high = low + t;
      for (size_t j = 0; j < t; j += 8) {
        Vector u = load(low + j), v = load(high + j);
        inverse_butterfly(u, v, root, bounds);
        store(low + j, u), store(high + j, v);
      }
    }
  const Twiddle scale(prime.scale);
  for (size_t j = 0; j < degree; j += 8) store(x + j, bounds.whole(multiply(load(x + j), scale, bounds.q)));
}

// A sum of products in limbs of 30 bits and what is above them. Seven products at a time keep every limb below 2^64.
constexpr size_t kSafe = 7, kLimbs = 4;

struct Sum {
  Vector limb[kLimbs];
  void add(Vector a, Vector b0, Vector b1, Vector mask) {
    const Vector a0 = _mm512_and_si512(a, mask), a1 = _mm512_srli_epi64(a, 30);
    limb[0] = _mm512_add_epi64(limb[0], _mm512_mul_epu32(a0, b0));
    limb[1] = _mm512_add_epi64(limb[1], _mm512_mul_epu32(a0, b1));
    limb[1] = _mm512_add_epi64(limb[1], _mm512_mul_epu32(a1, b0));
    limb[2] = _mm512_add_epi64(limb[2], _mm512_mul_epu32(a1, b1));
  }
  void carry(Vector mask) {
    for (size_t i = 0; i + 1 < kLimbs; i++) {
      limb[i + 1] = _mm512_add_epi64(limb[i + 1], _mm512_srli_epi64(limb[i], 30));
      limb[i] = _mm512_and_si512(limb[i], mask);
    }
  }
};

// Adds kPairs products to the sums. Every operand is read in the order of memory: many lie in no cache.
template <size_t kPairs>
void add_products(const uint64_t* const* a0, const uint64_t* const* a1, const uint64_t* const* b, size_t degree,
                  Sum (*sums)[2]) {
  const Vector mask = all((uint64_t{1} << 30) - 1);
  for (size_t j = 0; j < degree; j += 8) {
    Sum (&sum)[2] = sums[j / 8];
    Sum first = sum[0], second = sum[1];
#pragma GCC unroll 8
    for (size_t i = 0; i < kPairs; i++) {
      const Vector factor = load(b[i] + j), b0 = _mm512_and_si512(factor, mask), b1 = _mm512_srli_epi64(factor, 30);
      for (const uint64_t* operand : {a0[i], a1[i], b[i]})
        _mm_prefetch(reinterpret_cast<const char*>(operand + j + 64), _MM_HINT_T0);
      first.add(load(a0[i] + j), b0, b1, mask);
      second.add(load(a1[i] + j), b0, b1, mask);
    }
    first.carry(mask), second.carry(mask);
    sum[0] = first, sum[1] = second;
  }
}

void accumulate(const Prime& prime, const uint64_t* const* a0, const uint64_t* const* a1, const uint64_t* const* b,
                size_t pairs, size_t degree, uint64_t* out0, uint64_t* out1) {
  Scratch64 memory(2 * kLimbs * degree);
  auto* sums = reinterpret_cast<Sum(*)[2]>(memory.get());
  std::memset(memory.get(), 0, 2 * kLimbs * degree * sizeof(uint64_t));
  size_t i = 0;
  for (; i + kSafe <= pairs; i += kSafe) add_products<kSafe>(a0 + i, a1 + i, b + i, degree, sums);
  for (; i + 2 <= pairs; i += 2) add_products<2>(a0 + i, a1 + i, b + i, degree, sums);
  for (; i < pairs; i++) add_products<1>(a0 + i, a1 + i, b + i, degree, sums);
  const Bounds bounds(prime.q);
  const Twiddle one(prime.one), two60(prime.two60), two90(prime.two90);
  for (size_t j = 0; j < degree; j += 8)
    for (size_t k = 0; k < 2; k++) {
      const Vector* limb = sums[j / 8][k].limb;
      Vector x = multiply(_mm512_or_si512(limb[0], _mm512_slli_epi64(limb[1], 30)), one, bounds.q);
      x = _mm512_add_epi64(x, multiply(limb[2], two60, bounds.q));
      x = _mm512_add_epi64(x, multiply(limb[3], two90, bounds.q));  // below 12q
      store((k ? out1 : out0) + j, bounds.whole(reduce(x, bounds.q8)));
    }
}

}  // namespace

const RingKernels kAvx512Ring = {lift, forward, inverse, accumulate, expand_root};

}  // namespace circa
