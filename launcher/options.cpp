#include "launcher/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "launcher/build_info.h"
#include "launcher/commands/shape.h"
#include "launcher/exit_status.h"
#include "launcher/nearest.h"

namespace shardline::launcher {
namespace {

// Options of this group are shown by --help-all alone.
constexpr const char* kMore = "More options";

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(42);
    label("Positionals", "Arguments");
    label("SUBCOMMAND", "COMMAND");
  }
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    if (mode != CLI::AppFormatMode::Sub) all_ = mode == CLI::AppFormatMode::All;
    return CLI::Formatter::make_help(app, std::move(name), mode);
  }
  std::string make_group(std::string group, bool positional, std::vector<const CLI::Option*> options) const override {
    return group == kMore && !all_ ? "" : CLI::Formatter::make_group(std::move(group), positional, std::move(options));
  }

  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    if (const auto at = name.find("{false}"); at != std::string::npos) name.erase(at, 7);  // how the parser writes a negation
    return name;
  }

  // What an option takes and what it is by default; ranges and exclusions are told when they are broken.
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    std::string kind = option->get_option_text();
    if (kind.empty()) {
      const std::string type = option->get_type_name().substr(0, option->get_type_name().find(':'));
      kind = type == "INT" || type == "UINT" ? "N" : type == "FLOAT" ? "X" : type;
    }
    return option->get_default_str().empty() ? " " + kind : fmt::format(" {}={}", kind, option->get_default_str());
  }

 private:
  mutable bool all_ = false;
};

void add_json(CLI::App& app, Options& o) { app.add_flag("--json", o.json, "print one JSON object"); }

void add_model(CLI::App& app, ModelOptions& m) {
  app.add_option("model", m.path, "a .gguf file, a .safetensors file, or a folder with either")->required()->option_text(" ");
  app.add_option("--tp,--tensor-parallel-size", m.tp, "ranks that share each layer's heads and columns")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--pp,--pipeline-parallel-size", m.pp, "stages that the layers are cut into")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--threads,-t", m.threads, "threads of each rank (its share of the cores)")->check(CLI::Range(1, 1024));
  app.add_option("--max-model-len,--ctx-size,-c", m.max_model_len, "tokens of a sequence (the model's, or what fits)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--kernels", m.kernels, "auto, scalar, avx2 or avx512")
      ->envname("SHARDLINE_KERNELS")
      ->capture_default_str()
      ->option_text("TABLE");
  app.add_option("--pp-layers", m.pp_layers, "layers of each stage, as 8,8,7,7 (balanced)")
      ->delimiter(',')
      ->group(kMore)
      ->option_text("N,N,...");
  app.add_option("--compute", m.compute, "fast, or f32: all in float32, for comparison")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Compute>{{"fast", Compute::fast}, {"f32", Compute::f32}}))
      ->group(kMore)
      ->option_text("PATH");
  app.add_option("--max-num-seqs,--parallel", m.max_num_seqs, "sequences that run at once (serve: 64)")
      ->check(CLI::Range(1, 4096))
      ->group(kMore);
  app.add_option("--max-num-batched-tokens", m.max_num_batched_tokens, "tokens of a step, prompts and answers")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str()
      ->group(kMore);
  app.add_option("--kv-cache-memory", m.kv_cache_memory, "KV cache of each rank, as 512MiB (half of what is free)")
      ->transform(CLI::AsSizeValue(false))
      ->group(kMore)
      ->option_text("BYTES");
  using parallel::Transport;
  app.add_option("--transport", m.transport, "between ranks: auto, shm or mpi")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Transport>{{"auto", Transport::automatic}, {"shm", Transport::shm}, {"mpi", Transport::mpi}}))
      ->group(kMore)
      ->option_text("KIND");
}

void add_seconds(CLI::App& app, const std::string& name, Duration& value, const std::string& text) {
  app.add_option_function<double>(
         name, [&value](double s) { value = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s)); }, text)
      ->check(CLI::Range(0.0, 1e6))
      ->option_text("SECONDS")
      ->group(kMore);
}

