#include "launcher/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>

#include "engine/base/thread_name.h"
#include "launcher/metrics/metrics.h"
#include "launcher/stop_filter.h"

namespace shardline::launcher {
namespace {

using scheduler::Finish;
using scheduler::RequestId;
using scheduler::TokenEvent;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

struct Choice {
  Choice(const Tokenizer* tokenizer, const StopFilter& filter) : stop(filter) {
    if (tokenizer) decoder.emplace(*tokenizer);
  }
  std::optional<IncrementalDecoder> decoder;  // none: no text is wanted
  StopFilter stop;
  std::vector<SampleResult> held;  // tokens whose text is not out yet
  int tokens = 0;
  bool done = false;
  TimePoint scheduled{}, first{}, last{};  // first step; first and last token
};

// A request that is not finished. `mutex` covers what follows it; it is recursive because a sink may cancel its own request.
struct Live {
  RequestId id = 0;
  TimePoint arrival{};
  int prompt_tokens = 0, cached_tokens = 0;
  std::recursive_mutex mutex;
  Sink sink;
  int open = 0;  // choices whose end the sink has not heard
  std::vector<Choice> choices;
};
using LivePtr = std::shared_ptr<Live>;

// Who sits in a slot since when. The scheduler does not tell, but a sequence goes on where its last plan ended; a coincidence of positions
// between two sequences that share a slot misdates a metric and nothing else.
class SlotTimes {
 public:
  void planned(const StepPlan& plan, TimePoint now) {
    for (const PlanSequence& s : plan.sequences) {
      if (static_cast<std::size_t>(s.slot) >= slots_.size()) slots_.resize(static_cast<std::size_t>(s.slot) + 1);
      Slot& slot = slots_[static_cast<std::size_t>(s.slot)];
      if (slot.end != s.first_position) slot.since = now;
      slot.end = s.first_position + s.rows;
    }
  }
  TimePoint since(SlotId slot) const { return slots_[static_cast<std::size_t>(slot)].since; }
  void left(SlotId slot) { slots_[static_cast<std::size_t>(slot)].end = -1; }

 private:
  struct Slot {
    std::int32_t end = -1;
    TimePoint since{};
  };
  std::vector<Slot> slots_;
};

}  // namespace

std::uint64_t random_seed() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seeds{device(), device(), device(), device()};
    return std::mt19937_64(seeds);
  }();
  return generator();
}

struct Controller::Impl {
  Impl(Executor& e, const Tokenizer* t, Options o)
      : executor(e), tokenizer(t), options(std::move(o)), scheduler(options.limits), thread([this] { run(); }) {}

  // Step thread.
  void run();
  bool launch_plans();
  bool sleep();
  bool take_result(std::vector<std::pair<LivePtr, TokenEvent>>& events);
  void deliver(Live& live, TokenEvent& event, TimePoint now);
  void fail(const Error& error);

  void time_token(Live& live, Choice& choice, const TokenEvent& event, TimePoint now);
  // The end of a choice, before and after its sink hears of it. Under live.mutex.
  void count_end(const Live& live, Choice& choice, Finish finish, TimePoint now) const;
  void close_choice(Live& live, TimePoint now);
  void end_all(const Error& error);

  Executor& executor;
  const Tokenizer* const tokenizer;
  const Options options;

  // Whoever holds it owns the scheduler: the step thread for the microseconds of plan() and apply(), another for those of submit().
  // Taken inside a Live's mutex, never around it.
  mutable std::mutex mutex;
  std::condition_variable work, quiet;  // something to plan or to stop for; no request is left
  scheduler::Scheduler scheduler;
  std::unordered_map<RequestId, LivePtr> lives;
  RequestId last_id = 0;
  bool fresh = false, draining = false, stopping = false;
  std::string failure;
  std::function<void(std::string)> on_failure;
  std::deque<TimePoint> finishes;  // of the last requests

  SlotTimes slots;  // step thread's own
  std::thread thread;
};

void Controller::Impl::run() {
  name_thread("steps");
  std::vector<std::pair<LivePtr, TokenEvent>> events;
  for (;;) {
    if (!launch_plans()) return;
    const TimePoint now = Clock::now();
    for (auto& [live, event] : events) deliver(*live, event, now);  // while the ranks work on the next plan
    events.clear();
    if (scheduler.in_flight() == 0) {
      if (!sleep()) return;
    } else if (!take_result(events)) {
      return;
    }
  }
}

bool Controller::Impl::launch_plans() {
  for (;;) {
    const TimePoint now = Clock::now();
    std::optional<StepPlan> plan;
    {
      const std::lock_guard lock(mutex);
      if (!stopping) plan = scheduler.plan(now);
    }
    if (!plan) return true;
    slots.planned(*plan, now);
    if (options.metrics) options.metrics->step(plan->rows());
    if (const Status status = executor.submit(*plan); !status.ok()) return fail(status.error()), false;
  }
}

