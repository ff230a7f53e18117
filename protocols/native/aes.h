// AES-128 and the hash H(x, j) = pi(s) ^ s, s = sigma(x) ^ j, over M vectors at a time to fill the pipeline.
#pragma once

#include "lanes.h"

namespace {

struct Schedule {
  __m128i key[11];

  Schedule() = default;
  explicit Schedule(const uint8_t* seed) {
    key[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seed));
    next<1, 0x01>(), next<2, 0x02>(), next<3, 0x04>(), next<4, 0x08>(), next<5, 0x10>();
    next<6, 0x20>(), next<7, 0x40>(), next<8, 0x80>(), next<9, 0x1b>(), next<10, 0x36>();
  }

 private:
  template <int I, int Rcon>
  void next() {
    __m128i k = key[I - 1];
    const __m128i g = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(k, Rcon), 0xff);
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
    key[I] = _mm_xor_si128(k, g);
  }
};

// The round keys as vectors; the compiler keeps what it can in registers.
template <class V>
struct Rounds {
  V key[11];

  explicit Rounds(const Schedule& schedule) {
    for (int r = 0; r < 11; r++) key[r] = V::broadcast(schedule.key[r]);
  }

  template <size_t M>
  void encrypt(V* x) const {
    for (size_t j = 0; j < M; j++) x[j] = x[j] ^ key[0];
    for (int r = 1; r < 10; r++)
      for (size_t j = 0; j < M; j++) x[j] = x[j].round(key[r]);
    for (size_t j = 0; j < M; j++) x[j] = x[j].last_round(key[10]);
  }

  // x_j <- H(x_j, tweak_j)
  template <size_t M>
  void hash(V* x, const V* tweak) const {
    V s[M];
    for (size_t j = 0; j < M; j++) x[j] = s[j] = x[j].sigma() ^ tweak[j];
    encrypt<M>(x);
    for (size_t j = 0; j < M; j++) x[j] = x[j] ^ s[j];
  }
};

// The public key of the hash, FIXED_KEY in protocols/hash.py.
inline const Schedule& fixed_key() {
  static const Schedule schedule(reinterpret_cast<const uint8_t*>("Circa fixed key."));
  return schedule;
}

}  // namespace
