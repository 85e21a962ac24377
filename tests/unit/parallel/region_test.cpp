#include "parallel/region.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace shardline::parallel {
namespace {

constexpr std::size_t kBytes = 10000;

TEST(Region, IsZeroFilledAndAligned) {
  for (auto& region : {Region::anonymous(kBytes), Region::create(kBytes)}) {
    ASSERT_TRUE(region.ok());
    EXPECT_EQ(region->size(), kBytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region->data()) % 128, 0u);
    EXPECT_TRUE(std::ranges::all_of(std::span(region->data(), kBytes), [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(Region, AnotherProcessSeesTheSameBytes) {
  Region region = std::move(Region::create(kBytes).value());
  const pid_t child = fork();
  if (child == 0) {
    Result<Region> same = Region::attach(region.address(), kBytes);
    if (!same.ok()) _exit(1);
    std::memcpy(same->data() + kBytes - 5, "hello", 5);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(std::memcmp(region.data() + kBytes - 5, "hello", 5), 0);
}

TEST(Region, OnlyTheRightFileIsTaken) {
  Region region = std::move(Region::create(kBytes).value());
  EXPECT_TRUE(Region::attach(region.address(), kBytes).ok());
  EXPECT_FALSE(Region::attach(region.address(), kBytes + 1).ok());
  RegionAddress other = region.address();
  other.nonce[1] ^= 1;
  EXPECT_EQ(Region::attach(other, kBytes).error().message, "not this job's shared memory");
  other = region.address();
  other.fd = STDERR_FILENO;
  EXPECT_FALSE(Region::attach(other, kBytes).ok());
  other = region.address();
  other.ipc_namespace = "ipc:[1]";
  EXPECT_EQ(Region::attach(other, kBytes).error().code, ErrorCode::unavailable);
  EXPECT_FALSE(Region::attach(RegionAddress{}, kBytes).ok());
}

TEST(Region, NobodyIsLetInAfterTheFileIsClosed) {
  Region region = std::move(Region::create(kBytes).value());
  const RegionAddress address = region.address();
  region.close_file();
  EXPECT_FALSE(Region::attach(address, kBytes).ok());
  region.data()[0] = std::byte{1};  // the memory stays
}

}  // namespace
}  // namespace shardline::parallel
