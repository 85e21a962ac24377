// Runs plans over the fake model and distrusts them: every contract of engine/step.h, and what a real KV cache would suffer from in
// silence (a block shared wrongly, reused too early, read before it is written), is a Violation here.
#pragma once
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/step.h"

namespace shardline::simulation {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class FakeExecutor {
 public:
  FakeExecutor(int blocks, int depth, int max_rows)
      : cells_(static_cast<std::size_t>(blocks) * kBlockTokens), depth_(depth), max_rows_(max_rows) {}

  void submit(StepPlan plan);
  StepResult next();  // of the oldest plan in flight
  void rerun();       // all plans in flight, as after a recovery that kept the KV; their results must not change
  int in_flight() const { return static_cast<int>(flights_.size()); }

 private:
  struct Cell {
    int position = -1;
    TokenId token = 0;
    std::uint64_t state = 0;
  };
  struct Flight {
    StepPlan plan;
    StepResult result;
  };

  void check_form(const StepPlan& plan) const;
  void check_slot(const PlanSequence& s) const;
  StepResult run(const StepPlan& plan);
  Cell& cell(const StepPlan& plan, const PlanSequence& s, int position);

  std::vector<Cell> cells_;  // (blocks, 16)
  std::deque<Flight> flights_;
  int depth_, max_rows_;
  std::uint64_t last_number_ = 0;
};

}  // namespace shardline::simulation
