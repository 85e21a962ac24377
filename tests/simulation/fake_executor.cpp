#include "tests/simulation/fake_executor.h"

#include <fmt/core.h>

#include <set>
#include <utility>

#include "tests/simulation/fake_model.h"

namespace shardline::simulation {
namespace {

template <class... Values>
void require(bool holds, fmt::format_string<Values...> format, Values&&... values) {
  if (!holds) throw Violation(fmt::format(format, std::forward<Values>(values)...));
}

int end_position(const PlanSequence& s) { return s.first_position + s.rows; }

BlockId block_at(const StepPlan& plan, const PlanSequence& s, int index) {
  return plan.block_tables[static_cast<std::size_t>(s.first_block + index)];
}

// No block that `s` writes is named by another sequence of a plan that is in flight at the same time.
void check_writes(const StepPlan& plan, const PlanSequence& s, const StepPlan& other) {
  for (int i = s.first_position / kBlockTokens; i < s.blocks; ++i)
    for (const PlanSequence& o : other.sequences)
      for (int j = 0; j < o.blocks && o.slot != s.slot; ++j)
        require(block_at(other, o, j) != block_at(plan, s, i), "plan {} slot {} writes block {}, which slot {} has in plan {}", plan.number,
                s.slot, block_at(plan, s, i), o.slot, other.number);
}

}  // namespace

void FakeExecutor::submit(StepPlan plan) {
  require(in_flight() < depth_, "plan {} is one too many in flight", plan.number);
  require(plan.number == last_number_ + 1, "plan {} follows plan {}", plan.number, last_number_);
  last_number_ = plan.number;
  check_form(plan);
  for (const PlanSequence& s : plan.sequences) {
    check_slot(s);
    check_writes(plan, s, plan);
    for (const Flight& flight : flights_) {
      check_writes(plan, s, flight.plan);
      for (const PlanSequence& other : flight.plan.sequences) check_writes(flight.plan, other, plan);
    }
  }
  StepResult result = run(plan);
  flights_.push_back({std::move(plan), std::move(result)});
}

StepResult FakeExecutor::next() {
  StepResult result = std::move(flights_.front().result);
  flights_.pop_front();
  return result;
}

void FakeExecutor::rerun() {
  for (const Flight& flight : flights_) {
    const StepResult again = run(flight.plan);
    for (std::size_t i = 0; i < again.samples.size(); ++i)
      require(again.samples[i].logits_hash == flight.result.samples[i].logits_hash, "plan {} run again differs", flight.plan.number);
  }
}

void FakeExecutor::check_form(const StepPlan& plan) const {
  require(plan.rows() > 0 && plan.rows() <= max_rows_, "plan {} has {} rows", plan.number, plan.rows());
  std::set<SlotId> slots;
  int row = 0, block = 0;
  std::size_t sample = 0;
  for (const PlanSequence& s : plan.sequences) {
    require(slots.insert(s.slot).second, "slot {} is twice in plan {}", s.slot, plan.number);
    require(s.first_row == row && s.rows > 0, "slot {}: rows begin at {}, not {}", s.slot, s.first_row, row);
    require(s.first_block == block, "slot {}: blocks begin at {}, not {}", s.slot, s.first_block, block);
    row += s.rows;
    block += s.blocks;
    require(s.blocks == (end_position(s) + kBlockTokens - 1) / kBlockTokens, "slot {}: {} blocks for {} tokens", s.slot, s.blocks,
            end_position(s));
    std::set<BlockId> distinct;
    for (int i = 0; i < s.blocks; ++i) distinct.insert(block_at(plan, s, i));
    require(static_cast<int>(distinct.size()) == s.blocks, "slot {} has a block twice", s.slot);
    require(*distinct.begin() >= 0 && static_cast<std::size_t>(*distinct.rbegin()) < cells_.size() / kBlockTokens, "slot {}: no such block",
            s.slot);
    if (sample == plan.samples.size() || plan.samples[sample].row >= row) continue;
    const PlanSample& p = plan.samples[sample++];
    require(p.slot == s.slot && p.row == row - 1 && p.position == end_position(s), "slot {} samples row {} for position {}", p.slot, p.row,
            p.position);
  }
  require(row == plan.rows() && static_cast<std::size_t>(block) == plan.block_tables.size() && sample == plan.samples.size(),
          "plan {} has rows, blocks or samples of no sequence", plan.number);
}

// A slot in flight belongs to one sequence, whose rows go on where the plan before ended.
void FakeExecutor::check_slot(const PlanSequence& s) const {
  const PlanSequence* before = nullptr;
  for (const Flight& flight : flights_)
    for (const PlanSequence& other : flight.plan.sequences)
      if (other.slot == s.slot) before = &other;
  require(!before || end_position(*before) == s.first_position, "slot {} goes on at {}, but another plan in flight ends at {}", s.slot,
          s.first_position, before ? end_position(*before) : 0);
}

FakeExecutor::Cell& FakeExecutor::cell(const StepPlan& plan, const PlanSequence& s, int position) {
  return cells_[static_cast<std::size_t>(block_at(plan, s, position / kBlockTokens) * kBlockTokens + position % kBlockTokens)];
}

StepResult FakeExecutor::run(const StepPlan& plan) {
  StepResult result;
  result.epoch = plan.epoch;
  result.number = plan.number;
  std::size_t sample = 0;
  for (const PlanSequence& s : plan.sequences) {
    std::uint64_t state = 0;
    for (int position = 0; position < end_position(s); ++position) {
      Cell& c = cell(plan, s, position);
      if (position >= s.first_position) {
        c.position = position;
        c.token = plan.tokens[static_cast<std::size_t>(s.first_row + position - s.first_position)];
        c.state = extend(state, c.token);
      }
      state = extend(state, c.token);
      require(c.position == position && c.state == state, "plan {} slot {} reads position {} and finds position {} of {} prefix",
              plan.number, s.slot, position, c.position, c.state == state ? "the right" : "another");
    }
    if (sample == plan.samples.size() || plan.samples[sample].slot != s.slot) continue;
    const PlanSample& p = plan.samples[sample++];
    result.samples.push_back(draw(state, p.sampling, p.position));
    result.samples.back().slot = s.slot;
  }
  return result;
}

}  // namespace shardline::simulation
