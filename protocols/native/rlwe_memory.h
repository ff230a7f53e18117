// Memory for polynomials, kept for the next ones: fresh pages cost more than the transforms that fill them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace circa {

// 64-byte aligned words, not filled; `give` takes back what `take` returned. For any thread.
uint64_t* take(size_t words);
void give(void* memory) noexcept;

// The words of one scope.
class Scratch64 {
 public:
  explicit Scratch64(size_t words) : words_(take(words)) {}
  ~Scratch64() { give(words_); }
  Scratch64(const Scratch64&) = delete;
  Scratch64& operator=(const Scratch64&) = delete;
  uint64_t* get() { return words_; }

 private:
  uint64_t* words_;
};

}  // namespace circa
