// The CPU threads of one rank. They all run the same function on the same plan and meet at a barrier after every op;
// within an op they claim chunks of work, so a thread that is disturbed does less of it. A thread that has to wait for its core, because
// something else runs there, would make all others wait at every barrier: the team then goes on with fewer, and tries again later.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/device/run_delay.h"

namespace shardline {

class WorkerTeam;

// One thread's place in its team, valid inside WorkerTeam::run.
class Worker {
 public:
  Worker(WorkerTeam& team, int index);
  int index() const { return index_; }
  int count() const { return count_; }
  // Number of the next chunk that nobody has; each goes to one worker, the first ones to the workers of the same index. Starts again at 0
  // after a barrier.
  int claim();
  // Waits until all have arrived. What was written before is seen by all after.
  void barrier();

 private:
  WorkerTeam* team_;
  int index_;
  int count_;                // workers of this run; the team's own number may be the next run's already while this one leaves
  std::uint32_t phase_ = 0;  // barriers passed
  bool fresh_ = true;        // nothing claimed since the last one
  friend class WorkerTeam;
};

// How many workers take part.
class CrewSize {
 public:
  explicit CrewSize(int threads) : threads_(threads), active_(threads) {}
  int active() const { return active_; }
  // Hears how large a part of the last window the worst active worker waited for a core.
  void hear(TimePoint now, double waited);

 private:
  static constexpr Duration kPause = std::chrono::seconds(1), kLongestPause = std::chrono::seconds(16);
  static constexpr double kContended = 0.15;
  const int threads_;
  int active_;
  TimePoint resume_{};       // when one more is tried
  Duration pause_ = kPause;  // doubles while trials fail
};

class WorkerTeam {
 public:
  // The caller of run() is worker 0; threads - 1 threads are started. `spin`: wait actively for a while before sleeping, which pays
  // only where every thread has a core.
  WorkerTeam(int threads, bool spin);
  ~WorkerTeam();
  WorkerTeam(const WorkerTeam&) = delete;
  WorkerTeam& operator=(const WorkerTeam&) = delete;

  int threads() const { return threads_; }
  // Runs work(worker) on every thread and returns when all are done. Rounding is to nearest and denormals are zero while it runs.
  void run(const std::function<void(Worker&)>& work);

 private:
  friend class Worker;
  void serve(int index);
  void wait_change(const std::atomic<std::uint32_t>& word, std::uint32_t old) const;
  void choose_crew();

  const int threads_;
  int active_;  // workers that take part in this run
  CrewSize crew_;
  TimePoint window_{};  // begin of the time that the crew is chosen by
  const int spins_;     // pauses before sleeping
  const std::function<void(Worker&)>* work_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // counts completed barriers
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  struct alignas(64) Counter {
    std::atomic<int> next{0};
  };
  Counter counters_[2];  // of even and of odd phases
  struct alignas(64) Seat {
    std::atomic<std::uint32_t> job{0};  // counts the runs that its worker takes part in
    std::unique_ptr<RunDelay> delay;
    Duration waited{};  // until the window began
  };
  std::vector<Seat> seats_;
  std::vector<std::thread> others_;
};

}  // namespace shardline
