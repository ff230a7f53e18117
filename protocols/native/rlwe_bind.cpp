// `Ring` of circa.protocols._kernels: checks shapes and ranges, drops the GIL, calls the kernels of this processor.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <vector>

#include "kernels.h"
#include "rlwe.h"
#include "rlwe_memory.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace circa {
namespace {

template <class T, nb::ssize_t... N>
using Of = nb::ndarray<T, nb::shape<N...>, nb::c_contig, nb::device::cpu>;

using Ciphertext = Of<const uint64_t, 2, -1, -1>;
using Factor = Of<const uint64_t, -1, -1>;

void require(bool ok, const char* what) {
  if (!ok) throw nb::value_error(what);
}

Ring make(size_t degree, const std::vector<uint64_t>& primes, const std::vector<uint64_t>& roots, uint64_t modulus,
          uint64_t remainder, const std::vector<uint64_t>& delta) {
  require(degree >= 64 && (degree & (degree - 1)) == 0, "the degree is a power of two, 64 at least");
  require(!primes.empty() && roots.size() == primes.size() && delta.size() == primes.size(),
          "a root and a quotient for each prime");
  require(2 <= modulus && modulus <= uint64_t{1} << 32 && remainder < modulus, "a plaintext modulus below 2^32");
  for (size_t i = 0; i < primes.size(); i++)
    require(modulus < primes[i] && primes[i] < uint64_t{1} << 60 && primes[i] % (2 * degree) == 1 &&
                roots[i] < primes[i] && delta[i] < primes[i],
            "a prime is above the modulus, below 2^60 and 1 modulo 2N");
  return {degree, primes, roots, modulus, remainder, delta};
}

// Words that become an array of NumPy's.
class Words {
 public:
  explicit Words(size_t words) : data_(take(words)), owner_(data_, give) {}
  uint64_t* data() { return data_; }
  template <size_t N>
  auto array(const size_t (&shape)[N]) {
    return nb::ndarray<nb::numpy, uint64_t, nb::ndim<N>>(data_, N, shape, owner_);
  }

 private:
  uint64_t* data_;
  nb::capsule owner_;
};

template <class A>
bool fits(const Ring& ring, const A& array, size_t axis) {
  return array.shape(axis) == ring.primes.size() && array.shape(axis + 1) == ring.degree;
}

}  // namespace

void bind_rlwe(nb::module_& m) {
  nb::class_<Ring>(m, "Ring")
      .def("__init__", [](Ring* self, size_t degree, const std::vector<uint64_t>& primes,
                          const std::vector<uint64_t>& roots, uint64_t modulus, uint64_t remainder,
                          const std::vector<uint64_t>& delta) {
        new (self) Ring(make(degree, primes, roots, modulus, remainder, delta));
      }, "degree"_a, "primes"_a, "roots"_a, "modulus"_a, "remainder"_a, "delta"_a)

      .def("transform", [](const Ring& ring, Of<const int64_t, -1> values) {
        require(values.shape(0) == ring.degree, "values do not fit the ring");
        uint64_t large = 0;
        for (size_t j = 0; j < ring.degree; j++)
          large |= (static_cast<uint64_t>(values.data()[j]) + (uint64_t{1} << 30)) >> 31;
        require(large == 0, "a factor's coefficients are at least -2^30 and below 2^30");
        Words out(ring.primes.size() * ring.degree);
        {
          const nb::gil_scoped_release free;
          transform(ring, *selected().ring, values.data(), out.data());
        }
        return out.array<2>({ring.primes.size(), ring.degree});
      }, "values"_a.noconvert())

      .def("expand_request", [](const Ring& ring, Of<const uint8_t, -1> message) -> nb::object {
        require(message.shape(0) == request_size(ring), "message does not fit the ring");
        Words out(2 * ring.primes.size() * ring.degree);
        bool reduced;
        {
          const nb::gil_scoped_release free;
          reduced = expand_request(ring, *selected().ring, message.data(), out.data());
        }
        if (!reduced) return nb::none();
        return nb::cast(out.array<3>({2, ring.primes.size(), ring.degree}));
      }, "message"_a.noconvert())

      .def("respond", [](const Ring& ring, const std::vector<Ciphertext>& ciphertexts,
                         const std::vector<Factor>& factors, Of<const int64_t, -1> error,
                         Of<const uint64_t, -1, -1> flood, Of<const uint32_t, -1> message,
                         Of<const int64_t, -1> positions, Of<uint8_t, -1> out) {
        const size_t count = positions.shape(0);
        Response response{{}, {}, error.data(), flood.data(), message.data(), positions.data(), count};
        require(ciphertexts.size() == factors.size(), "a factor for each ciphertext");
        for (size_t i = 0; i < factors.size(); i++) {
          require(fits(ring, ciphertexts[i], 1) && fits(ring, factors[i], 0), "a polynomial does not fit the ring");
          response.ciphertexts.push_back(ciphertexts[i].data());
          response.factors.push_back(factors[i].data());
        }
        require(error.shape(0) == ring.degree, "error does not fit the ring");
        require(flood.shape(0) == ring.primes.size() && flood.shape(1) == count && message.shape(0) == count,
                "flood and message do not fit the positions");
        require(out.shape(0) == response_size(ring, count), "out does not have the response's size");
        for (size_t j = 0; j < count; j++) {
          require(0 <= positions.data()[j] && static_cast<size_t>(positions.data()[j]) < ring.degree,
                  "a position is out of range");
          require(message.data()[j] < ring.modulus, "a message is not reduced");
        }
        const nb::gil_scoped_release free;
        respond(ring, *selected().ring, response, out.data());
      }, "ciphertexts"_a, "factors"_a, "error"_a.noconvert(), "flood"_a.noconvert(), "message"_a.noconvert(),
         "positions"_a.noconvert(), "out"_a.noconvert())

      .def("encrypt", [](const Ring& ring, Factor secret, Of<const uint64_t, -1> message, Of<const int64_t, -1> error,
                         Of<const uint8_t, 64> seed, Of<uint8_t, -1> out) {
        require(fits(ring, secret, 0), "secret does not fit the ring");
        require(message.shape(0) == ring.degree && error.shape(0) == ring.degree,
                "message and error do not fit the ring");
        require(out.shape(0) == request_size(ring), "out does not have the request's size");
        for (size_t j = 0; j < ring.degree; j++)
          require(message.data()[j] < ring.modulus, "a message is not reduced");
        const nb::gil_scoped_release free;
        encrypt(ring, *selected().ring, secret.data(), message.data(), error.data(), seed.data(), out.data());
      }, "secret"_a.noconvert(), "message"_a.noconvert(), "error"_a.noconvert(), "seed"_a.noconvert(),
         "out"_a.noconvert())

      .def("decrypt", [](const Ring& ring, Factor secret, Of<const uint8_t, -1> response,
                         Of<const int64_t, -1> positions, Of<uint32_t, -1> out) {
        const size_t count = positions.shape(0);
        require(fits(ring, secret, 0), "secret does not fit the ring");
        require(response.shape(0) == response_size(ring, count), "response does not fit the positions");
        require(out.shape(0) == count, "out does not fit the positions");
        for (size_t j = 0; j < count; j++)
          require(0 <= positions.data()[j] && static_cast<size_t>(positions.data()[j]) < ring.degree,
                  "a position is out of range");
        const nb::gil_scoped_release free;
        return decrypt(ring, *selected().ring, secret.data(), response.data(), positions.data(), count, out.data());
      }, "secret"_a.noconvert(), "response"_a.noconvert(), "positions"_a.noconvert(), "out"_a.noconvert());
}

}  // namespace circa
