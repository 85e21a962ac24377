// From options to a model that runs:
//   options -> model file -> (mpirun: agreement of all ranks) -> topology -> memory -> stages -> Executor
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "engine/weights/model_file.h"
#include "launcher/memory_plan.h"
#include "launcher/options.h"
#include "parallel/mpi/job.h"
#include "parallel/topology.h"

namespace shardline::launcher {

// What the controller knows of a model. `file` keeps its address.
struct Model {
  std::unique_ptr<ModelFile> file;
  std::optional<Tokenizer> tokenizer;  // none: the model speaks token ids
  std::optional<ChatTemplate> chat;
};
// Errors: as ModelFile::open, where not_found names files of about that name; bad_model of the tokenizer or the template.
Result<Model> open_model(const std::string& path);

// A model that runs. The executor ends before the file that it reads.
struct Machine {
  Model model;
  std::string kernels;  // the table that runs
  parallel::Topology topology;
  int threads = 1;                    // of each rank
  std::vector<StageMemory> memory{};  // [rank]
  KvPlan kv{};
  scheduler::Limits limits{};  // of options, memory and executor
  std::string table{};         // of ranks, for people
  std::unique_ptr<Executor> executor{};

  const ModelConfig& config() const { return model.file->config(); }
  const Tokenizer* tokenizer() const { return model.tokenizer ? &*model.tokenizer : nullptr; }
  const ChatTemplate* chat() const { return model.chat ? &*model.chat : nullptr; }
};

// Whether this process is the one that answers: the only one, or rank 0.
inline bool is_controller(const parallel::Job* job) { return !job || job->rank() == 0; }

// What a command asks of the model before its weights are read. An error stops every rank.
using ModelCheck = std::function<Status(const Model&)>;

// `job` is null in one process. `sequences`: how many run at once where the options do not say. `check` is called on every rank.
// Returns on the controller only: other ranks serve plans and end by job->finish().
Result<Machine> boot(const ModelOptions& options, parallel::Job* job, int sequences, const ModelCheck& check = {});

}  // namespace shardline::launcher
