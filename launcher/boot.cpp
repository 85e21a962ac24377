#include "launcher/boot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "launcher/agreement.h"
#include "launcher/exit_status.h"
#include "launcher/nearest.h"
#include "launcher/report.h"
#include "parallel/local_executor.h"
#include "parallel/mpi/mpi_executor.h"

namespace shardline::launcher {
namespace {

// Names like that of the first part of the path that does not exist.
std::string similar_names(const std::filesystem::path& path) {
  std::filesystem::path folder = path.is_absolute() ? "/" : ".";
  std::error_code ignored;
  for (const auto& part : path.relative_path()) {
    if (std::filesystem::exists(folder / part, ignored)) {
      folder /= part;
      continue;
    }
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) names.push_back(entry.path().filename().string());
    const auto close = nearest(part.string(), names, 3);
    return close.empty() ? "" : fmt::format("; in {} there is {}", folder.string(), fmt::join(close, ", "));
  }
  return "";
}

// The kernel table that all ranks have.
Result<std::string> agree(const ModelOptions& options, parallel::Job* job, const Result<Model>& model) {
  const auto kernels = allowed_kernels(options.kernels);
  const Status own = !model ? Status(model.error()) : !kernels ? Status(kernels.error()) : Status();
  if (job) {
    const auto agreed = job->agree(make_hello(options, model ? model->file.get() : nullptr, kernels ? *kernels : std::vector<std::string>{},
                                              own ? "" : own.error().message));
    if (own) return agreed;
  }
  if (!own) return own.error();
  return kernels->back();
}

std::string rank_table(const Machine& machine, const parallel::Job* job) {
  auto rows = rank_rows(machine.topology, machine.config(), machine.memory, machine.kv.blocks);
  for (std::size_t rank = 0; rank < rows.size() && job && !job->one_host(); ++rank) rows[rank].host = job->places()[rank].host;
  return topology_table(rows);
}

Status start_executor(Machine& machine, const parallel::ExecutorOptions& options, parallel::Job* job) {
  const auto parts = static_cast<std::size_t>(job ? 1 : machine.topology.world());
  Progress progress("loading", parts);
  std::atomic<std::size_t> part = 0;
  const parallel::StageFactory factory = [&](const StageShape& shape, Collective& tp) {
    return ModelStage::load(*machine.model.file, shape, options.stage, tp, progress.part(part++ % parts));
  };
  if (!job) {
    auto executor = parallel::LocalExecutor::start(machine.topology, factory, options);
    if (!executor) return executor.error();
    machine.executor = std::move(*executor);
    return {};
  }
  if (job->rank() != 0) {
    const Status end = parallel::run_rank(*job, machine.topology, factory, options);
    if (!end && job->rank() == 1 && end.error().message.starts_with("rank 0 ")) note(end.error().message);  // others' ends rank 0 tells
    job->finish(end ? kExitOk : kExitEngine);
  }
  auto executor = parallel::MpiExecutor::start(*job, machine.topology, factory, options);
  if (!executor) return executor.error();
  machine.executor = std::move(*executor);
  return {};
}

void say_what_runs(const Machine& machine, const ModelOptions& options, Duration took) {
  const ModelConfig& config = machine.config();
  if (options.max_model_len > config.context)
    note(fmt::format("warning: the model was trained on {} tokens; answers beyond may be poor", config.context));
  if (options.max_model_len == 0 && machine.kv.context < config.context)
    note(fmt::format("memory holds {} tokens of the {} that the model knows", machine.kv.context, config.context));
  std::size_t block = 0;
  std::size_t largest = 0;
  for (const StageMemory& memory : machine.memory) block += memory.kv_block, largest = std::max(largest, memory.kv_block);
  if (const std::size_t taken = largest * static_cast<std::size_t>(machine.kv.blocks); options.kv_cache_memory >= taken + largest)
    note(fmt::format("--kv-cache-memory {}: {} x {} tokens need no more than {}", size_text(options.kv_cache_memory), options.max_num_seqs,
                     machine.kv.context, size_text(taken)));
  note(fmt::format("{}: {} kernels, {} | tp {} x pp {}, {} thread{} each | KV cache of {} ({} tokens), context {} | loaded in {:.2f} s",
                   config.name, machine.kernels, options.compute == Compute::f32 ? "float32" : "fast", machine.topology.tp(),
                   machine.topology.pp(), machine.threads, machine.threads == 1 ? "" : "s",
                   size_text(block * static_cast<std::size_t>(machine.kv.blocks)), std::int64_t{machine.kv.blocks} * kBlockTokens,
                   machine.kv.context, std::chrono::duration<double>(took).count()));
}

Result<Machine> start(const ModelOptions& options, parallel::Job* job, Result<Model> model) {
  const TimePoint begin = Clock::now();
  const Result<std::string> kernels = agree(options, job, model);
  if (!kernels) return kernels.error();
  const ModelFile& file = *model->file;
  auto topology = parallel::Topology::make(job ? job->world() : options.tp * options.pp, options.tp, options.pp, file.config().layers,
                                           options.pp_layers, stage_costs(file));
  if (!topology) return topology.error();

  parallel::ExecutorOptions executor_options;
  StageOptions& stage = executor_options.stage;
  stage.max_rows = options.max_num_batched_tokens;
  stage.compute = options.compute;
  stage.kernels = *kernels;
  auto memory = rank_memory(file, *topology, stage);
  if (!memory) return memory.error();
  const KvDemand demand{options.max_model_len, file.config().context, options.max_num_seqs, options.kv_cache_memory};
  const auto shares = job ? decide_together(options.threads, demand, *memory, *job) : decide_alone(options.threads, demand, *memory);
  if (!shares) return shares.error();
  stage.threads = shares->threads;
  stage.kv_blocks = shares->kv.blocks;

  Machine machine{std::move(*model), *kernels, std::move(*topology), shares->threads, std::move(*memory), shares->kv};
  machine.table = rank_table(machine, job);
  if (Status started = start_executor(machine, executor_options, job); !started) return started.error();
  machine.limits.max_rows = options.max_num_batched_tokens;
  machine.limits.max_sequences = options.max_num_seqs;
  machine.limits.blocks = machine.kv.blocks;
  machine.limits.context = machine.kv.context;
  machine.limits.depth = machine.executor->depth();
  say_what_runs(machine, options, Clock::now() - begin);
  return machine;
}

}  // namespace