void add_serve(CLI::App& app, Options& o) {
  ServeOptions& s = o.serve;
  add_model(app, o.model);
  app.add_option("--host", s.host, "address to listen on")->capture_default_str();
  app.add_option("--port", s.port, "port to listen on; 0: any")->check(CLI::Range(0, 65535))->capture_default_str();
  app.add_option("--served-model-name", s.served_model_name, "what requests call the model (its file's name)");
  app.add_option("--metrics-prefix", s.metrics_prefix, "of every metric; vllm: gives vLLM's names")->capture_default_str()->group(kMore);
  app.add_option("--max-num-queued-reqs", s.limits.max_queue, "requests that may wait; one more gets 429")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->group(kMore);
  using scheduler::Policy;
  app.add_option("--scheduling-policy", s.limits.policy, "fcfs or priority")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Policy>{{"fcfs", Policy::fcfs}, {"priority", Policy::priority}}))
      ->group(kMore)
      ->option_text("POLICY");
  app.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", s.limits.prefix_cache, "reuse the KV of equal beginnings (on)")
      ->group(kMore);
  add_seconds(app, "--step-deadline", s.step_deadline, "a step that takes longer counts as lost (60)");
  add_seconds(app, "--shutdown-timeout", s.shutdown_timeout,
              "what running requests get after a signal (30); ranks under mpirun end at once");
}

void add_generate(CLI::App& app, Options& o) {
  GenerateOptions& g = o.generate;
  add_model(app, o.model);
  add_json(app, o);
  auto* prompt = app.add_option("--prompt,-p", g.prompt, "text to continue (standard input; on a terminal: a chat)");
  app.add_option("--prompt-ids", g.prompt_ids, "token ids to continue, as 1,2,3")->delimiter(',')->excludes(prompt)->option_text("N,N,...");
  app.add_flag_function(
      "--chat,!--raw", [&g](std::int64_t yes) { g.chat = yes > 0; }, "the prompt is a message (--chat) or plain text (--raw)");
  app.add_option("--max-tokens,-n", g.max_tokens, "tokens to generate")->check(CLI::Range(1, 1 << 24))->capture_default_str();
  app.add_option("--temperature", g.sampling.temperature, "0: always the likeliest token")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-p", g.sampling.top_p, "likeliest tokens that hold this probability")->check(CLI::Range(0.0, 1.0))->group(kMore);
  app.add_option("--top-k", g.sampling.top_k, "that many likeliest tokens; 0: all")->check(CLI::NonNegativeNumber)->group(kMore);
  app.add_option("--min-p", g.sampling.min_p, "tokens above this share of the likeliest one's probability")
      ->check(CLI::Range(0.0, 1.0))
      ->group(kMore);
  app.add_option("--seed", g.seed, "of the random numbers (a new one)");
  app.add_option("--stop", g.stop, "text that ends the answer; may be repeated")->allow_extra_args(false)->group(kMore);
  app.add_flag("--ignore-eos", g.ignore_eos, "go on after the token that ends an answer")->group(kMore);
}

void add_inspect(CLI::App& app, Options& o) {
  add_model(app, o.model);
  add_json(app, o);
  app.add_flag("--tensors", o.all_tensors, "list every tensor");
}

void add_perplexity(CLI::App& app, Options& o) {
  add_model(app, o.model);
  app.add_option("file", o.text_file, "text to measure, at least 512 tokens")->required()->option_text(" ");
  add_json(app, o);
}

void add_bench(CLI::App& app, Options& o) {
  BenchOptions& b = o.bench;
  add_model(app, o.model);
  app.get_option("model")->required(false);
  add_json(app, o);
  app.add_flag("--machine", b.machine, "measure memory bandwidth and arithmetic, no model");
  app.add_option("--prefill", b.prefill, "tokens of a prompt; 0: none")->check(CLI::Range(0, 1 << 20))->capture_default_str();
  app.add_option("--batch", b.batch, "sequences that decode together")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--context", b.context, "tokens that each has before")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--steps", b.steps, "tokens that each gets; 0: no decode")->check(CLI::Range(0, 1 << 20))->capture_default_str();
  app.add_option("--repeat", b.repeat, "measurements; the median counts")->check(CLI::Range(1, 1000))->capture_default_str();
}

void add_synthesize(CLI::App& app, Options& o) {
  SynthesizeOptions& s = o.synthesize;
  app.add_option("out", s.out, "the .gguf file to write")->required()->option_text(" ");
  app.add_option("--shape", s.shape, "tiny, smollm2-135m or 1b, or layers=2,dim=256,ffn=512,heads=4,kv-heads=2,head-dim=64")
      ->required()
      ->check(CLI::Validator([](const std::string& text) { return parse_shape(text) ? "" : parse_shape(text).error().message; }, ""))
      ->option_text("SHAPE");
  app.add_option("--tokenizer", s.tokenizer, "a .gguf file whose tokenizer is copied")->required()->option_text("FILE");
  app.add_option("--seed", s.seed, "of the random weights")->capture_default_str();
  app.add_flag("--force", s.force, "overwrite the file");
}

