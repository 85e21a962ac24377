#include "tests/simulation/simulation.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"
#include "tests/simulation/fake_executor.h"
#include "tests/simulation/fake_model.h"

namespace shardline::simulation {
namespace {

using scheduler::Finish;
using scheduler::Limits;
using scheduler::Policy;
using scheduler::Request;
using scheduler::RequestId;
using scheduler::TokenEvent;

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  int range(int low, int high) { return low + static_cast<int>(next() % static_cast<std::uint64_t>(high - low + 1)); }  // both inclusive
  bool one_in(int n) { return next() % static_cast<std::uint64_t>(n) == 0; }

 private:
  std::uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15u); }
  std::uint64_t state_;
};

template <class... Values>
void require(bool holds, fmt::format_string<Values...> format, Values&&... values) {
  if (!holds) throw Violation(fmt::format(format, std::forward<Values>(values)...));
}

// What the client of a request knows.
struct Choice {
  Expected expected;
  std::size_t heard = 0;  // samples
  bool open = true;
  std::uint64_t sampled_in = 0;  // number of the last plan that draws a token of this choice
  std::uint64_t disturbed = 0;   // Simulation::disturbances() then
  bool was_first = false;        // in the order of service, then
};
struct Client {
  Request request;
  std::vector<Choice> choices;
  std::uint64_t submitted_at = 0;   // plan number
  std::uint64_t plans_allowed = 0;  // until its end
  bool open() const { return std::ranges::any_of(choices, &Choice::open); }
  bool heard() const {
    return std::ranges::any_of(choices, [](const Choice& c) { return c.heard > 0; });
  }
  std::uint64_t work() const { return (request.prompt.size() + static_cast<std::size_t>(request.max_tokens)) * choices.size(); }  // rows
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, Counts& counts)
      : rng_(seed),
        counts_(counts),
        limits_(random_limits()),
        scheduler_(limits_),
        executor_(limits_.blocks, limits_.depth, limits_.max_rows) {
    for (auto& prefix : prefixes_) prefix = random_tokens(rng_.range(1, 100));
  }
  void run();

 private:
  Limits random_limits();
  std::vector<TokenId> random_tokens(int count);
  Request random_request();
  void submit();
  void cancel();
  void plan();
  void check_plan(const StepPlan& plan);
  const Choice* first() const;
  void check_decodes(std::uint64_t number);
  void deliver();
  void hear(const TokenEvent& event);
  std::uint64_t disturbances() const { return scheduler_.stats().preemptions + cancels_; }

  Rng rng_;
  Counts& counts_;
  Limits limits_;
  scheduler::Scheduler scheduler_;
  FakeExecutor executor_;
  std::vector<TokenId> prefixes_[3];
  std::map<RequestId, Client> clients_;  // admitted to the queue and not ended
  RequestId last_id_ = 0;
  std::uint64_t last_plan_ = 0, cancels_ = 0;
};

Limits Simulation::random_limits() {
  Limits limits;
  limits.depth = rng_.range(1, 4);
  limits.max_rows = rng_.one_in(2) ? rng_.range(1, 12) : rng_.one_in(4) ? 512 : rng_.range(13, 80);
  limits.max_sequences = rng_.range(1, 12);
  limits.max_queue = rng_.one_in(3) ? rng_.range(1, 4) : 1000;
  limits.context = rng_.range(40, 160);
  const int least = (limits.context + kBlockTokens - 1) / kBlockTokens;
  limits.blocks = rng_.one_in(3) ? 200 : least + rng_.range(0, least);  // often just enough for one or two sequences
  limits.prefix_cache = !rng_.one_in(4);
  limits.policy = rng_.one_in(2) ? Policy::fcfs : Policy::priority;
  limits.epoch = static_cast<std::uint64_t>(rng_.range(1, 9));
  return limits;
}

std::vector<TokenId> Simulation::random_tokens(int count) {
  std::vector<TokenId> tokens;
  while (count-- > 0) tokens.push_back(rng_.range(0, kVocabulary - 1));
  return tokens;
}

