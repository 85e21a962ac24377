// What a Job knows, for the rest of this folder.
#pragma once
#include <memory>
#include <vector>

#include "parallel/job_memory.h"
#include "parallel/mpi/job.h"

namespace shardline::parallel {

struct Job::Impl {
  JobOptions options;
  int rank = 0, world = 1;
  bool whole = false;                 // every rank took part in the last exchange: MPI_Finalize can come back
  std::vector<RankPlace> places;      // [rank]
  std::vector<int> host_cores;        // [rank]: of its host
  std::unique_ptr<JobMemory> memory;  // of this rank's host

  bool same_host(int a, int b) const { return places[static_cast<std::size_t>(a)].leader == places[static_cast<std::size_t>(b)].leader; }
  // A rank always reaches itself through its own memory.
  bool share_memory(int a, int b) const { return a == b || (options.transport != Transport::mpi && same_host(a, b)); }
  bool all_share_memory() const;
  void let_rank_0_go_first() const;
  std::string name(int rank) const;  // "rank 2 (host a, pid 71)"
};

}  // namespace shardline::parallel
