#include "engine/base/aligned_buffer.h"

#include <sys/mman.h>

#include "engine/base/check.h"

namespace shardline {

AlignedBuffer::AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "cannot allocate {} bytes", bytes);
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  if (bytes >= 4 * kHuge) madvise(memory, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(memory);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace shardline
