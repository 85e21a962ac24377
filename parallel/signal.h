// How ranks wait for each other: a counter in memory that they share, a short spin, then a futex with a deadline.
// The same words serve threads of one process and processes of one host.
#pragma once
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace shardline::parallel {

// Unwinds a rank's step: a peer died, fell silent, or the job was ended. what() is the cause, one line.
class RankLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Why the job ends, set once, by whoever notices first. Zero-filled memory is a job that runs.
class JobAbort {
 public:
  bool raised() const { return word_.load(std::memory_order_acquire) != kRuns; }
  void raise(ErrorCode code, std::string_view cause);
  Error error() const;  // after raised()

 private:
  static constexpr std::uint32_t kRuns = 0, kWriting = 1, kWritten = 2;
  std::atomic<std::uint32_t> word_{kRuns};
  std::uint32_t code_ = 0;
  char cause_[504] = {};
};

struct Waiting {
  const JobAbort* abort = nullptr;  // ends every wait
  Duration spin{};                  // before sleeping; zero where ranks outnumber cores
  bool shared = false;              // futexes cross processes
};

enum class Wake { ready, timeout, aborted };

// A counter that one rank publishes and others wait for. Counts modulo 2^32. Zero-filled memory is a Signal at 0.
class alignas(128) Signal {
 public:
  bool reached(std::uint32_t target) const { return static_cast<std::int32_t>(value_.load(std::memory_order_acquire) - target) >= 0; }
  std::uint32_t value() const { return value_.load(std::memory_order_acquire); }
  // What was written before is seen by whoever waited for `value`.
  void publish(std::uint32_t value, bool shared) {
    value_.store(value);  // sequentially consistent, like the sleeper's count and second look: one of the two sees the other
    if (sleepers_.load() != 0) wake(shared);
  }
  Wake wait(std::uint32_t target, const Waiting& how, TimePoint deadline) {
    return reached(target) ? Wake::ready : wait_long(target, how, deadline);
  }

 private:
  void wake(bool shared);
  Wake wait_long(std::uint32_t target, const Waiting& how, TimePoint deadline);
  Wake sleep(std::uint32_t target, const Waiting& how, TimePoint deadline);

  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace shardline::parallel
