// Free memory by size, at most kKept bytes of it.
#include "rlwe_memory.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace circa {
namespace {

constexpr size_t kKept = size_t{1} << 25, kHead = 64;  // the head of a block holds its size

std::mutex lock;
std::map<size_t, std::vector<char*>> spare;
size_t kept = 0;

}  // namespace

uint64_t* take(size_t words) {
  const size_t size = kHead + (8 * words + 63) / 64 * 64;
  char* block = nullptr;
  {
    const std::lock_guard<std::mutex> held(lock);
    auto& blocks = spare[size];
    if (!blocks.empty()) {
      block = blocks.back();
      blocks.pop_back();
      kept -= size;
    }
  }
  if (block == nullptr) block = static_cast<char*>(std::aligned_alloc(64, size));
  if (block == nullptr) throw std::bad_alloc();
  *reinterpret_cast<size_t*>(block) = size;
  return reinterpret_cast<uint64_t*>(block + kHead);
}

void give(void* memory) noexcept {
  char* block = static_cast<char*>(memory) - kHead;
  const size_t size = *reinterpret_cast<size_t*>(block);
  {
    const std::lock_guard<std::mutex> held(lock);
    if (kept + size <= kKept) {
      spare[size].push_back(block);
      kept += size;
      return;
    }
  }
  std::free(block);
}

}  // namespace circa
