// shardline inspect MODEL: what the file says, how it can be cut, and what memory its ranks need. Reads no weights.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>
#include <numeric>

#include "engine/model/reduction_tree.h"
#include "launcher/agreement.h"
#include "launcher/boot.h"
#include "launcher/commands/commands.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

constexpr int kServeSequences = 64;

struct TypeTotal {
  std::size_t tensors = 0, bytes = 0;
};

struct Inspection {
  Model model;
  std::string kernels;
  parallel::Topology topology;
  std::vector<StageMemory> memory;  // [rank]
  int attention_leaves = 0, ffn_leaves = 0;
  std::uint64_t free = 0;  // bytes of this machine
  Result<Shares> shares;   // where all ranks run on this machine
  std::map<std::string, TypeTotal> types;
};

Result<Inspection> inspect(const ModelOptions& options) {
  Result<Model> model = open_model(options.path);
  if (!model) return model.error();
  const auto kernels = allowed_kernels(options.kernels);
  if (!kernels) return kernels.error();
  const ModelFile& file = *model->file;
  const ModelConfig& config = file.config();
  auto topology =
      parallel::Topology::make(options.tp * options.pp, options.tp, options.pp, config.layers, options.pp_layers, stage_costs(file));
  if (!topology) return topology.error();
  StageOptions stage;
  stage.max_rows = options.max_num_batched_tokens;
  stage.compute = options.compute;
  stage.kernels = kernels->back();
  auto memory = rank_memory(file, *topology, stage);
  if (!memory) return memory.error();
  const KvDemand demand{options.max_model_len, config.context, options.max_num_seqs ? options.max_num_seqs : kServeSequences,
                        options.kv_cache_memory};
  Result<Shares> shares = decide_alone(options.threads, demand, *memory);
  std::map<std::string, TypeTotal> types;
  for (const Tensor& tensor : file.tensors()) {
    TypeTotal& total = types[std::string(dtype_info(tensor.dtype).name)];
    ++total.tensors;
    total.bytes += tensor.bytes;
  }
  const auto count = [](const LeafPlan& plan) { return static_cast<int>(plan.leaves.size()); };
  return Inspection{std::move(*model),
                    kernels->back(),
                    std::move(*topology),
                    std::move(*memory),
                    count(attention_leaves(config.query_heads, config.kv_heads)),
                    count(column_leaves(config.ffn)),
                    free_memory(),
                    std::move(shares),
                    std::move(types)};
}

std::string rope_text(const RopeConfig& rope) {
  constexpr const char* kNames[] = {"plain", "linear", "llama3", "yarn"};
  const std::string text = fmt::format("theta {:g}, {}", rope.theta, kNames[static_cast<int>(rope.scaling)]);
  return rope.scaling == RopeScaling::none ? text : fmt::format("{} x {:g} from {} tokens", text, rope.factor, rope.original_context);
}

void print_model(const Inspection& i) {
  const ModelConfig& c = i.model.file->config();
  std::size_t bytes = 0, tensors = 0;
  for (const auto& [type, total] : i.types) bytes += total.bytes, tensors += total.tensors;
  fmt::print("{:<14}{} ({}, {}, {})\n", "model", c.name, c.architecture, i.model.file->format(), size_text(bytes));
  fmt::print("{:<14}{} layers, width {}, FFN {}, vocabulary {}{}\n", "shape", c.layers, c.dim, c.ffn, c.vocab,
             c.tied_embeddings ? ", embeddings tied" : "");
  fmt::print("{:<14}{} query and {} KV heads of {}\n", "attention", c.query_heads, c.kv_heads, c.head_dim);
  fmt::print("{:<14}{} tokens trained, rotary {}\n", "context", c.context, rope_text(c.rope));
  if (const TokenizerSpec* spec = i.model.file->tokenizer())
    fmt::print("{:<14}{}, {}, {} tokens{}\n", "tokenizer", spec->model, spec->pre_tokenizer, spec->tokens.size(),
               i.model.chat ? ", chat template" : "");
  else
    fmt::print("{:<14}none: token ids only\n", "tokenizer");
  std::string types;
  for (const auto& [type, total] : i.types)
    types += fmt::format("{}{} {} ({})", types.empty() ? "" : ", ", total.tensors, type, size_text(total.bytes));
  fmt::print("{:<14}{}\n", "tensors", types);
  fmt::print("{:<14}{} of attention, {} of the FFN: --tp up to {}\n", "leaves", i.attention_leaves, i.ffn_leaves, i.attention_leaves);
}

