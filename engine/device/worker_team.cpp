#include "engine/device/worker_team.h"

#include <xmmintrin.h>

#include <utility>

#include "engine/base/check.h"

namespace shardline {
namespace {

// Flush-to-zero and denormals-are-zero, rounding to nearest, for the length of a scope.
class FloatMode {
 public:
  FloatMode() : saved_(_mm_getcsr()) { _mm_setcsr((saved_ & ~0x6000u) | 0x8040u); }
  ~FloatMode() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
};

}  // namespace

int Worker::count() const { return team_->threads_; }

int Worker::claim() {
  if (std::exchange(fresh_, false)) return index_;
  return team_->counters_[phase_ & 1].next.fetch_add(1, std::memory_order_relaxed);
}

void Worker::barrier() {
  WorkerTeam& team = *team_;
  const std::uint32_t phase = team.phase_.load(std::memory_order_relaxed);
  // The counter of the phase after next was last used in the phase before this one: nobody claims from it now.
  if (team.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(team.threads_)) {
    team.counters_[(phase_ + 1) & 1].next.store(team.threads_, std::memory_order_relaxed);
    team.arrived_.store(0, std::memory_order_relaxed);
    team.phase_.store(phase + 1, std::memory_order_release);
    if (team.threads_ > 1) team.phase_.notify_all();
  } else {
    team.wait_change(team.phase_, phase);
  }
  ++phase_;
  fresh_ = true;
}

WorkerTeam::WorkerTeam(int threads, bool spin) : threads_(threads), spins_(spin ? 4000 : 0) {
  CHECK(threads >= 1, "a team of {} threads", threads);
  for (int i = 1; i < threads; ++i) others_.emplace_back([this, i] { serve(i); });
}

WorkerTeam::~WorkerTeam() {
  stop_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& t : others_) t.join();
}

void WorkerTeam::wait_change(const std::atomic<std::uint32_t>& word, std::uint32_t old) const {
  for (int i = 0; i < spins_; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

void WorkerTeam::run(const std::function<void(Worker&)>& work) {
  const FloatMode mode;
  work_ = &work;
  for (Counter& counter : counters_) counter.next.store(threads_, std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_release);
  if (threads_ > 1) job_.notify_all();
  Worker self(*this, 0);
  work(self);
  self.barrier();  // all are done
}

void WorkerTeam::serve(int index) {
  const FloatMode mode;
  std::uint32_t seen = 0;
  for (;;) {
    wait_change(job_, seen);
    ++seen;
    if (stop_) return;
    Worker self(*this, index);
    (*work_)(self);
    self.barrier();
  }
}

}  // namespace shardline
