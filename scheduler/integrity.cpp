#include <algorithm>

#include "engine/base/check.h"
#include "scheduler/scheduler_impl.h"

namespace shardline::scheduler {
namespace {

void check_sequence(const Sequence& s) {
  using State = Sequence::State;
  const auto& request = s.group->request;
  CHECK(s.published * kBlockTokens <= s.returned && s.returned <= s.computed && s.computed <= s.length(),
        "request {} choice {}: {} blocks published, {} tokens returned, {} computed, {} in all", request.id, s.choice, s.published,
        s.returned, s.computed, s.length());
  CHECK(static_cast<int>(s.table.size()) == blocks_for(s.computed), "request {} choice {}: {} blocks for {} tokens", request.id, s.choice,
        s.table.size(), s.computed);
  CHECK(s.published == s.returned / kBlockTokens, "request {} choice {}: block {} is not in the cache", request.id, s.choice, s.published);
  CHECK((s.slot != kNoSlot) == (s.state == State::running || s.in_flight > 0), "request {} choice {}: slot {}, {} plans", request.id,
        s.choice, s.slot, s.in_flight);
  CHECK(s.in_flight > 0 || s.stale.empty(), "request {} choice {} holds replaced blocks", request.id, s.choice);
  CHECK(s.state != State::retiring || s.in_flight > 0, "request {} choice {} should be closed", request.id, s.choice);
  CHECK(static_cast<int>(s.answer.size()) < request.max_tokens || s.state >= State::retiring, "request {} choice {} goes on", request.id,
        s.choice);
}

}  // namespace

void Scheduler::Impl::check_integrity() const {
  std::vector<int> references(static_cast<std::size_t>(limits.blocks));
  std::vector<SlotId> slots = free_slots;
  std::map<const Sequence*, int> plans;
  for (const Flight& flight : flights)
    for (const FlightPart& part : flight.parts) ++plans[part.sequence];

  std::size_t are_running = 0, are_waiting = 0;
  int are_queued = 0, are_landing = 0;
  for (const auto& [id, group] : groups) {
    are_queued += !group.admitted;
    int open = 0;
    for (const Sequence& s : group.choices) {
      check_sequence(s);
      CHECK(s.in_flight == (plans.contains(&s) ? plans.at(&s) : 0), "request {} choice {} counts {} plans", id, s.choice, s.in_flight);
      CHECK(!group.prefix_ready || s.state != Sequence::State::held, "request {} choice {} is held for nothing", id, s.choice);
      for (const auto* blocks : {&s.table, &s.stale})
        for (const BlockId block : *blocks) ++references[static_cast<std::size_t>(block)];
      for (int block = 0; block < s.published; ++block)
        CHECK(pool.find(s.parent_of(block), s.block_tokens(block)) == s.table[static_cast<std::size_t>(block)],
              "request {} choice {}: block {} is not the cache's", id, s.choice, block);
      if (s.slot != kNoSlot) slots.push_back(s.slot);
      open += s.state != Sequence::State::closed;
      are_running += s.state == Sequence::State::running;
      are_waiting += waiting.contains(const_cast<Sequence*>(&s));
      are_landing += s.state != Sequence::State::running && s.in_flight > 0;
    }
    CHECK(open == group.open && open > 0, "request {} has {} open choices, not {}", id, open, group.open);
  }
  CHECK(are_running == running.size() && std::ranges::is_sorted(running, Before{}), "{} of {} run, or out of order", are_running,
        running.size());
  CHECK(are_waiting == waiting.size(), "{} of {} wait", are_waiting, waiting.size());
  CHECK(are_queued == queued && are_landing == landing, "{} of {} queued, {} of {} landing", are_queued, queued, are_landing, landing);
  std::ranges::sort(slots);
  for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i] == static_cast<SlotId>(i), "slot {} is lost or used twice", i);
  pool.check_integrity(references);
}

}  // namespace shardline::scheduler
