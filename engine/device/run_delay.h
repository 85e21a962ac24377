// How long a thread was ready to run and did not get a core (Linux, /proc/thread-self/schedstat).
#pragma once
#include "engine/base/clock.h"

namespace shardline {

class RunDelay {
 public:
  RunDelay();  // of the calling thread
  ~RunDelay();
  RunDelay(const RunDelay&) = delete;
  RunDelay& operator=(const RunDelay&) = delete;

  // Since the thread began; zero where the kernel does not tell. May be called from any thread.
  Duration total() const;

 private:
  int file_;
};

}  // namespace shardline
