// circa.protocols._kernels: checks shapes, drops the GIL, calls the kernels for this processor.
// Importing it raises ImportError on a processor without AES instructions, and Python then uses its own versions.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "kernels.h"

namespace nb = nanobind;
using circa::Kernels;

namespace {

const Kernels* best() {
  __builtin_cpu_init();
  const bool ni = __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
  const bool wide = __builtin_cpu_supports("vaes") && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  return ni && wide ? &circa::kVaes : ni ? &circa::kAesni : nullptr;
}

const Kernels* active = nullptr;

using In = nb::ndarray<const uint64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<uint64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;

const uint8_t* bytes(const In& a) { return reinterpret_cast<const uint8_t*>(a.data()); }
uint8_t* bytes(const Out& a) { return reinterpret_cast<uint8_t*>(a.data()); }

void require(bool ok, const char* what) {
  if (!ok) throw nb::value_error(what);
}

}  // namespace

NB_MODULE(_kernels, m) {
  active = best();
  if (!active) throw nb::import_error("this processor has no AES instructions");

  m.def("level", [] { return active->name; });
  m.def(
      "tccr",
      [](In x, uint64_t tweak, Out out) {
        require(x.shape(0) == out.shape(0), "x and out differ in length");
        const nb::gil_scoped_release free;
        active->tccr(bytes(x), bytes(out), x.shape(0), tweak);
      },
      nb::arg("x").noconvert(), nb::arg("tweak"), nb::arg("out").noconvert());
}