// Until there is something to do; looks now and then whether the ranks still live. False: the controller ends.
bool Controller::Impl::sleep() {
  constexpr auto kLook = std::chrono::milliseconds(100);
  std::unique_lock lock(mutex);
  while (!work.wait_for(lock, kLook, [&] { return fresh || stopping; })) {
    lock.unlock();
    if (const Status status = executor.health(); !status.ok()) return fail(status.error()), false;
    lock.lock();
    if (!scheduler.idle()) break;
  }
  fresh = false;
  return !stopping;
}

bool Controller::Impl::take_result(std::vector<std::pair<LivePtr, TokenEvent>>& events) {
  const Result<StepResult> result = executor.next(Clock::now() + options.step_deadline);
  if (!result.ok()) return fail(result.error()), false;
  const std::lock_guard lock(mutex);
  for (TokenEvent& event : scheduler.apply(*result, Clock::now()))
    if (const auto it = lives.find(event.request); it != lives.end()) events.emplace_back(it->second, std::move(event));
  return true;
}

void Controller::Impl::deliver(Live& live, TokenEvent& event, TimePoint now) {
  const std::lock_guard lock(live.mutex);
  Choice& choice = live.choices[static_cast<std::size_t>(event.choice)];
  if (event.finish != Finish::none) slots.left(event.sample.slot);
  if (choice.done) return;
  GenerateEvent out{.choice = event.choice, .finish = event.finish, .cached_tokens = event.cached_tokens};
  live.cached_tokens = event.cached_tokens;
  if (event.has_token) {
    time_token(live, choice, event, now);
    if (choice.decoder) out.text = choice.stop.push(choice.decoder->push(event.sample.token));
    choice.held.push_back(std::move(event.sample));
  } else if (event.finish == Finish::error) {
    out.error = "the model computed a value that is not finite";
  }
  if (choice.decoder && (out.finish == Finish::stop || out.finish == Finish::length)) {
    out.text += choice.stop.push(choice.decoder->finish());
    out.text += choice.stop.finish();
  }
  if (!choice.stop.found().empty()) {
    out.stop_reason = choice.stop.found();
    if (out.finish == Finish::none) {
      const std::lock_guard own(mutex);
      scheduler.cancel(live.id, event.choice);
    }
    out.finish = Finish::stop;
  }
  const bool ends = out.finish != Finish::none;
  if (!ends && choice.decoder && out.text.empty()) return;
  out.tokens = std::exchange(choice.held, {});
  if (ends) count_end(live, choice, out.finish, now);
  live.sink(std::move(out));
  if (ends) close_choice(live, now);
}

void Controller::Impl::time_token(Live& live, Choice& choice, const TokenEvent& event, TimePoint now) {
  if (choice.tokens++ == 0) {
    choice.scheduled = slots.since(event.sample.slot);
    choice.first = now;
    if (options.metrics) options.metrics->first_token(seconds(now - live.arrival), live.prompt_tokens, event.cached_tokens);
  } else if (options.metrics) {
    options.metrics->next_token(seconds(now - choice.last));
  }
  choice.last = now;
}

void Controller::Impl::count_end(const Live& live, Choice& choice, Finish finish, TimePoint now) const {
  choice.done = true;
  if (!options.metrics) return;
  Metrics::Finished f{.finish = finish, .prompt_tokens = live.prompt_tokens, .generated_tokens = choice.tokens};
  f.total = seconds(now - live.arrival);
  if (choice.tokens > 0) {
    f.queue = seconds(choice.scheduled - live.arrival);
    f.prefill = seconds(choice.first - choice.scheduled);
    f.decode = seconds(choice.last - choice.first);
  }
  options.metrics->finished(f);
}

void Controller::Impl::close_choice(Live& live, TimePoint now) {
  if (--live.open > 0) return;
  const std::lock_guard lock(mutex);
  lives.erase(live.id);
  finishes.push_back(now);
  if (finishes.size() > 64) finishes.pop_front();
  if (lives.empty()) quiet.notify_all();
}

// Every request that is left hears the error.
void Controller::Impl::end_all(const Error& error) {
  std::unordered_map<RequestId, LivePtr> left;
  {
    const std::lock_guard lock(mutex);
    left.swap(lives);
    for (const auto& [id, live] : left) scheduler.cancel(id);
  }
  for (const auto& [id, live] : left) {
    const std::lock_guard lock(live->mutex);
    const TimePoint now = Clock::now();
    for (std::size_t i = 0; i < live->choices.size(); ++i) {
      if (live->choices[i].done) continue;
      count_end(*live, live->choices[i], Finish::error, now);
      live->sink({.choice = static_cast<int>(i), .finish = Finish::error, .error = error.message, .error_code = error.code});
      close_choice(*live, now);
    }
  }
  quiet.notify_all();
}

