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
  for (const int rank : peers) peers_.push_back({.rank = rank, .pulse = std::make_unique<Pulse>(), .sending = nullptr, .receiving = {}});
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
  const RankState state = own_.state.load();
  const bool ended = abort_.raised(), news = state != peer.told || ended != peer.told_end;
  if (peer.sending && !peer.sending->finished.reached(1) && !news) return;  // beats do not pile up, news does not wait
  peer.told = state;
  peer.told_end = ended;
  Beat beat{own_.beat.load(), state, 0, ErrorCode::lost, {}};
  if (ended) {
    const Error error = abort_.error();
    beat.aborted = 1;
    beat.code = error.code;
    std::memcpy(beat.cause, error.message.data(), std::min(error.message.size(), sizeof beat.cause));
  }
  peer.sending = std::make_shared<Operation>();
  peer.sending->buffer.resize(sizeof beat);
  std::memcpy(peer.sending->buffer.data(), &beat, sizeof beat);
  // The end of the job must have left this process before it ends too.
  peer.sending->transfers.push_back({ended ? Transfer::handshake : Transfer::send, peer.rank, kPulseTag, 0, sizeof beat});
  pump_.post(peer.sending);
}

}  // namespace shardline::parallel
