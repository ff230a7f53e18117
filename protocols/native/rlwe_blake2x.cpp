// SEAL's expansion of a seed to residues: Blake2xb keyed by the seed, over a counter, 4096 bytes at a time.
#include "blake2x.inl"
#include "rlwe.h"

namespace circa {
namespace {

// SEAL's generator: 64-bit words from a seed.
class Generator {
 public:
  Generator(const RingKernels& kernels, const uint8_t* seed) : kernels_(kernels) {
    std::memcpy(key_, seed, sizeof key_);
  }

  uint64_t next() {
    if (used_ == kRefill / 8) refill();
    return words_[used_++];
  }

 private:
  void refill() {
    uint64_t root[8], block[16] = {}, counter[16] = {counter_++};
    start(root, 0x01014040, uint64_t{0}, 0);  // digest and key of 64 bytes, fanout 1, depth 1
    std::memcpy(block, key_, sizeof key_);
    compress(root, block, 128, false);
    compress(root, counter, 136, true);
    kernels_.expand_root(root, words_);
    used_ = 0;
  }

  const RingKernels& kernels_;
  uint64_t key_[8], words_[kRefill / 8], counter_ = 0;
  size_t used_ = kRefill / 8;
};

}  // namespace

void expand_seed(const Ring& ring, const RingKernels& kernels, const uint8_t* seed, uint64_t* out) {
  Generator generator(kernels, seed);
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
