#include "parallel/mpi/pump.h"

#include <mpi.h>

#include <algorithm>

#include "engine/base/thread_name.h"

namespace shardline::parallel {
namespace {

constexpr Duration kBusy = std::chrono::microseconds(50);      // of polling without sleep after the last event
constexpr Duration kShortest = std::chrono::microseconds(20);  // of the sleeps between polls
constexpr Duration kLongest = std::chrono::milliseconds(2);
constexpr Duration kFlush = std::chrono::seconds(1);

}  // namespace

struct Pump::Active {
  OperationPtr operation;
  std::vector<MPI_Request> requests;

  explicit Active(OperationPtr posted) : operation(std::move(posted)) {
    for (const Transfer& t : operation->transfers) {
      if (start(t, requests.emplace_back(MPI_REQUEST_NULL)) != MPI_SUCCESS) operation->failed = true;
    }
  }
  int start(const Transfer& t, MPI_Request& request) {
    std::byte* data = operation->buffer.data() + t.offset;
    const int n = static_cast<int>(t.bytes);
    switch (t.kind) {
      case Transfer::send: return MPI_Isend(data, n, MPI_BYTE, t.peer, t.tag, MPI_COMM_WORLD, &request);
      case Transfer::handshake: return MPI_Issend(data, n, MPI_BYTE, t.peer, t.tag, MPI_COMM_WORLD, &request);
      case Transfer::receive: break;
    }
    return MPI_Irecv(data, n, MPI_BYTE, t.peer, t.tag, MPI_COMM_WORLD, &request);
  }
  bool poll() {
    int complete = 0;
    if (MPI_Testall(static_cast<int>(requests.size()), requests.data(), &complete, MPI_STATUSES_IGNORE) != MPI_SUCCESS)
      operation->failed = true;
    if (complete || operation->failed) operation->finished.publish(1, false);
    return complete && !operation->failed;  // a failed operation keeps its buffer: the rest of it may still be in MPI's hands
  }
  bool sends() const {
    return std::any_of(operation->transfers.begin(), operation->transfers.end(),
                       [](const Transfer& t) { return t.kind != Transfer::receive; });
  }
  void abandon() {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i] == MPI_REQUEST_NULL) continue;
      if (operation->transfers[i].kind == Transfer::receive) MPI_Cancel(&requests[i]);
      MPI_Request_free(&requests[i]);
    }
  }
};

Pump::Pump(const JobAbort& abort, bool spin) : abort_(abort), spin_(spin), thread_([this] { run(); }) {}

Pump::~Pump() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    posts_.publish(posts_.value() + 1, false);
  }
  thread_.join();
}

void Pump::post(const OperationPtr& operation) {
  const std::scoped_lock lock(mutex_);
  posted_.push_back(operation);
  posts_.publish(posts_.value() + 1, false);
}

Wake Pump::wait(Operation& operation, TimePoint deadline) const {
  const Wake wake = operation.finished.wait(1, {&abort_, spin_ ? kBusy : Duration::zero(), false}, deadline);
  return wake == Wake::ready && operation.failed ? Wake::aborted : wake;
}

void Pump::take_posted(std::vector<Active>& active) {
  std::vector<OperationPtr> fresh;
  {
    const std::scoped_lock lock(mutex_);
    fresh.swap(posted_);
  }
  for (OperationPtr& operation : fresh) active.emplace_back(std::move(operation));
}

void Pump::run() {
  name_thread("mpi pump");
  std::vector<Active> active;
  TimePoint last_event = Clock::now(), stop_at = TimePoint::max();
  for (std::uint32_t seen = 0;;) {
    if (!posts_.reached(seen + 1)) {
      const Duration idle = Clock::now() - last_event;
      if (!spin_ || idle > kBusy) posts_.wait(seen + 1, {}, Clock::now() + std::clamp<Duration>(idle / 8, kShortest, kLongest));
    }
    const bool stopping = stopping_;  // read before the posts, so that none of them is left behind
    if (const std::uint32_t posts = posts_.value(); posts != seen) {
      seen = posts;
      take_posted(active);
      last_event = Clock::now();
    }
    if (std::erase_if(active, [](Active& a) { return a.poll(); }) > 0) last_event = Clock::now();
    if (!stopping) continue;
    if (stop_at == TimePoint::max()) stop_at = Clock::now() + kFlush;
    if (Clock::now() >= stop_at || std::none_of(active.begin(), active.end(), [](const Active& a) { return a.sends(); })) break;
  }
  for (Active& a : active) a.abandon();
}

}  // namespace shardline::parallel
