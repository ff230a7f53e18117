// Every kernel, compiled for AES-NI and SSE4.1.
#include "halfgates.inl"
#include "hash.inl"
#include "kernels.h"
#include "one_of_n.inl"
#include "rows.inl"
#include "softspoken.inl"

namespace circa {
const Kernels kAesni = {"aes-ni", tccr, cot_pads, expand, columns, schedules, softspoken_send,
                       softspoken_recv, one_of_n_send, one_of_n_recv, garble, evaluate, &kPortableRing};
}
