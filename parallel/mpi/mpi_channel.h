// A Channel over MPI: a first message with the length and as many bytes as fit a frame, and where more are left, a second one.
// A send is over when the peer has begun to receive it, so the sender is at most one message ahead and nothing piles up in MPI.
#pragma once
#include <string>

#include "parallel/channel.h"
#include "parallel/mpi/pump.h"

namespace shardline::parallel {

class MpiChannel final : public Channel {
 public:
  // `peer` is the other end, `name` what errors call it. All messages between two ranks with one tag are one channel's.
  MpiChannel(Pump& pump, const JobAbort& abort, int peer, int tag, std::string name);

  Status send(std::span<const std::byte> message, TimePoint deadline) override;
  Status receive(std::vector<std::byte>& message, TimePoint deadline) override;
  Status receive_into(std::span<std::byte> message, TimePoint deadline) override;

 private:
  Status failed(Wake wake, const char* what) const;
  Status next_length(TimePoint deadline, std::size_t& length);
  Status read_body(std::span<std::byte> body);

  Pump& pump_;
  const JobAbort& abort_;
  int peer_, tag_;
  std::string name_;
  OperationPtr sending_;  // the last send: the next waits for it
  OperationPtr frame_;    // the receive of a first message, posted ahead; outlives a timeout
};

}  // namespace shardline::parallel
