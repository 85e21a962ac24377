#include "engine/device/run_delay.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace shardline {

RunDelay::RunDelay() : file_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

RunDelay::~RunDelay() {
  if (file_ >= 0) ::close(file_);
}

Duration RunDelay::total() const {
  char text[96] = {};
  unsigned long long running, waiting = 0;  // nanoseconds
  if (file_ < 0 || ::pread(file_, text, sizeof text - 1, 0) <= 0 || std::sscanf(text, "%llu %llu", &running, &waiting) != 2) return {};
  return std::chrono::nanoseconds(waiting);
}

}  // namespace shardline
