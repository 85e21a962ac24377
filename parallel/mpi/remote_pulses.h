// Pulses of ranks whose memory cannot be opened: rank 0 and each of those tell each other theirs over MPI, with the job's end where it
// came.
#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "parallel/job_memory.h"
#include "parallel/mpi/pump.h"

namespace shardline::parallel {

class RemotePulses {
 public:
  // `peers`: ranks without shared memory; on rank 0 all of them, on others rank 0 or nobody.
  RemotePulses(Pump& pump, JobAbort& abort, const Pulse& own, const std::vector<int>& peers);

  const Pulse& pulse(int peer) const;  // as last heard
  void exchange();                     // one beat; never waits

 private:
  struct Peer {
    int rank;
    std::unique_ptr<Pulse> pulse;
    OperationPtr sending;
    RankState told = RankState::starting;  // the last state sent
    bool told_end = false;                 // and whether the job's end was
    std::deque<OperationPtr> receiving;    // several ahead, so that beats that piled up are read at once
  };
  void receive(Peer& peer);
  void send(Peer& peer);

  Pump& pump_;
  JobAbort& abort_;
  const Pulse& own_;
  std::vector<Peer> peers_;
};

}  // namespace shardline::parallel
