// BLAKE2b's compression, and the digests of one refill of SEAL's generator, eight at a time.
// [ANWW13] Aumasson, Neves, Wilcox-O'Hearn, Winnerlein. BLAKE2. RFC 7693; and "BLAKE2X", 2016.
// Included by every file that compiles it for its processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace circa {
namespace {

constexpr uint64_t kInitial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
constexpr uint8_t kSigma[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

template <class Word>
inline void xor_rotate(Word& x, const Word& y, int by) {
  const Word mixed = x ^ y;
  x = mixed >> by | mixed << (64 - by);
}

// One block for each lane of a Word, a 64-bit integer or a vector of them.
template <class Word>
void compress(Word (&state)[8], const Word (&block)[16], uint64_t bytes, bool last) {
  Word v[16];
  for (int i = 0; i < 8; i++) v[i] = state[i], v[i + 8] = Word{} + kInitial[i];
  v[12] ^= bytes;
  if (last) v[14] = ~v[14];
  for (const auto& sigma : kSigma) {
    const auto mix = [&](int a, int b, int c, int d, int i) {
      v[a] += v[b] + block[sigma[2 * i]];
      xor_rotate(v[d], v[a], 32);
      v[c] += v[d];
      xor_rotate(v[b], v[c], 24);
      v[a] += v[b] + block[sigma[2 * i + 1]];
      xor_rotate(v[d], v[a], 16);
      v[c] += v[d];
      xor_rotate(v[b], v[c], 63);
    };
    mix(0, 4, 8, 12, 0), mix(1, 5, 9, 13, 1), mix(2, 6, 10, 14, 2), mix(3, 7, 11, 15, 3);
    mix(0, 5, 10, 15, 4), mix(1, 6, 11, 12, 5), mix(2, 7, 8, 13, 6), mix(3, 4, 9, 14, 7);
  }
  for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}

constexpr size_t kRefill = 4096, kDigest = 64;  // bytes

template <class Word>
void start(Word (&state)[8], uint64_t first, const Word& node, uint64_t third) {
  for (int i = 0; i < 8; i++) state[i] = Word{} + kInitial[i];
  state[0] ^= first;
  state[1] ^= node | uint64_t{kRefill} << 32;  // the output's length above the node offset
  state[2] ^= third;
}

// Blake2xb's second half: 64 digests of the root, told apart by their number.
[[maybe_unused]] void expand_root(const uint64_t* root, uint64_t* words) {
  typedef uint64_t Lanes __attribute__((vector_size(64)));
  Lanes block[16] = {}, node = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int i = 0; i < 8; i++) block[i] = block[i] + root[i];
  for (size_t first = 0; first < kRefill / kDigest; first += 8, node += 8) {
    Lanes digest[8];  // no key, fanout 0, depth 0, leaves and inner digests of 64 bytes
    start(digest, uint64_t{kDigest} << 32 | kDigest, node, uint64_t{kDigest} << 8);
    compress(digest, block, kDigest, true);
    for (size_t lane = 0; lane < 8; lane++)
      for (size_t i = 0; i < 8; i++) words[8 * (first + lane) + i] = digest[i][lane];
  }
}

}  // namespace
}  // namespace circa
