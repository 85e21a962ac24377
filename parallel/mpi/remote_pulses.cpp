#include "parallel/mpi/remote_pulses.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "parallel/mpi/tags.h"

namespace shardline::parallel {
namespace {

constexpr std::size_t kAhead = 4;

struct Beat {
  std::uint32_t beat;
  RankState state;
  std::uint32_t aborted;
  ErrorCode code;
  char cause[496];
};

}  // namespace

RemotePulses::RemotePulses(Pump& pump, JobAbort& abort, const Pulse& own, const std::vector<int>& peers)
    : pump_(pump), abort_(abort), own_(own) {
  for (const int rank : peers) peers_.push_back({rank, std::make_unique<Pulse>(), nullptr, {}});
}

const Pulse& RemotePulses::pulse(int peer) const {
  const auto found = std::find_if(peers_.begin(), peers_.end(), [peer](const Peer& p) { return p.rank == peer; });
  CHECK(found != peers_.end(), "no pulse of rank {}", peer);
  return *found->pulse;
}

void RemotePulses::exchange() {
  for (Peer& peer : peers_) {
    receive(peer);
    send(peer);
  }
}

void RemotePulses::receive(Peer& peer) {
  while (!peer.receiving.empty() && peer.receiving.front()->finished.reached(1)) {
    Beat beat;
    std::memcpy(&beat, peer.receiving.front()->buffer.data(), sizeof beat);
    peer.receiving.pop_front();
    peer.pulse->beat.store(beat.beat);
    peer.pulse->state.store(beat.state);
    if (beat.aborted != 0) abort_.raise(beat.code, std::string_view(beat.cause, strnlen(beat.cause, sizeof beat.cause)));
  }
  while (peer.receiving.size() < kAhead) {
    const auto operation = std::make_shared<Operation>();
    operation->buffer.resize(sizeof(Beat));
    operation->transfers.push_back({Transfer::receive, peer.rank, kPulseTag, 0, sizeof(Beat)});
    pump_.post(operation);
    peer.receiving.push_back(operation);
  }
}

void RemotePulses::send(Peer& peer) {
  if (peer.sending && !peer.sending->finished.reached(1)) return;
  Beat beat{own_.beat.load(), own_.state.load(), 0, ErrorCode::lost, {}};
  if (abort_.raised()) {
    const Error error = abort_.error();
    beat.aborted = 1;
    beat.code = error.code;
    std::memcpy(beat.cause, error.message.data(), std::min(error.message.size(), sizeof beat.cause));
  }
  peer.sending = std::make_shared<Operation>();
  peer.sending->buffer.resize(sizeof beat);
  std::memcpy(peer.sending->buffer.data(), &beat, sizeof beat);
  peer.sending->transfers.push_back({Transfer::send, peer.rank, kPulseTag, 0, sizeof beat});
  pump_.post(peer.sending);
}

}  // namespace shardline::parallel