void Controller::Impl::fail(const Error& error) {
  std::string message = error.message;
  if (error.code == ErrorCode::timeout)
    message = fmt::format("no step came back within {:.0f} s: {}", seconds(options.step_deadline), message);
  {
    const std::lock_guard lock(mutex);
    failure = message;
  }
  end_all({ErrorCode::lost, message, ""});
  std::function<void(std::string)> handler;
  {
    const std::lock_guard lock(mutex);
    handler = std::exchange(on_failure, nullptr);
  }
  if (handler) handler(message);
}

Controller::Controller(Executor& executor, const Tokenizer* tokenizer, Options options)
    : impl_(std::make_unique<Impl>(executor, tokenizer, std::move(options))) {}

Controller::~Controller() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->draining = impl_->stopping = true;
  }
  impl_->end_all({ErrorCode::unavailable, "the server is shutting down", ""});
  impl_->work.notify_all();
  impl_->thread.join();
}

Result<std::uint64_t> Controller::submit(GenerateRequest request, Sink sink) {
  const TimePoint now = Clock::now();
  const auto live = std::make_shared<Live>();
  const Tokenizer* tokenizer = request.text ? impl_->tokenizer : nullptr;
  live->arrival = now;
  live->prompt_tokens = static_cast<int>(request.prompt.size());
  live->sink = std::move(sink);
  live->open = request.n;
  const StopFilter filter(request.stop);
  for (int i = 0; i < request.n; ++i) live->choices.emplace_back(tokenizer, filter);
  scheduler::Request r;
  r.prompt = std::move(request.prompt);
  r.sampling = request.sampling;
  r.n = request.n;
  r.max_tokens = request.max_tokens;
  r.priority = request.priority;
  if (!request.ignore_eos) r.stop_tokens = impl_->options.eos;

  const std::lock_guard lock(impl_->mutex);
  if (!impl_->failure.empty()) return Error{ErrorCode::lost, impl_->failure, ""};
  if (impl_->draining) return Error{ErrorCode::unavailable, "the server is shutting down", ""};
  r.id = live->id = ++impl_->last_id;
  if (const Status status = impl_->scheduler.submit(std::move(r), now); !status.ok()) {
    if (impl_->options.metrics && status.error().code == ErrorCode::exhausted) impl_->options.metrics->refused();
    return status.error();
  }
  if (impl_->options.metrics) impl_->options.metrics->submitted(request.n, request.max_tokens);
  impl_->lives.emplace(live->id, live);
  impl_->fresh = true;
  impl_->work.notify_one();
  return live->id;
}

void Controller::cancel(std::uint64_t id) {
  LivePtr live;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto it = impl_->lives.find(id);
    if (it == impl_->lives.end()) return;
    live = it->second;
    impl_->scheduler.cancel(id);
  }
  const std::lock_guard lock(live->mutex);
  const TimePoint now = Clock::now();
  for (Choice& choice : live->choices) {
    if (choice.done) continue;
    impl_->count_end(*live, choice, Finish::cancelled, now);
    impl_->close_choice(*live, now);
  }
}

void Controller::drain(Duration at_most, const std::function<bool()>& urgent) {
  constexpr Duration kLook = std::chrono::milliseconds(20);
  {
    std::unique_lock lock(impl_->mutex);
    impl_->draining = true;
    const TimePoint deadline = Clock::now() + at_most;
    while (!impl_->lives.empty() && Clock::now() < deadline && !(urgent && urgent()))
      impl_->quiet.wait_until(lock, std::min(deadline, Clock::now() + kLook));
  }
  impl_->end_all({ErrorCode::unavailable, "the server is shutting down", ""});
}

bool Controller::ready() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->failure.empty() && !impl_->draining;
}

std::string Controller::failure() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->failure.empty() && impl_->draining ? "the server is shutting down" : impl_->failure;
}

void Controller::on_failure(std::function<void(std::string)> handler) {
  std::string failure;
  {
    const std::lock_guard lock(impl_->mutex);
    failure = impl_->failure;
    if (failure.empty()) impl_->on_failure = std::move(handler);
  }
  if (!failure.empty()) handler(failure);
}

scheduler::Stats Controller::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->scheduler.stats();
}

int Controller::retry_after() const {
  const std::lock_guard lock(impl_->mutex);
  const auto& finishes = impl_->finishes;
  if (finishes.size() < 2) return 1;
  const double each = seconds(Clock::now() - finishes.front()) / static_cast<double>(finishes.size());
  return static_cast<int>(std::clamp(std::ceil(each * impl_->scheduler.stats().waiting), 1., 60.));
}

}  // namespace shardline::launcher
