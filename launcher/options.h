// The command line as values. CLI11 stays in options.cpp, where every option is declared once.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/model/model_stage.h"
#include "launcher/serve.h"
#include "parallel/mpi/job.h"

namespace shardline::launcher {

enum class Command { serve, generate, inspect, perplexity, bench, synthesize, version };

// Of every command that knows a model.
struct ModelOptions {
  std::string path;
  int tp = 1, pp = 1;
  std::vector<int> pp_layers;  // layers of each stage; empty: balanced
  int threads = 0;             // of each rank; 0: its share of the cores
  std::string kernels = "auto";
  Compute compute = Compute::fast;
  int max_model_len = 0;              // tokens of a sequence; 0: the trained context, or what fits
  int max_num_seqs = 0;               // sequences that run at once; 0: the command's own default
  int max_num_batched_tokens = 512;   // rows of a plan
  std::uint64_t kv_cache_memory = 0;  // bytes per rank; 0: a share of the free memory
  parallel::Transport transport = parallel::Transport::automatic;
};

struct GenerateOptions {
  std::optional<std::string> prompt;
  std::vector<TokenId> prompt_ids;
  std::optional<bool> chat;  // whether the prompt is a message; none: only when a person types
  int max_tokens = 256;
  Sampling sampling;
  std::optional<std::uint64_t> seed;  // none: a new one
  std::vector<std::string> stop;
  bool ignore_eos = false;
};

struct BenchOptions {
  bool machine = false;  // measure the machine and not a model
  int prefill = 0;       // tokens of a prompt; 0: no prefill
  int batch = 1;         // sequences that decode together
  int context = 128;     // tokens that each of them has
  int steps = 64;        // tokens that each of them gets; 0: no decode
  int repeat = 3;
};

struct SynthesizeOptions {
  std::string out;        // a GGUF file to write
  std::string shape;      // parse_shape() takes it
  std::string tokenizer;  // a GGUF file whose tokenizer is copied
  std::uint64_t seed = 1;
  bool force = false;  // overwrite
};

struct Options {
  Command command = Command::version;
  bool json = false;
  ModelOptions model;
  ServeOptions serve;
  GenerateOptions generate;
  BenchOptions bench;
  SynthesizeOptions synthesize;
  std::string text_file;     // perplexity
  bool all_tensors = false;  // inspect
};

// Help, version or a mistake: what to print and how to end.
struct Exit {
  int code = 0;
  std::string text;  // to standard output where code is 0, else to standard error
};

std::variant<Options, Exit> parse_options(int argc, const char* const* argv);

}  // namespace shardline::launcher
