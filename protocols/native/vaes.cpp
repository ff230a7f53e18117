// Every kernel, compiled for VAES and AVX-512.
#include "hash.inl"
#include "kernels.h"

namespace circa {
const Kernels kVaes = {"vaes", tccr};
}
