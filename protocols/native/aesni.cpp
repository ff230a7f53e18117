// Every kernel, compiled for AES-NI and SSE4.1.
#include "hash.inl"
#include "kernels.h"

namespace circa {
const Kernels kAesni = {"aes-ni", tccr};
}