Result<Model> open_model(const std::string& path) {
  Result<ModelFile> file = ModelFile::open(path);
  if (!file) {
    Error error = file.error();
    if (error.code == ErrorCode::not_found) error.message += similar_names(path);
    return error;
  }
  Model model{std::make_unique<ModelFile>(std::move(*file)), {}, {}};
  const TokenizerSpec* spec = model.file->tokenizer();
  if (!spec) return model;
  Result<Tokenizer> tokenizer = Tokenizer::create(*spec);
  if (!tokenizer) return tokenizer.error();
  model.tokenizer = std::move(*tokenizer);
  if (spec->chat_template.empty()) return model;
  Result<ChatTemplate> chat = ChatTemplate::parse(spec->chat_template);
  if (!chat) return chat.error();
  model.chat = std::move(*chat);
  return model;
}

Result<Machine> boot(const ModelOptions& asked, parallel::Job* job, int sequences, const ModelCheck& check) {
  ModelOptions options = asked;
  if (options.max_num_seqs == 0) options.max_num_seqs = sequences;
  Result<Model> model = open_model(options.path);
  if (model && check)
    if (const Status status = check(*model); !status) model = status.error();
  Result<Machine> machine = start(options, job, std::move(model));
  if (!machine && !is_controller(job)) job->finish(exit_status(machine.error().code));
  return machine;
}

}  // namespace shardline::launcher
