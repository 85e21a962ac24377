// A job of ranks that mpirun or srun started: wire-up, agreement, and an end that cannot hang.
//   if (launched_by_mpi()) { auto job = Job::start({}); auto agreed = job->agree(hello); ... job->finish(code); }
// MPI is used for wire-up, and afterwards only between ranks that cannot open each other's memory.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace shardline::parallel {

// Whether this process is one of several that a launcher (mpirun, srun with PMI) started, from its environment.
bool launched_by_mpi();

enum class Transport {
  automatic,  // shared memory between ranks that can open each other's memory, MPI between others
  shm,        // the same, but a job with two hosts is an error
  mpi,        // MPI between all ranks, also on one host
};

// What all ranks must agree on, and what decides when they do not.
struct Hello {
  int tp = 1, pp = 1;
  std::vector<int> pp_layers;        // as asked for; may be empty
  std::string build;                 // version and commit
  std::vector<std::string> kernels;  // tables that this CPU can run, worst first; the best that all have is taken
  std::uint64_t leaf_plan = 0;       // hash
  std::uint64_t model = 0;           // fingerprint
  std::string options;               // whatever else must be equal, as text: compute, max rows, kv blocks
  std::string failure;               // set where this rank cannot start: every rank stops with it
};

struct JobOptions {
  Transport transport = Transport::automatic;
  Duration wire_up = std::chrono::seconds(30);  // deadline of start() and of agree(), each
  Duration silence = std::chrono::seconds(3);   // a rank whose heartbeat stands still for so long is lost
  Duration finish = std::chrono::seconds(5);    // longest MPI_Finalize
};

struct RankPlace {
  std::string host;
  int pid = 0;
  int leader = 0;  // lowest rank that shares memory with this one: equal leaders, same host
};

class Job {
 public:
  // MPI_Init. Where it does not return before the deadline, prints one line and exits with 69 (nothing else can be done).
  static Result<std::unique_ptr<Job>> start(const JobOptions& options);
  ~Job();

  int rank() const;
  int world() const;

  // Every rank calls it once. Returns the kernel table to run. Errors, the same on every rank, so that rank 0 alone need print it:
  //   usage, where world is not tp * pp or two ranks differ: names the field, both ranks and both values;
  //   timeout, naming the ranks that did not answer; the failure that a rank reported; io.
  Result<std::string> agree(const Hello& mine);

  // After agree().
  const std::vector<RankPlace>& places() const;  // [rank]
  bool one_host() const;

  // Ends the process. Clean (no rank was lost): MPI_Finalize, and _exit where it takes longer than options.finish; else _exit at once.
  [[noreturn]] void finish(int exit_code);

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit Job(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::parallel
