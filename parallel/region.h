// Memory that ranks share: anonymous between threads, a memfd between processes of one host. A memfd has no name, so nothing
// can be left behind whenever and however a process ends, and it does not depend on the size of /dev/shm.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/result.h"

namespace shardline::parallel {

// Where a peer finds a region. Peers that are not on the same host, or see other processes or another IPC namespace, cannot open it.
struct RegionAddress {
  std::int32_t pid = 0;
  std::int32_t fd = -1;
  std::array<std::uint64_t, 2> nonce{};  // proves that the file behind pid and fd is the one meant
  std::string ipc_namespace;             // containers apart are hosts apart, as with any System V or POSIX shared memory
};

class Region {
 public:
  // Zero-filled; pages cost nothing until they are touched. Errors: io.
  static Result<Region> anonymous(std::size_t bytes);
  static Result<Region> create(std::size_t bytes);
  static Result<Region> attach(const RegionAddress& address, std::size_t bytes);

  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  ~Region();

  std::byte* data() const { return base_ + kHeader; }  // aligned to 128 bytes
  std::size_t size() const { return mapped_ - kHeader; }
  const RegionAddress& address() const { return address_; }  // of create()
  void close_file();                                         // once every peer has attached: nobody else can from now on

 private:
  static constexpr std::size_t kHeader = 128;  // the nonce
  static Result<Region> map(std::size_t bytes, int fd);
  Region(std::byte* base, std::size_t mapped) : base_(base), mapped_(mapped) {}

  std::byte* base_ = nullptr;
  std::size_t mapped_ = 0;
  RegionAddress address_;
};

}  // namespace shardline::parallel
