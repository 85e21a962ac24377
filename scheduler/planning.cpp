#include <algorithm>
#include <utility>

#include "scheduler/scheduler_impl.h"

namespace shardline::scheduler {

std::optional<StepPlan> Scheduler::Impl::plan() {
  if (static_cast<int>(flights.size()) == limits.depth) return std::nullopt;
  // A plan can end up empty because all who were chosen made room for those who were not: then it is their turn.
  std::uint64_t preemptions;
  do {
    preemptions = counters.preemptions;
    StepPlan plan = next_plan();
    if (plan.tokens.empty()) continue;
    ++next_number;
    ++counters.plans;
    return plan;
  } while (preemptions != counters.preemptions);
  return std::nullopt;
}

StepPlan Scheduler::Impl::next_plan() {
  admit();
  for (Sequence* s : running)
    if (!s->decoding) count_hits(*s, s->match_prefix(pool));  // others may have computed what comes next meanwhile
  share_rows(running, limits, next_number, rows);

  StepPlan plan;
  plan.epoch = limits.epoch;
  plan.number = next_number;
  plan.sequences.reserve(running.size());
  plan.samples.reserve(running.size());
  flights.emplace_back().number = next_number;
  flights.back().parts.reserve(running.size());
  for (std::size_t i = 0; i < running.size(); ++i) {  // make_room() may shorten `running` from its end
    Sequence& s = *running[i];
    if (rows[i] == 0) continue;
    if (const int end = make_room(s, s.computed + rows[i]); end > s.computed) add_rows(plan, s, end);
  }
  if (plan.tokens.empty()) flights.pop_back();
  return plan;
}

// Lets waiting sequences run while there is room for all of their tokens beside what the running ones need: to the end of their prompts
// and a block more, so that nobody is admitted only to be preempted in the next step.
void Scheduler::Impl::admit() {
  if (free_slots.empty() || waiting.empty()) return;
  int reserved = 0;
  const auto needs = [](const Sequence& s, int tokens) { return std::max(0, blocks_for(tokens) - static_cast<int>(s.table.size())); };
  for (const Sequence* s : running) reserved += needs(*s, s->length() + kBlockTokens);
  while (!free_slots.empty() && !waiting.empty()) {
    Sequence& s = **waiting.begin();
    if (s.in_flight > 0) return;  // preempted a moment ago: the results under way are its own
    const int hits = s.match_prefix(pool);
    if (reserved + needs(s, s.length() + 1) > pool.available()) return s.release_blocks(pool);
    if (!s.preempted) counters.prefix_queries += static_cast<std::uint64_t>(s.length());
    count_hits(s, hits);
    reserved += needs(s, s.length() + kBlockTokens);
    s.slot = free_slots.back();
    free_slots.pop_back();
    s.state = Sequence::State::running;
    waiting.erase(waiting.begin());
    running.insert(std::ranges::upper_bound(running, &s, Before{}), &s);
    queued -= !std::exchange(s.group->admitted, true);
  }
}

void Scheduler::Impl::count_hits(Sequence& s, int tokens) {
  if (s.preempted) return;  // what it finds now may be its own
  s.cached_tokens += tokens;
  counters.prefix_hits += static_cast<std::uint64_t>(tokens);
}

// Blocks for the sequence's positions before `end`, or for as many as the pool still holds; returns how far they reach. Where not one
// row finds room, the last in the order of service makes it, be it this one.
int Scheduler::Impl::make_room(Sequence& s, int end) {
  while (s.state == Sequence::State::running) {
    const int reach = std::min(end, (static_cast<int>(s.table.size()) + pool.available()) * kBlockTokens);
    if (reach > s.computed) {
      s.grow(pool, reach);
      return reach;
    }
    if (landing > 0) break;  // blocks come back with the next results
    preempt(*running.back());
  }
  return s.computed;
}

// Preemption by recompute: what was generated becomes part of what is prefilled when it is admitted again.
void Scheduler::Impl::preempt(Sequence& s) {
  running.pop_back();
  s.state = Sequence::State::waiting;
  s.decoding = false;
  s.preempted = true;
  waiting.insert(&s);
  landing += s.in_flight > 0;
  ++counters.preemptions;
  settle(s);
}

void Scheduler::Impl::add_rows(StepPlan& plan, Sequence& s, int end) {
  const bool sampled = end == s.length();
  if (sampled) {
    plan.samples.push_back(
        {.row = plan.rows() + end - s.computed - 1, .slot = s.slot, .position = end, .sampling = s.group->request.sampling});
    plan.samples.back().sampling.choice = static_cast<std::uint32_t>(s.choice);
  }
  if (!s.decoding) counters.prompt_tokens += static_cast<std::uint64_t>(end - s.computed);
  plan.sequences.push_back({.slot = s.slot,
                            .first_row = plan.rows(),
                            .rows = end - s.computed,
                            .first_position = s.computed,
                            .first_block = static_cast<std::int32_t>(plan.block_tables.size()),
                            .blocks = static_cast<std::int32_t>(s.table.size())});
  s.append_tokens(s.computed, end, plan.tokens);
  plan.block_tables.insert(plan.block_tables.end(), s.table.begin(), s.table.end());
  s.computed = end;
  s.decoding |= sampled;
  s.last_plan = plan.number;
  ++s.in_flight;
  flights.back().parts.push_back({&s, end, sampled});
}

}  // namespace shardline::scheduler