void print_ranks(const Inspection& i) {
  fmt::print("\ntp {} x pp {}, {} kernels\n", i.topology.tp(), i.topology.pp(), i.kernels);
  fmt::print("{}", topology_table(rank_rows(i.topology, i.model.file->config(), i.memory, i.shares ? i.shares->kv.blocks : 0)));
  std::size_t weights = 0, scratch = 0, block = 0, largest = 0;
  for (const StageMemory& m : i.memory)
    weights += m.weights, scratch += m.scratch, block += m.kv_block, largest = std::max(largest, m.kv_block);
  fmt::print("{:<14}weights {}, buffers {}, KV cache {} per token ({} on the fullest rank)\n", "memory", size_text(weights),
             size_text(scratch), size_text(block / kBlockTokens), size_text(largest / kBlockTokens));
  if (!i.shares) return fmt::print("{:<14}{}\n", "fits", i.shares.error().message);
  const KvPlan& kv = i.shares->kv;
  fmt::print("{:<14}on this machine, {} free: a KV cache of {} tokens ({}); a sequence may have {}\n", "fits", size_text(i.free),
             std::int64_t{kv.blocks} * kBlockTokens, size_text(block * static_cast<std::size_t>(kv.blocks)), kv.context);
}

void print_tensors(const ModelFile& file) {
  fmt::print("\n{:<44}{:>8}{:>10}{:>10}{:>14}\n", "tensor", "type", "rows", "columns", "bytes");
  for (const Tensor& t : file.tensors())
    fmt::print("{:<44}{:>8}{:>10}{:>10}{:>14}\n", t.name, dtype_info(t.dtype).name, t.rows, t.columns, t.bytes);
}

boost::json::object config_json(const ModelConfig& c) {
  return {{"architecture", c.architecture},
          {"name", c.name},
          {"layers", c.layers},
          {"dim", c.dim},
          {"ffn", c.ffn},
          {"query_heads", c.query_heads},
          {"kv_heads", c.kv_heads},
          {"head_dim", c.head_dim},
          {"vocab", c.vocab},
          {"context", c.context},
          {"tied_embeddings", c.tied_embeddings},
          {"rope", rope_text(c.rope)},
          {"eos", boost::json::value_from(c.eos)},
          {"bos", c.bos}};
}

boost::json::array ranks_json(const Inspection& i) {
  boost::json::array ranks;
  const auto run = [](const Run& r) { return boost::json::array{r.begin, r.end}; };
  for (const parallel::RankRow& row : topology_rows(i.topology, i.model.file->config())) {
    const StageMemory& m = i.memory[static_cast<std::size_t>(row.rank)];
    ranks.push_back(boost::json::object{{"rank", row.rank},
                                        {"stage", row.stage},
                                        {"tp_rank", row.tp_rank},
                                        {"layers", run(row.layers)},
                                        {"query_heads", run(row.query_heads)},
                                        {"kv_heads", run(row.kv_heads)},
                                        {"weights_bytes", m.weights},
                                        {"kv_bytes_per_token", m.kv_block / kBlockTokens},
                                        {"scratch_bytes", m.scratch}});
  }
  return ranks;
}

void print_json(const Inspection& i, bool all_tensors) {
  boost::json::object types;
  for (const auto& [type, total] : i.types) types[type] = boost::json::object{{"tensors", total.tensors}, {"bytes", total.bytes}};
  boost::json::object object{{"format", i.model.file->format()},
                             {"config", config_json(i.model.file->config())},
                             {"tensor_types", types},
                             {"attention_leaves", i.attention_leaves},
                             {"ffn_leaves", i.ffn_leaves},
                             {"max_tp", i.attention_leaves},
                             {"kernels", i.kernels},
                             {"tp", i.topology.tp()},
                             {"pp", i.topology.pp()},
                             {"ranks", ranks_json(i)},
                             {"free_bytes", i.free}};
  if (i.shares)
    object["fits"] =
        boost::json::object{{"kv_tokens", std::int64_t{i.shares->kv.blocks} * kBlockTokens}, {"context", i.shares->kv.context}};
  if (all_tensors) {
    boost::json::array tensors;
    for (const Tensor& t : i.model.file->tensors())
      tensors.push_back(boost::json::object{
          {"name", t.name}, {"type", dtype_info(t.dtype).name}, {"rows", t.rows}, {"columns", t.columns}, {"bytes", t.bytes}});
    object["tensors"] = std::move(tensors);
  }
  fmt::print("{}\n", boost::json::serialize(object));
}

}  // namespace

int run_inspect(const Options& options) {
  const auto inspection = inspect(options.model);
  if (!inspection) return fail(inspection.error());
  if (options.json) {
    print_json(*inspection, options.all_tensors);
    return 0;
  }
  print_model(*inspection);
  print_ranks(*inspection);
  if (options.all_tensors) print_tensors(*inspection->model.file);
  return 0;
}

}  // namespace shardline::launcher
