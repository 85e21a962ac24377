// The scheduler's state. Its steps are in scheduler.cpp (requests and results), planning.cpp (plans) and integrity.cpp.
#pragma once
#include <deque>
#include <map>
#include <set>

#include "scheduler/block_pool.h"
#include "scheduler/row_shares.h"
#include "scheduler/scheduler.h"
#include "scheduler/sequence.h"

namespace shardline::scheduler {

// What a plan in flight does for one sequence.
struct FlightPart {
  Sequence* sequence = nullptr;
  int end = 0;  // positions before this one are computed when the result is here
  bool sampled = false;
};

struct Flight {
  std::uint64_t number = 0;
  std::vector<FlightPart> parts;  // in the plan's order
};

struct Scheduler::Impl {
  explicit Impl(const Limits& l);

  // scheduler.cpp
  Status submit(Request request);
  void cancel(RequestId id, int choice);
  std::vector<TokenEvent> apply(const StepResult& result);
  void returned(const FlightPart& part);
  TokenEvent take_sample(Sequence& s, const SampleResult& sample);
  void release_held(Group& group);
  void retire(Sequence& s);
  void settle(Sequence& s);
  void close_if_done(Group& group);

  // planning.cpp
  std::optional<StepPlan> plan();
  StepPlan next_plan();  // without rows where nothing can run
  void admit();
  void count_hits(Sequence& s, int tokens);
  int make_room(Sequence& s, int end);
  void preempt(Sequence& s);
  void add_rows(StepPlan& plan, Sequence& s, int end);

  Stats stats() const;
  void check_integrity() const;

  Limits limits;
  BlockPool pool;
  std::map<RequestId, Group> groups;
  std::set<Sequence*, Before> waiting;
  std::vector<Sequence*> running;  // in order of service
  std::vector<SlotId> free_slots;  // as many slots as sequences may run, so the free ones also count the room left
  std::deque<Flight> flights;      // oldest first
  std::vector<int> rows;           // of the plan being made, by index into running
  std::uint64_t next_number = 1, arrivals = 0;
  int queued = 0;   // groups never admitted
  int landing = 0;  // sequences that do not run any more but are named by plans in flight: blocks soon free
  Stats counters;
};

}  // namespace shardline::scheduler
