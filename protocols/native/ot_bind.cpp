// The kernels of protocols/ot for Python: checks shapes and drops the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <type_traits>

#include "kernels.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace circa {
namespace {

template <class T, nb::ssize_t... N>
using Of = nb::ndarray<T, nb::shape<N...>, nb::c_contig, nb::device::cpu>;

using Blocks = Of<const uint64_t, -1, 2>;
using OutBlocks = Of<uint64_t, -1, 2>;
using Delta = Of<const uint64_t, 2>;
using Bytes = Of<const uint8_t, -1>;
using Matrix = Of<const uint8_t, -1, -1>;
using OutMatrix = Of<uint8_t, -1, -1>;
using Schedules = Of<const uint8_t, -1, 176>;
using Sums = Of<uint64_t, -1, -1, 2>;

template <class A>
auto bytes(const A& array) {
  using Word = std::remove_pointer_t<decltype(array.data())>;
  using Byte = std::conditional_t<std::is_const_v<Word>, const uint8_t, uint8_t>;
  return reinterpret_cast<Byte*>(array.data());
}

void require(bool ok, const char* what) {
  if (!ok) throw nb::value_error(what);
}

void require_forest(size_t leaves, size_t k, size_t rows, size_t width, size_t columns) {
  require(1 <= k && k <= 8, "a tree has a depth of 1 to 8");
  require(leaves == (128 / k << k) + (128 % k ? size_t{1} << 128 % k : 0), "the trees have another number of leaves");
  require(rows == (127 + k) / k, "a row of the message for each tree");
  require(width == (columns + 7) / 8, "the message does not have as many columns as there are blocks");
}

void require_sums(size_t keys, size_t n, size_t first, size_t elements) {
  require(2 <= n && n <= 8, "an index has 2 to 8 bits");
  require(keys % n == 0, "the keys do not make whole elements");
  require(first <= keys / n && elements <= keys / n - first, "more elements than keys");
}

}  // namespace

void bind_ot(nb::module_& m) {
  m.def("schedules", [](Of<const uint8_t, -1, 16> seeds, Of<uint8_t, -1, 176> out) {
    require(seeds.shape(0) == out.shape(0), "a schedule for each seed");
    const nb::gil_scoped_release free;
    selected().schedules(seeds.data(), out.data(), seeds.shape(0));
  }, "seeds"_a.noconvert(), "out"_a.noconvert());

  m.def("softspoken_send", [](Schedules leaves, size_t k, uint64_t first, Delta delta, Matrix d, OutBlocks K) {
    require_forest(leaves.shape(0), k, d.shape(0), d.shape(1), K.shape(0));
    const nb::gil_scoped_release free;
    selected().softspoken_send({leaves.data(), k, first}, bytes(delta), d.data(), d.shape(1), bytes(K), K.shape(0));
  }, "leaves"_a.noconvert(), "k"_a, "first"_a, "delta"_a.noconvert(), "d"_a.noconvert(), "K"_a.noconvert());

  m.def("softspoken_recv", [](Schedules leaves, size_t k, uint64_t first, Bytes r, OutMatrix d, OutBlocks M) {
    require_forest(leaves.shape(0), k, d.shape(0), d.shape(1), M.shape(0));
    require(r.shape(0) == d.shape(1), "a packed choice for each column");
    const nb::gil_scoped_release free;
    selected().softspoken_recv({leaves.data(), k, first}, r.data(), d.data(), d.shape(1), bytes(M), M.shape(0));
  }, "leaves"_a.noconvert(), "k"_a, "first"_a, "r"_a.noconvert(), "d"_a.noconvert(), "M"_a.noconvert());

  m.def("one_of_n_send", [](Blocks K, Delta delta, uint64_t tweak, size_t n, size_t first, Sums out) {
    require_sums(K.shape(0), n, first, out.shape(1));
    const nb::gil_scoped_release free;
    selected().one_of_n_send(bytes(K), K.shape(0) / n, bytes(delta), tweak, n, first, bytes(out), out.shape(1),
                             out.shape(0));
  }, "K"_a.noconvert(), "delta"_a.noconvert(), "tweak"_a, "n"_a, "first"_a, "out"_a.noconvert());

  m.def("one_of_n_recv", [](Blocks M, uint64_t tweak, size_t n, size_t first, Sums out) {
    require_sums(M.shape(0), n, first, out.shape(1));
    const nb::gil_scoped_release free;
    selected().one_of_n_recv(bytes(M), M.shape(0) / n, tweak, n, first, bytes(out), out.shape(1), out.shape(0));
  }, "M"_a.noconvert(), "tweak"_a, "n"_a, "first"_a, "out"_a.noconvert());
}

}  // namespace circa
