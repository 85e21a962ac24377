// The HTTP server around one executor: takes the port, answers requests, drains, and says how it ended.
//   auto listener = Listener::bind(options.host, options.port);   before the weights are read
//   ... load ...
//   return serve(std::move(*listener), *executor, model, tokenizer, chat, options, info);
#pragma once
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/executor.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "engine/weights/model_file.h"
#include "scheduler/scheduler.h"

namespace shardline::launcher {

struct ServeOptions {
  std::string host = "127.0.0.1";                        // numeric address or name
  int port = 8000;                                       // 0: any that is free
  std::string served_model_name;                         // what requests call the model; must be set
  std::string metrics_prefix = "shardline_";             // of every metric; "vllm:" gives vLLM's own names
  scheduler::Limits limits;                              // blocks must be set; context 0: the model's; depth is the executor's
  Duration step_deadline = std::chrono::seconds(60);     // a step that takes longer counts as lost
  Duration shutdown_timeout = std::chrono::seconds(30);  // what running requests get after the first signal, in one process
};

// What the server says of itself, in /version and in the log.
struct ServeInfo {
  std::string version;  // "0.1.0"
  std::string build;    // commit
  std::string kernels;  // the table that runs
  std::string compute;  // "fast" or "f32"
  int tp = 1, pp = 1;
  bool job = false;      // mpirun or srun started the ranks, and kills them soon after its signal
  std::string topology;  // table of ranks for people; empty: not logged
};

// Holds the port from before the model is loaded. Until serve() takes it over, /livez is answered with 200 and everything else with 503.
class Listener {
 public:
  // Errors: unavailable where the port is in use, naming the process that holds it where /proc tells; usage where the host has no
  // address; io.
  static Result<Listener> bind(const std::string& host, int port);
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  int port() const;
  std::string url() const;  // "http://127.0.0.1:8000"

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Runs until SIGINT or SIGTERM, or until a rank is lost. `tokenizer` and `chat` may be null: the model then speaks token ids, or has no
// chat template. Returns the exit status: 0 after a requested drain, 70 where a rank was lost (every open stream has heard an error).
// A second signal ends running requests, and then the process with 128 + its number.
int serve(Listener listener, Executor& executor, const ModelFile& model, const Tokenizer* tokenizer, const ChatTemplate* chat,
          const ServeOptions& options, const ServeInfo& info);

}  // namespace shardline::launcher