struct Entry {
  Command command;
  const char* name;
  const char* what;
  void (*add)(CLI::App&, Options&);
};
constexpr Entry kCommands[] = {
    {Command::serve, "serve", "answer requests over HTTP (OpenAI's API)", add_serve},
    {Command::generate, "generate", "continue a prompt, or chat on the terminal", add_generate},
    {Command::inspect, "inspect", "what a model is, and what memory its ranks need", add_inspect},
    {Command::perplexity, "perplexity", "how well the model predicts a text", add_perplexity},
    {Command::bench, "bench", "tokens per second, and the machine's limits", add_bench},
    {Command::synthesize, "synthesize", "a model file of any shape with random weights, to measure", add_synthesize},
    {Command::version, "version", "version, build, and kernels that this CPU can run", add_json},
};

// The first argument that looks like an option of `app` and is none, with the nearest that exists.
std::string unknown_option(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    for (const std::string& name : option->get_fnames()) known.push_back("--" + name);
  }
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const std::string name = argument.substr(0, argument.find('='));
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto close = nearest(name, known);
    return fmt::format("unknown option {}{}", name, close.empty() ? "" : fmt::format("; did you mean {}?", close.front()));
  }
  return "";
}

std::string explain(const CLI::App& root, const std::vector<std::string>& arguments, const CLI::ParseError& error) {
  std::vector<std::string> names;
  for (const Entry& entry : kCommands) names.emplace_back(entry.name);
  if (arguments.empty()) return fmt::format("a command is missing: {}", fmt::join(names, ", "));
  const auto parsed = root.get_subcommands();
  if (!parsed.empty()) {
    const std::string unknown = unknown_option(*parsed.front(), arguments);
    return unknown.empty() ? error.what() : unknown;
  }
  if (arguments.front().starts_with("-")) return unknown_option(root, arguments);
  const auto close = nearest(arguments.front(), names);
  return fmt::format(
      "unknown command {}{}", arguments.front(),
      close.empty() ? fmt::format("; there are {}", fmt::join(names, ", ")) : fmt::format("; did you mean {}?", close.front()));
}

}  // namespace

std::variant<Options, Exit> parse_options(int argc, const char* const* argv) {
  Options options;
  CLI::App root{"Serves language models over tensor x pipeline ranks, with the same bits however it is run.", "shardline"};
  root.formatter(std::make_shared<HelpFormatter>());
  root.set_help_flag("--help,-h", "print the common options");
  root.set_help_all_flag("--help-all", "print all options");
  root.set_version_flag("--version", std::string(build_info().version));
  root.require_subcommand(1);
  root.footer("shardline COMMAND --help tells more; --help-all tells all.");
  for (const Entry& entry : kCommands) {
    CLI::App* sub = root.add_subcommand(entry.name, entry.what);
    entry.add(*sub, options);
    sub->footer(sub->get_options([](const CLI::Option* o) { return o->get_group() == kMore; }).empty()
                    ? ""
                    : "--help-all shows the other options.");
    sub->callback([&options, command = entry.command] { options.command = command; });
  }

  std::vector<std::string> arguments(argv + std::min(1, argc), argv + argc);
  try {
    root.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForVersion&) {
    return Exit{kExitOk, fmt::format("shardline {}\n", build_info().version)};
  } catch (const CLI::CallForHelp&) {
    return Exit{kExitOk, root.help()};
  } catch (const CLI::CallForAllHelp&) {
    return Exit{kExitOk, root.help("", CLI::AppFormatMode::All)};
  } catch (const CLI::ParseError& error) {
    return Exit{kExitUsage, fmt::format("shardline: {}\n", explain(root, arguments, error))};
  }
  if (options.command == Command::bench && options.model.path.empty() && !options.bench.machine)
    return Exit{kExitUsage, "shardline: bench needs a model, or --machine\n"};
  if (options.generate.prompt && options.generate.prompt->empty()) return Exit{kExitUsage, "shardline: the prompt is empty\n"};
  return options;
}

}  // namespace shardline::launcher
