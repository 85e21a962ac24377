#include "launcher/serve.h"

#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <optional>
#include <sstream>

#include "launcher/api/api.h"
#include "launcher/controller.h"
#include "launcher/http/server.h"
#include "launcher/log.h"
#include "launcher/metrics/metrics.h"

namespace shardline::launcher {
namespace {

constexpr Duration kLastWords = std::chrono::seconds(1);  // for what is still to be written when the server ends
// mpirun kills ranks one second after it signalled them. A rank whose death made it signal is noticed in this time.
constexpr Duration kJobTimeout = std::chrono::milliseconds(200), kJobLastWords = std::chrono::milliseconds(200);

// SIGINT and SIGTERM as something to wait for. A signal handler can reach nothing but globals.
std::atomic<int> signal_event{-1};
std::atomic<int> signals_seen{0};
std::atomic<int> last_signal{0};

bool is_urgent() { return signals_seen > 1; }

void on_signal(int number) {
  last_signal = number;
  if (signals_seen.fetch_add(1) > 1) _exit(128 + number);
  const std::uint64_t one = 1;
  if (write(signal_event, &one, sizeof one) < 0) _exit(128 + number);
}

class Interrupts {
 public:
  Interrupts() {
    signals_seen = 0;
    signal_event = event_;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &before_[0]);
    sigaction(SIGTERM, &action, &before_[1]);
    action.sa_handler = SIG_IGN;  // a log whose reader went away is no reason to end
    sigaction(SIGPIPE, &action, &before_[2]);
  }
  ~Interrupts() {
    sigaction(SIGINT, &before_[0], nullptr);
    sigaction(SIGTERM, &before_[1], nullptr);
    sigaction(SIGPIPE, &before_[2], nullptr);
    ::close(event_);
  }

  void wait() const {
    std::uint64_t count = 0;
    while (read(event_, &count, sizeof count) < 0 && errno == EINTR) continue;
  }
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(event_, &one, sizeof one);  // cannot fail below 2^64 - 1 events
  }

 private:
  const int event_ = eventfd(0, EFD_CLOEXEC);
  struct sigaction before_[3]{};
};

api::ServedModel served_model(const ModelFile& model, const Tokenizer* tokenizer, const ChatTemplate* chat, const ServeOptions& options) {
  const ModelConfig& config = model.config();
  api::ServedModel served{
      .name = options.served_model_name, .vocab = config.vocab, .tokenizer = tokenizer, .chat = tokenizer ? chat : nullptr};
  const int context = options.limits.context > 0 ? options.limits.context : config.context;
  served.context = static_cast<int>(std::min<std::int64_t>(context, std::int64_t{options.limits.blocks} * kBlockTokens));
  for (TokenId id = 0; tokenizer && id < tokenizer->vocab(); ++id)
    served.longest_token = std::max(served.longest_token, tokenizer->bytes(id).size());
  return served;
}

Controller::Options controller_options(const ModelFile& model, const Tokenizer* tokenizer, Executor& executor, const ServeOptions& options,
                                       const api::ServedModel& served, Metrics& metrics) {
  Controller::Options o{.limits = options.limits, .eos = model.config().eos, .step_deadline = options.step_deadline, .metrics = &metrics};
  o.limits.context = served.context;
  o.limits.depth = executor.depth();
  const TokenId eos = tokenizer ? tokenizer->spec().eos : -1;
  if (eos >= 0 && std::ranges::find(o.eos, eos) == o.eos.end()) o.eos.push_back(eos);
  return o;
}

// Running requests end, by themselves or with an error.
void drain(Controller& controller, const ServeOptions& options, bool job) {
  Duration timeout = options.shutdown_timeout;
  if (job) {
    timeout = std::min(timeout, kJobTimeout);
    spdlog::info("the server is shutting down: running requests end now, for ranks are killed soon after a signal");
  } else {
    spdlog::info("draining: running requests have {} s, a second signal ends them at once",
                 std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
  }
  controller.drain(timeout, is_urgent);
}

void say_ready(const Listener& listener, const api::ServedModel& served, const ServeInfo& info) {
  std::istringstream lines(info.topology);
  for (std::string line; std::getline(lines, line);) spdlog::info("{}", line);
  spdlog::info("serving {} on {} (kernels {}, {}, tp {} x pp {}, context {})", api::for_log(served.name), listener.url(), info.kernels,
               info.compute, info.tp, info.pp, served.context);
}

}  // namespace

struct Listener::Impl {
  std::unique_ptr<http::Server> server;
};

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() = default;

Result<Listener> Listener::bind(const std::string& host, int port) {
  auto server = http::Server::start(host, port, {}, api::fault_response, api::handle_loading);
  if (!server.ok()) return server.error();
  return Listener(std::make_unique<Impl>(Impl{std::move(*server)}));
}

int Listener::port() const { return impl_->server->port(); }
std::string Listener::url() const { return impl_->server->url(); }

int serve(Listener listener, Executor& executor, const ModelFile& model, const Tokenizer* tokenizer, const ChatTemplate* chat,
          const ServeOptions& options, const ServeInfo& info) {
  std::optional<Log> log(std::in_place);
  const Interrupts interrupts;
  const api::ServedModel served = served_model(model, tokenizer, chat, options);
  Metrics metrics(options.metrics_prefix, served.name, served.context);
  http::Server& server = *listener.impl().server;
  std::atomic<bool> failed = false;
  {
    Controller controller(executor, tokenizer, controller_options(model, tokenizer, executor, options, served, metrics));
    controller.on_failure([&](const std::string& why) {
      spdlog::critical("the engine failed: {}", why);
      failed = true;
      interrupts.wake();
    });
    const api::Api api(controller, metrics, served, info);
    server.handle(
        [&api](http::Request request, const std::shared_ptr<http::Responder>& responder) { api.handle(std::move(request), responder); });
    say_ready(listener, served, info);
    interrupts.wait();
    if (!failed) drain(controller, options, info.job);
    server.stop(info.job ? kJobLastWords : kLastWords);  // before the controller, which handlers use
    if (is_urgent()) {
      spdlog::info("ended by a second signal");
      log.reset();               // which writes it
      _exit(128 + last_signal);  // a step may still run for long
    }
  }
  // A launcher that saw a rank die sends its signal before this process has noticed the death by itself.
  if (const Status health = executor.health(); !failed && !health.ok()) {
    spdlog::critical("the engine failed: {}", health.error().message);
    failed = true;
  }
  spdlog::info("ended");
  return failed ? 70 : 0;
}

}  // namespace shardline::launcher
