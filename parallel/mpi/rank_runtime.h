// What a rank of a job runs on: its links (shared memory where peers share it, MPI elsewhere), its watch, and the pump where one is needed.
#pragma once
#include <memory>

#include "parallel/mpi/job_impl.h"
#include "parallel/mpi/pump.h"
#include "parallel/mpi/remote_pulses.h"
#include "parallel/rank_worker.h"
#include "parallel/watch.h"

namespace shardline::parallel {

class RankRuntime {
 public:
  // `grace`: Watch::Options::grace.
  RankRuntime(const Job::Impl& job, const Topology& topology, const ExecutorOptions& options, Duration grace);
  ~RankRuntime();

  // Tells the peers that this rank leaves, and ends the threads: from here on MPI is the caller's, and no link may be used.
  void leave();

  RankLinks links();
  ChannelMaker channels(Duration spin);  // of this rank, or of the controller beside it
  std::unique_ptr<Collective> collective();

  // The rank's life: makes the stage, is ready, serves plans. The job's end is raised with any error.
  Status serve(const StageFactory& factory);
  const ModelStage* stage() const { return stage_.get(); }  // null before it is ready

  bool crowded() const { return crowded_; }  // on this host
  bool crowded_anywhere() const;
  JobAbort& abort() const { return job_.memory->abort(); }
  const Pulse& pulse(int rank) const;  // on rank 0: of any rank

 private:
  bool crowded_on(int leader) const;
  std::vector<WatchedRank> watched() const;

  const Job::Impl& job_;
  Topology topology_;
  ExecutorOptions options_;
  bool crowded_;
  std::unique_ptr<Pump> pump_;            // null where all share memory
  std::unique_ptr<RemotePulses> remote_;  // likewise
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<ModelStage> stage_;
};

}  // namespace shardline::parallel
