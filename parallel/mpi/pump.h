// The one thread of a rank that calls MPI after wire-up. It polls non-blocking operations with a back-off: no MPI call blocks, so none
// can hang on a dead peer. Others post operations and sleep. An operation owns its buffer, so giving up waiting is always safe.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "parallel/signal.h"

namespace shardline::parallel {

struct Transfer {
  enum Kind {
    send,       // complete when the buffer is free again: the bytes may still be on this side
    handshake,  // a send that is complete when the peer has begun to receive it
    receive,
  } kind;
  int peer;  // world rank
  int tag;
  std::size_t offset;  // into the operation's buffer
  std::size_t bytes;   // of a receive: at most so many
};

struct Operation {
  std::vector<std::byte> buffer;
  std::vector<Transfer> transfers;
  Signal finished;                   // 1: every transfer is complete
  std::atomic<bool> failed = false;  // MPI reported an error
};
using OperationPtr = std::shared_ptr<Operation>;

class Pump {
 public:
  // Spins between polls while something happened lately, unless ranks share cores.
  Pump(const JobAbort& abort, bool spin);
  ~Pump();  // completes the sends posted, for at most a second, and cancels the receives

  void post(const OperationPtr& operation);
  Wake wait(Operation& operation, TimePoint deadline) const;

 private:
  struct Active;
  void run();
  void take_posted(std::vector<Active>& active);

  const JobAbort& abort_;
  bool spin_;
  std::mutex mutex_;
  std::vector<OperationPtr> posted_;
  Signal posts_;  // counts posts, and the request to stop
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace shardline::parallel
