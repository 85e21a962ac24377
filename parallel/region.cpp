#include "parallel/region.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace shardline::parallel {
namespace {

Error io_error(const char* what, std::size_t bytes) {
  return {ErrorCode::io, fmt::format("shared memory of {} bytes: {}: {}", bytes, what, std::strerror(errno)), ""};
}

std::string ipc_namespace(int pid) {
  char link[64];
  const ssize_t n = readlink(fmt::format("/proc/{}/ns/ipc", pid).c_str(), link, sizeof link);
  return n > 0 ? std::string(link, static_cast<std::size_t>(n)) : std::string();
}

}  // namespace

Result<Region> Region::map(std::size_t bytes, int fd) {
  const std::size_t mapped = bytes + kHeader;
  const int flags = MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (base == MAP_FAILED) return io_error("mmap", bytes);
  return Region(static_cast<std::byte*>(base), mapped);
}

Result<Region> Region::anonymous(std::size_t bytes) { return map(bytes, -1); }

Result<Region> Region::create(std::size_t bytes) {
  const int fd = memfd_create("shardline", MFD_CLOEXEC);
  if (fd < 0) return io_error("memfd_create", bytes);
  if (ftruncate(fd, static_cast<off_t>(bytes + kHeader)) != 0) {
    const Error error = io_error("ftruncate", bytes);
    close(fd);
    return error;
  }
  Result<Region> region = map(bytes, fd);
  if (!region.ok()) {
    close(fd);
    return region;
  }
  RegionAddress& address = region->address_;
  address = {getpid(), fd, {}, ipc_namespace(getpid())};
  if (getrandom(address.nonce.data(), sizeof address.nonce, 0) != static_cast<ssize_t>(sizeof address.nonce))
    return io_error("getrandom", bytes);
  std::memcpy(region->base_, address.nonce.data(), sizeof address.nonce);
  return region;
}

Result<Region> Region::attach(const RegionAddress& address, std::size_t bytes) {
  if (address.ipc_namespace.empty() || ipc_namespace(address.pid) != address.ipc_namespace ||
      ipc_namespace(getpid()) != address.ipc_namespace)
    return Error{ErrorCode::unavailable, fmt::format("process {} is on another host", address.pid), ""};
  const int fd = open(fmt::format("/proc/{}/fd/{}", address.pid, address.fd).c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return io_error("open", bytes);
  struct stat file {};
  const bool fits = fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && static_cast<std::size_t>(file.st_size) == bytes + kHeader;
  Result<Region> region = fits ? map(bytes, fd) : Result<Region>(Error{ErrorCode::unavailable, "not this job's shared memory", ""});
  close(fd);
  if (region.ok() && std::memcmp(region->base_, address.nonce.data(), sizeof address.nonce) != 0)
    return Error{ErrorCode::unavailable, "not this job's shared memory", ""};
  return region;
}

Region::Region(Region&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), mapped_(other.mapped_), address_(std::exchange(other.address_, {})) {}

Region& Region::operator=(Region&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(mapped_, other.mapped_);
  std::swap(address_, other.address_);
  return *this;
}

Region::~Region() {
  close_file();
  if (base_) munmap(base_, mapped_);
}

void Region::close_file() {
  if (address_.fd >= 0) close(std::exchange(address_.fd, -1));
}

}  // namespace shardline::parallel
