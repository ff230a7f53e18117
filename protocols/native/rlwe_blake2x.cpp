// SEAL's expansion of a seed to residues: Blake2xb keyed by the seed, over a counter, 4096 bytes at a time.
// [ANWW13] Aumasson, Neves, Wilcox-O'Hearn, Winnerlein. BLAKE2. RFC 7693; and "BLAKE2X", 2016.
#include <cstring>

#include "rlwe.h"

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

inline uint64_t rotate(uint64_t x, int by) { return x >> by | x << (64 - by); }

void compress(uint64_t (&state)[8], const uint64_t (&block)[16], uint64_t bytes, bool last) {
  uint64_t v[16];
  for (int i = 0; i < 8; i++) v[i] = state[i], v[i + 8] = kInitial[i];
  v[12] ^= bytes;
  if (last) v[14] = ~v[14];
  for (const auto& sigma : kSigma) {
    const auto mix = [&](int a, int b, int c, int d, int i) {
      v[a] += v[b] + block[sigma[2 * i]];
      v[d] = rotate(v[d] ^ v[a], 32);
      v[c] += v[d];
      v[b] = rotate(v[b] ^ v[c], 24);
      v[a] += v[b] + block[sigma[2 * i + 1]];
      v[d] = rotate(v[d] ^ v[a], 16);
      v[c] += v[d];
      v[b] = rotate(v[b] ^ v[c], 63);
    };
    mix(0, 4, 8, 12, 0), mix(1, 5, 9, 13, 1), mix(2, 6, 10, 14, 2), mix(3, 7, 11, 15, 3);
    mix(0, 5, 10, 15, 4), mix(1, 6, 11, 12, 5), mix(2, 7, 8, 13, 6), mix(3, 4, 9, 14, 7);
  }
  for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}

constexpr size_t kBuffer = 4096, kDigest = 64, kWords = kBuffer / 8;

// SEAL's generator: 64-bit words from a seed.
class Generator {
 public:
  explicit Generator(const uint8_t* seed) { std::memcpy(key_, seed, sizeof key_); }

  uint64_t next() {
    if (used_ == kWords) refill();
    return words_[used_++];
  }

 private:
  void refill() {
    uint64_t root[8];
    // digest and key of 64 bytes, fanout 1, depth 1; the output's length above the node offset
    start(root, 0x01014040, 0, 0);
    uint64_t block[16] = {};
    std::memcpy(block, key_, sizeof key_);
    compress(root, block, 128, false);
    uint64_t counter[16] = {counter_++};
    compress(root, counter, 136, true);
    uint64_t node[16] = {};
    std::memcpy(node, root, sizeof root);
    for (size_t i = 0; i < kBuffer / kDigest; i++) {
      uint64_t digest[8];  // no key, fanout 0, depth 0, leaves and inner digests of 64 bytes
      start(digest, uint64_t{kDigest} << 32 | kDigest, i, uint64_t{kDigest} << 8);
      compress(digest, node, kDigest, true);
      std::memcpy(words_ + 8 * i, digest, sizeof digest);
    }
    used_ = 0;
  }

  static void start(uint64_t (&state)[8], uint64_t first, uint64_t node, uint64_t third) {
    std::memcpy(state, kInitial, sizeof state);
    state[0] ^= first;
    state[1] ^= node | uint64_t{kBuffer} << 32;
    state[2] ^= third;
  }

  uint64_t key_[8], words_[kWords], counter_ = 0;
  size_t used_ = kWords;
};

}  // namespace

void expand_seed(const Ring& ring, const uint8_t* seed, uint64_t* out) {
  Generator generator(seed);
  const size_t words = ring.primes.size() * ring.degree;
  for (size_t j = 0; j < words; j++) out[j] = generator.next();
  for (const Prime& prime : ring.primes) {
    const uint64_t q = prime.q, bound = ~uint64_t{0} - ~uint64_t{0} % q - 1;
    for (size_t j = 0; j < ring.degree; j++) {
      uint64_t draw = *out;
      while (draw >= bound) draw = generator.next();
      *out++ = reduce(multiply(draw, prime.one, q), q);
    }
  }
}

}  // namespace circa