Request Simulation::random_request() {
  Request request;
  request.id = ++last_id_;
  request.max_tokens = rng_.range(1, rng_.one_in(3) ? limits_.context - 1 : 24);
  request.n = rng_.one_in(5) ? rng_.range(2, 4) : 1;
  request.priority = rng_.range(0, 2);
  request.sampling.seed = request.id;
  request.sampling.temperature = rng_.one_in(2) ? 1.f : 0.f;
  if (rng_.one_in(2)) request.stop_tokens = random_tokens(rng_.range(1, 4));
  request.prompt = prefixes_[rng_.range(0, 2)];
  request.prompt.resize(std::min(request.prompt.size(), static_cast<std::size_t>(rng_.range(0, 100))));
  if (request.prompt.empty() || !rng_.one_in(3)) std::ranges::copy(random_tokens(rng_.range(1, 30)), std::back_inserter(request.prompt));
  request.prompt.resize(std::min<std::size_t>(request.prompt.size(), static_cast<std::size_t>(limits_.context - request.max_tokens)));
  return request;
}

void Simulation::submit() {
  Client client;
  client.request = random_request();
  const Status status = scheduler_.submit(client.request, {});
  if (!status) {
    require(status.error().code == ErrorCode::exhausted && scheduler_.stats().waiting >= limits_.max_queue, "refused: {}",
            status.error().message);
    ++counts_["queue full"];
    return;
  }
  for (int choice = 0; choice < client.request.n; ++choice) client.choices.emplace_back().expected = expect(client.request, choice);
  client.submitted_at = last_plan_;
  // No starvation: first come, first served at one row in `depth` plans at the worst, twice as slow where shorter prompts slip past, and
  // as much again for what is recomputed.
  client.plans_allowed = client.work();
  for (const auto& [id, other] : clients_) client.plans_allowed += other.work();
  client.plans_allowed *= static_cast<std::uint64_t>(4 * limits_.depth);
  clients_.emplace(client.request.id, std::move(client));
}

void Simulation::cancel() {
  auto it = std::next(clients_.begin(), rng_.range(0, static_cast<int>(clients_.size()) - 1));
  Client& client = it->second;
  const int choice = rng_.one_in(2) ? -1 : rng_.range(0, client.request.n - 1);
  for (int c = 0; c < client.request.n; ++c) {
    Choice& state = client.choices[static_cast<std::size_t>(c)];
    if (choice >= 0 && c != choice) continue;
    counts_["cancel in flight"] += state.open && state.sampled_in > state.heard && scheduler_.in_flight() > 0;
    state.open = false;
  }
  scheduler_.cancel(client.request.id, choice);
  scheduler_.cancel(last_id_ + 1);  // unknown: ignored
  ++cancels_;
  if (!client.open()) clients_.erase(it);
}

void Simulation::plan() {
  const int in_flight = scheduler_.in_flight();
  std::optional<StepPlan> plan = scheduler_.plan({});
  require(plan || in_flight > 0 || scheduler_.idle(), "nothing is in flight, {} requests are open, and no plan is made", clients_.size());
  if (!plan) return;
  require(plan->epoch == limits_.epoch, "epoch {}", plan->epoch);
  last_plan_ = plan->number;
  check_plan(*plan);
  executor_.submit(std::move(*plan));
}

void Simulation::check_plan(const StepPlan& plan) {
  for (const PlanSample& sample : plan.samples) {
    const auto it = clients_.find(sample.sampling.seed);  // the requests' seeds are their ids
    require(it != clients_.end(), "plan {} samples for a request that ended", plan.number);
    Choice& choice = it->second.choices.at(sample.sampling.choice);
    require(choice.open, "plan {} samples for a choice that ended", plan.number);
    require(sample.position == static_cast<int>(it->second.request.prompt.size() + choice.heard), "position {}, {} tokens heard",
            sample.position, choice.heard);
    choice.sampled_in = plan.number;
    choice.disturbed = disturbances();
    choice.was_first = &choice == first();
  }
  std::size_t chunks = 0;
  for (const PlanSequence& s : plan.sequences) chunks += s.rows > 1;
  counts_["several prompts in a plan"] += chunks > 1;
  counts_["chunked prefill"] += plan.samples.size() < plan.sequences.size();
  counts_["prefill beside decodes"] += chunks > 0 && chunks < plan.sequences.size();
  check_decodes(plan.number);
}

// The open choice that is first in the order of service.
const Choice* Simulation::first() const {
  const Client* best = nullptr;
  for (const auto& [id, client] : clients_)
    if (!best || (limits_.policy == Policy::priority && client.request.priority < best->request.priority)) best = &client;
  return best ? &*std::ranges::find_if(best->choices, &Choice::open) : nullptr;
}

