#include "parallel/signal.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <ctime>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace shardline::parallel {
namespace {

constexpr Duration kAbortCheck = std::chrono::milliseconds(20);  // longest sleep between two looks at the abort word

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  static_assert(sizeof(word) == sizeof(value) && std::atomic<std::uint32_t>::is_always_lock_free);
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

timespec to_timespec(Duration d) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  return {static_cast<std::time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

}  // namespace

void JobAbort::raise(ErrorCode code, std::string_view cause) {
  std::uint32_t expected = kRuns;
  if (!word_.compare_exchange_strong(expected, kWriting)) return;
  code_ = static_cast<std::uint32_t>(code);
  std::memcpy(cause_, cause.data(), std::min(cause.size(), sizeof(cause_) - 1));
  word_.store(kWritten, std::memory_order_release);
}

Error JobAbort::error() const {
  // The writer may have died between the two stores: do not wait for long.
  for (int i = 0; i < 100 && word_.load(std::memory_order_acquire) == kWriting; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (word_.load(std::memory_order_acquire) != kWritten) return {ErrorCode::lost, "the job was ended", ""};
  return {static_cast<ErrorCode>(code_), cause_, ""};
}

void Signal::wake(bool shared) { futex(value_, shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, INT_MAX, nullptr); }

Wake Signal::wait_long(std::uint32_t target, const Waiting& how, TimePoint deadline) {
  if (how.spin > Duration::zero()) {
    const TimePoint end = Clock::now() + how.spin;
    do {
      for (int i = 0; i < 32; ++i) {
        if (reached(target)) return Wake::ready;
        pause();
      }
    } while (Clock::now() < end);
  }
  sleepers_.fetch_add(1);
  const Wake wake = sleep(target, how, deadline);
  sleepers_.fetch_sub(1);
  return wake;
}

Wake Signal::sleep(std::uint32_t target, const Waiting& how, TimePoint deadline) {
  for (;;) {
    const std::uint32_t seen = value_.load();
    if (static_cast<std::int32_t>(seen - target) >= 0) return Wake::ready;
    if (how.abort && how.abort->raised()) return Wake::aborted;
    const TimePoint now = Clock::now();
    if (now >= deadline) return Wake::timeout;
    const timespec timeout = to_timespec(std::min<Duration>(deadline - now, kAbortCheck));
    futex(value_, how.shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, seen, &timeout);
  }
}

}  // namespace shardline::parallel
