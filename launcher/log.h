// Log lines on standard error, written by a thread of their own: whoever reads them slowly stalls no stream. Where they pile up, the
// oldest are dropped.
#pragma once
#include <memory>

namespace shardline::launcher {

// spdlog's default logger as long as it lives. The end writes what is left.
class Log {
 public:
  Log();
  ~Log();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::launcher