// A running decode is in every plan, or with several in flight in every `depth`-th and at most one later, unless memory was short. The
// first is never preempted: at most it waits until the blocks of those who are have landed.
void Simulation::check_decodes(std::uint64_t number) {
  for (const auto& [id, client] : clients_) {
    require(limits_.policy == Policy::priority || number - client.submitted_at <= client.plans_allowed, "request {} starves", id);
    for (const Choice& choice : client.choices) {
      if (!choice.open || choice.sampled_in == 0) continue;
      require(!choice.was_first || &choice != first() || number < choice.sampled_in + 2 * static_cast<std::uint64_t>(limits_.depth),
              "request {} is first and waits since plan {}", id, choice.sampled_in);
      if (choice.disturbed != disturbances()) continue;
      require(number < choice.sampled_in + static_cast<std::uint64_t>(limits_.depth + (limits_.depth > 1)),
              "request {} decoded in plan {} and not again until plan {}", id, choice.sampled_in, number);
      ++counts_["decode kept going"];
    }
  }
}

void Simulation::deliver() {
  if (rng_.one_in(4)) executor_.rerun();
  for (const TokenEvent& event : scheduler_.apply(executor_.next(), {})) hear(event);
}

void Simulation::hear(const TokenEvent& event) {
  const auto it = clients_.find(event.request);
  require(it != clients_.end(), "an event of request {}, which ended", event.request);
  Client& client = it->second;
  Choice& choice = client.choices.at(static_cast<std::size_t>(event.choice));
  require(choice.open, "an event of request {} choice {}, which ended", event.request, event.choice);
  const SampleResult& expected = choice.expected.samples.at(choice.heard);
  require(event.has_token == expected.finite && event.sample.logits_hash == expected.logits_hash, "request {} choice {}: token {} differs",
          event.request, event.choice, choice.heard);
  require(event.cached_tokens < static_cast<int>(client.request.prompt.size()), "{} tokens of the prompt were cached", event.cached_tokens);
  require(limits_.prefix_cache || event.cached_tokens == 0 || event.choice > 0, "{} tokens cached without a cache", event.cached_tokens);
  if (!client.heard()) {
    counts_["prefix hit"] += event.cached_tokens > 0;
    for (const auto& [id, other] : clients_)
      counts_["priority overtakes"] +=
          limits_.policy == Policy::priority && id < event.request && !other.heard() && other.request.priority > client.request.priority;
  }
  const bool last = ++choice.heard == choice.expected.samples.size();
  require(event.finish == (last ? choice.expected.finish : Finish::none), "request {} choice {} ends wrongly", event.request, event.choice);
  if (!last) return;
  choice.open = false;
  counts_[event.finish == Finish::stop ? "stop" : event.finish == Finish::length ? "length" : "error"] += 1;
  counts_["choice of several"] += client.request.n > 1;
  if (!client.open()) clients_.erase(it);
}

void Simulation::run() {
  int to_come = rng_.range(5, 30);
  const int quiet = rng_.range(1, 12), cancels = rng_.range(5, 100), delay = rng_.range(1, 4);
  while (to_come > 0 || !scheduler_.idle()) {
    if (to_come > 0 && rng_.one_in(quiet)) {
      for (int burst = rng_.one_in(4) ? rng_.range(2, 8) : 1; burst > 0 && to_come > 0; --burst, --to_come) submit();
    }
    if (!clients_.empty() && rng_.one_in(cancels)) cancel();
    if (rng_.one_in(delay) || executor_.in_flight() == 0) plan();
    scheduler_.check_integrity();
    if (executor_.in_flight() > 0 && rng_.one_in(delay)) deliver();
    scheduler_.check_integrity();
    require(scheduler_.in_flight() == executor_.in_flight(), "{} plans in flight, not {}", scheduler_.in_flight(), executor_.in_flight());
    if (to_come > 0 && scheduler_.idle() && executor_.in_flight() > 0) deliver();
  }
  require(clients_.empty(), "{} requests never ended", clients_.size());
  const scheduler::Stats stats = scheduler_.stats();
  require(stats.blocks_used == 0 && stats.running == 0 && stats.waiting == 0, "{} blocks, {} running, {} waiting left", stats.blocks_used,
          stats.running, stats.waiting);
  require(limits_.prefix_cache || stats.blocks_cached == 0, "{} blocks cached without a cache", stats.blocks_cached);
  counts_["preemption"] += stats.preemptions;
  counts_["plan"] += stats.plans;
}

}  // namespace

void simulate(std::uint64_t seed, Counts& counts) { Simulation(seed, counts).run(); }

}  // namespace shardline::simulation
