// The CPU threads of one rank. They all run the same function on the same plan and meet at a barrier after every op;
// within an op they claim chunks of work, so a thread that is disturbed does less of it.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace shardline {

class WorkerTeam;

// One thread's place in its team, valid inside WorkerTeam::run.
class Worker {
 public:
  Worker(WorkerTeam& team, int index) : team_(&team), index_(index) {}
  int index() const { return index_; }
  int count() const;
  // Number of the next chunk that nobody has; each goes to one worker, the first ones to the workers of the same index. Starts again at 0
  // after a barrier.
  int claim();
  // Waits until all have arrived. What was written before is seen by all after.
  void barrier();

 private:
  WorkerTeam* team_;
  int index_;
  std::uint32_t phase_ = 0;  // barriers passed
  bool fresh_ = true;        // nothing claimed since the last one
  friend class WorkerTeam;
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

  const int threads_;
  const int spins_;  // pauses before sleeping
  const std::function<void(Worker&)>* work_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<std::uint32_t> job_{0};    // counts run() calls
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // counts completed barriers
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  struct alignas(64) Counter {
    std::atomic<int> next{0};
  };
  Counter counters_[2];  // of even and of odd phases
  std::vector<std::thread> others_;
};

}  // namespace shardline
