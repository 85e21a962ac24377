// A file's bytes, mapped read-only: pages come into memory as they are touched.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/result.h"

namespace shardline {

class MappedFile {
 public:
  // Errors: not_found; io with the system's reason; bad_model where it is no regular file. Messages leave the path to the caller.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// Tells the kernel that the whole pages inside `bytes`, part of a mapping, are not needed for now: they leave this process's memory.
void release_pages(std::span<const std::byte> bytes);

}  // namespace shardline
