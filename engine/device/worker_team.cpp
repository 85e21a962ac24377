#include "engine/device/worker_team.h"

#include <xmmintrin.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/thread_name.h"

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

Worker::Worker(WorkerTeam& team, int index) : team_(&team), index_(index), count_(team.active_) {}

int Worker::claim() {
  if (std::exchange(fresh_, false)) return index_;
  return team_->counters_[phase_ & 1].next.fetch_add(1, std::memory_order_relaxed);
}

void Worker::barrier() {
  WorkerTeam& team = *team_;
  const std::uint32_t phase = team.phase_.load(std::memory_order_relaxed);
  // The counter of the phase after next was last used in the phase before this one: nobody claims from it now.
  if (team.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(count_)) {
    team.counters_[(phase_ + 1) & 1].next.store(count_, std::memory_order_relaxed);
    team.arrived_.store(0, std::memory_order_relaxed);
    team.phase_.store(phase + 1, std::memory_order_release);
    if (count_ > 1) team.phase_.notify_all();
  } else {
    team.wait_change(team.phase_, phase);
  }
  ++phase_;
  fresh_ = true;
}

void CrewSize::hear(TimePoint now, double waited) {
  if (waited > kContended && active_ > 1) {
    --active_;
    resume_ = now + pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
  } else if (active_ < threads_ && now >= resume_) {
    ++active_;
  } else if (active_ == threads_ && now >= resume_ + pause_) {
    pause_ = kPause;
  }
}

WorkerTeam::WorkerTeam(int threads, bool spin)
    : threads_(threads), active_(threads), crew_(threads), spins_(spin ? 4000 : 0), seats_(static_cast<std::size_t>(threads)) {
  CHECK(threads >= 1, "a team of {} threads", threads);
  for (int i = 1; i < threads; ++i) others_.emplace_back([this, i] { serve(i); });
}

WorkerTeam::~WorkerTeam() {
  stop_ = true;
  for (Seat& seat : seats_) {
    seat.job.fetch_add(1, std::memory_order_release);
    seat.job.notify_all();
  }
  for (std::thread& t : others_) t.join();
}

void WorkerTeam::wait_change(const std::atomic<std::uint32_t>& word, std::uint32_t old) const {
  for (int i = 0; i < spins_; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

// Looks now and then at who had to wait for a core. All workers are idle.
void WorkerTeam::choose_crew() {
  constexpr Duration kWindow = std::chrono::milliseconds(100);
  const TimePoint now = Clock::now();
  if (now - window_ < kWindow) return;
  Duration worst{};
  for (int i = 0; i < threads_; ++i) {
    Seat& seat = seats_[static_cast<std::size_t>(i)];
    if (i == 0 && !seat.delay) seat.delay = std::make_unique<RunDelay>();  // the others' are there once they have run
    if (!seat.delay) continue;
    const Duration waited = seat.delay->total();
    if (i < active_) worst = std::max(worst, waited - seat.waited);
    seat.waited = waited;
  }
  if (window_ != TimePoint{}) crew_.hear(now, std::chrono::duration<double>(worst) / std::chrono::duration<double>(now - window_));
  window_ = now;
  active_ = crew_.active();
}

void WorkerTeam::run(const std::function<void(Worker&)>& work) {
  const FloatMode mode;
  if (threads_ > 1) choose_crew();
  work_ = &work;
  for (Counter& counter : counters_) counter.next.store(active_, std::memory_order_relaxed);
  for (int i = 1; i < active_; ++i) {
    seats_[static_cast<std::size_t>(i)].job.fetch_add(1, std::memory_order_release);
    seats_[static_cast<std::size_t>(i)].job.notify_one();
  }
  Worker self(*this, 0);
  work(self);
  self.barrier();  // all are done
}

void WorkerTeam::serve(int index) {
  name_thread("worker " + std::to_string(index));
  const FloatMode mode;
  Seat& seat = seats_[static_cast<std::size_t>(index)];
  auto delay = std::make_unique<RunDelay>();
  for (std::uint32_t seen = 0;; ++seen) {
    wait_change(seat.job, seen);
    if (stop_) return;
    if (delay) seat.delay = std::move(delay);
    Worker self(*this, index);
    (*work_)(self);
    self.barrier();
  }
}

}  // namespace shardline
