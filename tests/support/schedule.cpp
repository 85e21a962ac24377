#include "tests/support/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace shardline::test {

std::string Schedule::text() const {
  return fmt::format("tp {} pp {} threads {} rows {} sequences {} blocks {} depth {} prefix {} order {}", tp, pp, threads, max_rows, max_sequences, blocks, depth,
                     prefix_cache, order_seed);
}

std::vector<scheduler::Request> make_requests(int vocab, int longest_prompt, int max_tokens, int count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
  std::vector<TokenId> shared(static_cast<std::size_t>(longest_prompt));
  for (TokenId& t : shared) t = draw(3, vocab - 1);
  std::vector<scheduler::Request> requests;
  for (int i = 0; i < count; ++i) {
    scheduler::Request r;
    r.id = static_cast<scheduler::RequestId>(i + 1);
    const int length = i % 3 == 0 ? draw(longest_prompt / 2, longest_prompt) : draw(1, longest_prompt / 3 + 1);
    const int common = i % 2 == 0 ? std::min(length, draw(longest_prompt / 4, longest_prompt)) : 0;
    r.prompt.assign(shared.begin(), shared.begin() + common);
    while (static_cast<int>(r.prompt.size()) < length) r.prompt.push_back(draw(3, vocab - 1));
    r.max_tokens = draw(max_tokens / 2, max_tokens);
    r.n = i % 4 == 2 ? 2 + i % 3 / 2 : 1;
    r.sampling.temperature = i % 2 == 1 || r.n > 1 ? 0.9f : 0.0f;
    r.sampling.top_p = i % 5 == 1 ? 0.9f : 1.0f;
    r.sampling.top_k = i % 7 == 1 ? 40 : 0;
    r.sampling.seed = 1000 + static_cast<std::uint64_t>(i);
    r.sampling.hash_logits = true;
    requests.push_back(r);
  }
  return requests;
}

Schedule plain_schedule(int blocks) {
  Schedule s;
  s.blocks = blocks;
  s.max_sequences = 1;
  return s;
}

Schedule draw_schedule(std::uint64_t seed, int max_tp, int max_pp, int needed_blocks) {
  std::mt19937_64 random(seed * 7919 + 17);
  const auto draw = [&](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
  Schedule s;
  s.tp = draw(1, max_tp);
  s.pp = draw(1, max_pp);
  s.threads = draw(1, 2);
  constexpr int kRows[] = {16, 17, 33, 50, 100, 128, 200, 512};
  s.max_rows = kRows[draw(0, 7)];
  s.max_sequences = draw(2, 16);
  s.blocks = needed_blocks + (draw(0, 2) ? draw(0, 2) : 8 * needed_blocks);  // tight pools preempt
  s.depth = draw(1, s.pp);
  s.prefix_cache = draw(0, 3) > 0;
  s.order_seed = seed + 1;
  return s;
}

Answers run_schedule(const Schedule& schedule, const std::vector<scheduler::Request>& requests, Executor& executor, int context, Events& events, std::string& wrong) {
  scheduler::Limits limits;
  limits.max_rows = schedule.max_rows;
  limits.max_sequences = schedule.max_sequences;
  limits.blocks = schedule.blocks;
  limits.context = context;
  limits.depth = std::min(schedule.depth, executor.depth());
  limits.prefix_cache = schedule.prefix_cache;
  scheduler::Scheduler scheduler(limits);
  std::vector<scheduler::Request> waiting = requests;
  std::mt19937_64 random(schedule.order_seed);
  if (schedule.order_seed) std::shuffle(waiting.begin(), waiting.end(), random);
  std::reverse(waiting.begin(), waiting.end());  // taken from the back

  Answers answers;
  TimePoint now{};
  while (!waiting.empty() || !scheduler.idle()) {
    const bool arrives = schedule.order_seed ? random() % 3 != 0 : scheduler.idle();
    if (!waiting.empty() && (arrives || scheduler.idle())) {
      const Status taken = scheduler.submit(waiting.back(), now);
      if (!taken.ok()) return wrong = "submit: " + taken.error().message, answers;
      waiting.pop_back();
    }
    now += std::chrono::milliseconds(1);
    while (auto plan = scheduler.plan(now)) {
      for (const PlanSequence& s : plan->sequences)
        if (s.rows > 1 && s.first_position % 128 != 0) ++events.chunk_borders;
      const Status sent = executor.submit(*plan);
      if (!sent.ok()) return wrong = "executor: " + sent.error().message, answers;
    }
    if (scheduler.in_flight() == 0) continue;
    const auto result = executor.next(Clock::now() + std::chrono::seconds(120));
    if (!result.ok()) return wrong = "executor: " + result.error().message, answers;
    for (const scheduler::TokenEvent& e : scheduler.apply(*result, now)) {
      if (!e.has_token || e.finish == scheduler::Finish::error) return wrong = fmt::format("request {} ended with an error", e.request), answers;
      Answer& a = answers[{e.request, e.choice}];
      a.tokens.push_back(e.sample.token);
      a.hashes.push_back(e.sample.logits_hash);
    }
    scheduler.check_integrity();
  }
  const scheduler::Stats stats = scheduler.stats();
  ++events.schedules;
  events.prefix_hits += stats.prefix_hits;
  events.preemptions += stats.preemptions;
  for (const auto& r : requests) {
    events.choices += r.n > 1;
    ++(r.sampling.temperature > 0 ? events.sampled : events.greedy);
  }
  ++(schedule.threads == 1 ? events.one_thread : events.two_threads);
  return answers;
}

std::string difference(const Answers& want, const Answers& got) {
  if (want.size() != got.size()) return fmt::format("{} answers, not {}", got.size(), want.size());
  for (const auto& [key, answer] : want) {
    const auto it = got.find(key);
    if (it == got.end()) return fmt::format("request {} choice {} has no answer", key.first, key.second);
    if (answer == it->second) continue;
    std::size_t i = 0;
    while (i < answer.tokens.size() && i < it->second.tokens.size() && answer.tokens[i] == it->second.tokens[i] && answer.hashes[i] == it->second.hashes[i]) ++i;
    return fmt::format("request {} choice {} differs from token {} on ({} and {} tokens)", key.first, key.second, i, it->second.tokens.size(), answer.tokens.size());
  }
  return "";
}

}  // namespace shardline::test
