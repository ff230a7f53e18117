// prg.py and linear/samplers.py: random words to integers of a distribution.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <vector>

#include "rlwe.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace circa {
namespace {

template <class T, nb::ssize_t... N>
using Of = nb::ndarray<T, nb::shape<N...>, nb::c_contig, nb::device::cpu>;

void require(bool ok, const char* what) {
  if (!ok) throw nb::value_error(what);
}

constexpr size_t kLow = 60, kLimb = 12;

// Low 60 bits, then limbs of 12 (the last narrower), minus 2^width; modulo q.
void signed_residues(const uint64_t* low, const uint16_t* limbs, size_t count, size_t n, size_t width, uint64_t q,
                     uint64_t* out) {
  const auto power = [q](size_t exponent) {
    uint64_t x = 1;
    while (exponent-- > 0) x = reduce(2 * x, q);
    return make_constant(x, q);
  };
  const Constant one = make_constant(1, q);
  const uint64_t offset = q - power(width).w;
  for (size_t j = 0; j < n; j++) out[j] = reduce(multiply(low[j] >> (64 - kLow), one, q), q) + offset;
  for (size_t i = 0; i < count; i++) {
    const size_t start = kLow + i * kLimb, rest = width + 1 - start, unused = rest < kLimb ? 16 - rest : 16 - kLimb;
    const Constant weight = power(start);
    for (size_t j = 0; j < n; j++)
      out[j] = reduce(out[j], q) + reduce(multiply(limbs[i * n + j] >> unused, weight, q), q);
  }
  for (size_t j = 0; j < n; j++) out[j] = reduce(out[j], q);
}

}  // namespace

void bind_samplers(nb::module_& m) {
  m.def("below", [](Of<const uint32_t, -1> draw, uint32_t bound, Of<uint32_t, -1> out) {
    require(bound > 1, "a bound above 1");
    const uint32_t shift = static_cast<uint32_t>(__builtin_clz(bound));
    const size_t size = out.shape(0);
    const nb::gil_scoped_release free;
    size_t done = 0;
    for (size_t i = 0; i < draw.shape(0) && done < size; i++) {
      const uint32_t value = draw.data()[i] >> shift;
      out.data()[done] = value;
      done += value < bound;
    }
    return done;
  }, "draw"_a.noconvert(), "bound"_a, "out"_a.noconvert());

  m.def("centred_binomial", [](Of<const uint64_t, -1> draw, size_t width, Of<int64_t, -1> out) {
    require(1 <= width && width <= 32, "two strings of at most 32 bits");
    require(draw.shape(0) == out.shape(0), "draw and out differ in length");
    const uint64_t mask = (uint64_t{1} << width) - 1;
    const nb::gil_scoped_release free;
    for (size_t j = 0; j < draw.shape(0); j++) {
      const uint64_t x = draw.data()[j];
      out.data()[j] = __builtin_popcountll(x & mask) - __builtin_popcountll(x >> width & mask);
    }
  }, "draw"_a.noconvert(), "width"_a, "out"_a.noconvert());

  m.def("signed_residues", [](Of<const uint64_t, -1> low, Of<const uint16_t, -1, -1> limbs, size_t width,
                              const std::vector<uint64_t>& primes, Of<uint64_t, -1, -1> out) {
    const size_t n = low.shape(0), count = limbs.shape(0);
    require(kLow <= width && count == (width - kLow) / kLimb + 1, "as many limbs as there are bits above the 60th");
    require(limbs.shape(1) == n && out.shape(1) == n && out.shape(0) == primes.size(), "a value for each draw");
    for (const uint64_t q : primes) require(2 < q && q < uint64_t{1} << 60, "a prime below 2^60");
    const nb::gil_scoped_release free;
    for (size_t i = 0; i < primes.size(); i++)
      signed_residues(low.data(), limbs.data(), count, n, width, primes[i], out.data() + i * n);
  }, "low"_a.noconvert(), "limbs"_a.noconvert(), "width"_a, "primes"_a, "out"_a.noconvert());
}

}  // namespace circa
