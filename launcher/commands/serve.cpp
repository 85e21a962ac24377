// shardline serve MODEL: takes the port, loads, answers.
#include <csignal>
#include <filesystem>

#include "launcher/boot.h"
#include "launcher/build_info.h"
#include "launcher/commands/commands.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

constexpr int kSequences = 64;

// What the path ends in: of a GGUF file its stem, of other formats the folder that holds them.
std::string model_name(const std::string& path) {
  std::filesystem::path p = std::filesystem::absolute(path).lexically_normal();
  if (p.has_filename() && std::filesystem::is_regular_file(p))
    return p.extension() == ".safetensors" ? p.parent_path().filename() : p.stem();
  return p.has_filename() ? p.filename() : p.parent_path().filename();
}

}  // namespace

int run_serve(const Options& options, parallel::Job* job) {
  // mpirun signals every rank at once. Rank 0 tells its clients and then the other ranks, which end when it says so or dies.
  if (!is_controller(job))
    for (const int number : {SIGINT, SIGTERM}) std::signal(number, SIG_IGN);
  Result<Listener> listener = is_controller(job) ? Listener::bind(options.serve.host, options.serve.port) : Error{};
  auto machine =
      boot(options.model, job, kSequences, [&](const Model&) { return listener || !is_controller(job) ? Status() : listener.error(); });
  if (!machine) return fail(machine.error());

  ServeOptions serving = options.serve;
  if (serving.served_model_name.empty()) serving.served_model_name = model_name(options.model.path);
  scheduler::Limits limits = machine->limits;
  limits.max_queue = serving.limits.max_queue;
  limits.prefix_cache = serving.limits.prefix_cache;
  limits.policy = serving.limits.policy;
  serving.limits = limits;
  const ServeInfo info{
      build_info().version,   build_info().commit,    machine->kernels, options.model.compute == Compute::f32 ? "f32" : "fast",
      machine->topology.tp(), machine->topology.pp(), job != nullptr,   machine->table};
  return serve(std::move(*listener), *machine->executor, *machine->model.file, machine->tokenizer(), machine->chat(), serving, info);
}

}  // namespace shardline::launcher
