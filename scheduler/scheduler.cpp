#include "scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "scheduler/scheduler_impl.h"

namespace shardline::scheduler {
namespace {

Error refused(const char* param, std::string message) { return {ErrorCode::invalid_argument, std::move(message), param}; }

// Tokens that choices after the first take over: full blocks, without the last token.
int shared_tokens(const Request& request) { return static_cast<int>(request.prompt.size() - 1) / kBlockTokens * kBlockTokens; }

}  // namespace

Scheduler::Impl::Impl(const Limits& l) : limits(l), pool(l.blocks, l.prefix_cache) {
  CHECK(l.max_rows > 0 && l.max_sequences > 0 && l.max_queue >= 0 && l.blocks > 0 && l.depth > 0,
        "limits: {} rows, {} sequences, {} queued, {} blocks, depth {}", l.max_rows, l.max_sequences, l.max_queue, l.blocks, l.depth);
  // One row of each plan is left for prefill, however many sequences decode.
  const int most = std::max(1, std::min(l.max_sequences, l.max_rows - 1));
  for (SlotId slot = most; slot-- > 0;) free_slots.push_back(slot);
  running.reserve(free_slots.size());
}

Status Scheduler::Impl::submit(Request request) {
  if (request.prompt.empty()) return refused("prompt", "the prompt holds no token");
  if (request.n < 1) return refused("n", fmt::format("n is {}, but must be at least 1", request.n));
  if (request.max_tokens < 1) return refused("max_tokens", fmt::format("max_tokens is {}, but must be at least 1", request.max_tokens));
  const auto length = static_cast<std::int64_t>(request.prompt.size()) + request.max_tokens;
  const std::int64_t most = std::min<std::int64_t>(limits.context, static_cast<std::int64_t>(limits.blocks) * kBlockTokens);
  if (length > most)
    return refused("max_tokens", fmt::format("{} prompt tokens and {} to generate, but a sequence may hold {}", request.prompt.size(),
                                             request.max_tokens, most));
  if (queued >= limits.max_queue) return Error{ErrorCode::exhausted, fmt::format("{} requests wait already", queued), ""};

  const auto [it, is_new] = groups.try_emplace(request.id);
  CHECK(is_new, "request {} exists", it->first);
  Group& group = it->second;
  group.request = std::move(request);
  group.arrival = ++arrivals;
  group.priority = limits.policy == Policy::priority ? group.request.priority : 0;
  // Without a prefix cache a request shares blocks with nothing but its own choices: each request is a root of its own.
  group.root = limits.prefix_cache ? kNoBlock : kNoBlock - static_cast<PrefixCache::Parent>(group.arrival);
  group.open = group.request.n;
  group.choices.resize(static_cast<std::size_t>(group.request.n));
  for (Sequence& s : group.choices) {
    s.group = &group;
    s.choice = static_cast<int>(&s - group.choices.data());
  }
  group.prefix_ready = shared_tokens(group.request) == 0;
  release_held(group);
  ++queued;
  return {};
}

void Scheduler::Impl::cancel(RequestId id, int choice) {
  const auto it = groups.find(id);
  if (it == groups.end()) return;
  for (Sequence& s : it->second.choices) {
    if (choice >= 0 && s.choice != choice) continue;
    retire(s);
    settle(s);
  }
  close_if_done(it->second);
}

std::vector<TokenEvent> Scheduler::Impl::apply(const StepResult& result) {
  CHECK(!flights.empty() && result.epoch == limits.epoch && result.number == flights.front().number, "result {} of epoch {} is not due",
        result.number, result.epoch);
  const Flight flight = std::move(flights.front());
  flights.pop_front();
  std::vector<TokenEvent> events;
  events.reserve(result.samples.size());
  std::size_t sample = 0;
  for (const FlightPart& part : flight.parts) {
    Sequence& s = *part.sequence;
    returned(part);
    if (part.sampled) {
      CHECK(sample < result.samples.size() && result.samples[sample].slot == s.slot, "result {} lacks the sample of slot {}", result.number,
            s.slot);
      if (s.state != Sequence::State::retiring) events.push_back(take_sample(s, result.samples[sample]));
      ++sample;
    }
    settle(s);
    close_if_done(*s.group);
  }
  CHECK(sample == result.samples.size(), "result {} has {} samples, not {}", result.number, result.samples.size(), sample);
  return events;
}

void Scheduler::Impl::returned(const FlightPart& part) {
  Sequence& s = *part.sequence;
  if (--s.in_flight == 0 && s.state != Sequence::State::running) --landing;
  s.returned = part.end;
  s.publish(pool);
  if (Group& group = *s.group; !group.prefix_ready && s.returned >= shared_tokens(group.request)) {
    group.prefix_ready = true;
    release_held(group);
  }
}

TokenEvent Scheduler::Impl::take_sample(Sequence& s, const SampleResult& sample) {
  const Request& request = s.group->request;
  TokenEvent event{
      .request = request.id, .choice = s.choice, .sample = sample, .has_token = sample.finite, .cached_tokens = s.cached_tokens};
  if (!sample.finite) {
    event.finish = Finish::error;
  } else {
    s.answer.push_back(sample.token);
    ++counters.generated_tokens;
    if (std::ranges::find(request.stop_tokens, sample.token) != request.stop_tokens.end())
      event.finish = Finish::stop;
    else if (static_cast<int>(s.answer.size()) == request.max_tokens)
      event.finish = Finish::length;
  }
  if (event.finish != Finish::none) retire(s);
  return event;
}

// The next choice held may wait for admission; all may where the prompt's blocks are there to be shared.
void Scheduler::Impl::release_held(Group& group) {
  for (Sequence& s : group.choices) {
    if (s.state != Sequence::State::held) continue;
    s.state = Sequence::State::waiting;
    waiting.insert(&s);
    if (!group.prefix_ready) return;
  }
}

// From here on the sequence is never planned again. settle() must follow.
void Scheduler::Impl::retire(Sequence& s) {
  const Sequence::State was = s.state;
  if (was == Sequence::State::retiring || was == Sequence::State::closed) return;
  s.state = Sequence::State::retiring;
  if (was == Sequence::State::waiting) waiting.erase(&s);
  if (was == Sequence::State::running) {
    running.erase(std::ranges::find(running, &s));
    landing += s.in_flight > 0;
  }
  if (was != Sequence::State::held && !s.group->prefix_ready) release_held(*s.group);  // it was the first choice: the next takes its place
}

// Gives back what nothing needs any more, as soon as no plan in flight names it.
void Scheduler::Impl::settle(Sequence& s) {
  if (s.in_flight > 0) return;
  s.release_stale(pool);
  if (s.state == Sequence::State::running) return;
  if (s.slot != kNoSlot) {
    s.release_blocks(pool);
    free_slots.push_back(std::exchange(s.slot, kNoSlot));
  }
  if (s.state == Sequence::State::retiring) {
    s.state = Sequence::State::closed;
    --s.group->open;
  }
}

void Scheduler::Impl::close_if_done(Group& group) {
  if (group.open > 0) return;
  queued -= !group.admitted;
  groups.erase(group.request.id);
}

Stats Scheduler::Impl::stats() const {
  Stats s = counters;
  s.running = static_cast<int>(running.size());
  s.waiting = static_cast<int>(waiting.size());
  for (const auto& [id, group] : groups)
    if (!group.prefix_ready) s.waiting += static_cast<int>(std::ranges::count(group.choices, Sequence::State::held, &Sequence::state));
  s.blocks = pool.blocks();
  s.blocks_used = pool.blocks() - pool.available();
  s.blocks_cached = pool.cached();
  return s;
}

Scheduler::Scheduler(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
Scheduler::~Scheduler() = default;
Status Scheduler::submit(Request request, TimePoint) { return impl_->submit(std::move(request)); }
void Scheduler::cancel(RequestId id, int choice) { impl_->cancel(id, choice); }
std::optional<StepPlan> Scheduler::plan(TimePoint) { return impl_->plan(); }
std::vector<TokenEvent> Scheduler::apply(const StepResult& result, TimePoint) { return impl_->apply(result); }
bool Scheduler::idle() const { return impl_->groups.empty(); }
int Scheduler::in_flight() const { return static_cast<int>(impl_->flights.size()); }
Stats Scheduler::stats() const { return impl_->stats(); }
void Scheduler::check_integrity() const { impl_->check_integrity(); }

}  // namespace shardline::scheduler
