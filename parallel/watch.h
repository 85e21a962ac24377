// A rank's watch: shows that this rank lives, and notices when another one does not. A thread of its own, ten beats a second.
//   death:   a pidfd of each process of this host becomes readable when it ends: noticed at once
//   silence: a peer whose beat has not moved for `silence` of this watch's own time (so a pause of this process alarms nobody)
// Either raises the job's abort, which ends every wait of every rank.
#pragma once
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "parallel/job_memory.h"

namespace shardline::parallel {

struct WatchedRank {
  int rank = 0;
  std::string name;              // "rank 2 (host a, pid 71)"
  const Pulse* pulse = nullptr;  // a rank that is leaving may end and fall silent
  int pid = 0;                   // of a process of this host; 0: only its pulse is watched
};

class Watch {
 public:
  struct Options {
    JobAbort* abort = nullptr;
    Pulse* own = nullptr;
    std::vector<WatchedRank> peers;
    Duration silence = std::chrono::seconds(3);
    std::function<void()> exchange;  // called every beat: brings the pulses of other hosts
    Duration grace{};                // not 0: a process still here so long after the abort exits with status 70
  };
  explicit Watch(Options options);
  ~Watch();  // exchanges once more: the last word goes out

 private:
  struct Peer;
  void run();
  void look_for_deaths(std::vector<Peer>& peers) const;
  void hear_last_words(const Peer& peer) const;
  void look_for_silence(std::vector<Peer>& peers, Duration elapsed) const;

  Options options_;
  int stop_;  // eventfd
  std::thread thread_;
};

}  // namespace shardline::parallel
