// shardline generate MODEL: continues a prompt, or chats on a terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <random>

#include "launcher/boot.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/text_input.h"
#include "launcher/controller.h"
#include "launcher/exit_status.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

struct Answer {
  std::vector<TokenId> tokens;
  std::string text, error;
  std::uint64_t logits_hash = 0xcbf29ce484222325;  // FNV-1a over the steps' hashes, lowest byte first
  scheduler::Finish finish = scheduler::Finish::none;
  int prompt_tokens = 0;
  TimePoint begin = Clock::now(), first, last;
};

double seconds_between(TimePoint a, TimePoint b) { return std::chrono::duration<double>(b - a).count(); }

// After the first token, which the prompt is part of.
double decode_rate(const Answer& answer) {
  const double seconds = seconds_between(answer.first, answer.last);
  return seconds > 0 ? static_cast<double>(answer.tokens.size() - 1) / seconds : 0;
}

void add_to_hash(std::uint64_t& hash, std::uint64_t value) {
  for (int byte = 0; byte < 8; ++byte) hash = (hash ^ (value >> (8 * byte) & 0xFF)) * 0x100000001b3;
}

const char* finish_name(scheduler::Finish finish) {
  switch (finish) {
    case scheduler::Finish::stop: return "stop";
    case scheduler::Finish::length: return "length";
    default: return "error";
  }
}

class Generator {
 public:
  Generator(Machine& machine, const GenerateOptions& options)
      : machine_(machine), options_(options), controller_(*machine.executor, machine.tokenizer(), {machine.limits, machine.config().eos}) {
    seed_ = options.seed ? *options.seed : std::random_device{}() | std::uint64_t{std::random_device{}()} << 32;
  }

  std::uint64_t seed() const { return seed_; }

  // Shows the text as it comes where `show` says so.
  Result<Answer> answer(std::vector<TokenId> prompt, bool show) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.sampling = options_.sampling;
    request.sampling.seed = seed_;
    request.sampling.hash_logits = true;
    request.max_tokens = std::min(options_.max_tokens, machine_.kv.context - static_cast<int>(request.prompt.size()));
    request.ignore_eos = options_.ignore_eos;
    request.stop = options_.stop;
    request.text = machine_.tokenizer() != nullptr;
    if (request.max_tokens < 1)
      return Error{ErrorCode::usage, fmt::format("the prompt has {} tokens, the context {}", request.prompt.size(), machine_.kv.context),
                   "--max-model-len"};
    Answer answer;
    answer.prompt_tokens = static_cast<int>(request.prompt.size());
    std::mutex mutex;
    std::condition_variable ended;
    const auto id = controller_.submit(std::move(request), [&](const GenerateEvent& event) {
      const std::scoped_lock lock(mutex);
      take(event, answer, show);
      if (answer.finish != scheduler::Finish::none) ended.notify_one();
    });
    if (!id) return id.error();
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return answer.finish != scheduler::Finish::none; });  // the controller's step deadline bounds it
    if (!answer.error.empty()) return Error{ErrorCode::lost, answer.error, ""};
    return answer;
  }

 private:
  static void take(const GenerateEvent& event, Answer& answer, bool show) {
    answer.last = Clock::now();
    if (answer.tokens.empty()) answer.first = answer.last;
    for (const SampleResult& sample : event.tokens) {
      answer.tokens.push_back(sample.token);
      add_to_hash(answer.logits_hash, sample.logits_hash);
    }
    answer.text += event.text;
    if (show) {
      std::fwrite(event.text.data(), 1, event.text.size(), stdout);
      std::fflush(stdout);
    }
    answer.finish = event.finish;
    answer.error = event.error;
  }

  Machine& machine_;
  const GenerateOptions& options_;
  Controller controller_;
  std::uint64_t seed_;
};

std::vector<TokenId> encode_text(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> ids = tokenizer.encode(text);
  if (tokenizer.spec().add_bos && tokenizer.spec().bos >= 0) ids.insert(ids.begin(), tokenizer.spec().bos);
  return ids;
}

Result<std::vector<TokenId>> encode_chat(const Model& model, const std::vector<ChatMessage>& messages) {
  const auto text_of = [&](TokenId id) { return id >= 0 ? std::string(model.tokenizer->bytes(id)) : ""; };
  const TokenizerSpec& spec = model.tokenizer->spec();
  ChatTemplateInput input;
  input.messages = messages;
  input.bos_token = text_of(spec.bos);
  input.eos_token = text_of(spec.eos);
  auto pieces = model.chat->render(input);
  if (!pieces) return pieces.error();
  return model.tokenizer->encode(*pieces);
}

Error no_tokenizer() { return {ErrorCode::usage, "the model has no tokenizer: give --prompt-ids", "--prompt"}; }

// The tokens that the options name, or those of `text`.
Result<std::vector<TokenId>> prompt_tokens(const Model& model, const GenerateOptions& options, const std::string& text) {
  std::vector<TokenId> ids = options.prompt_ids;
  if (ids.empty()) {
    if (!model.tokenizer) return no_tokenizer();
    const bool chat = options.chat.value_or(false);
    if (chat && !model.chat) return Error{ErrorCode::usage, "the model has no chat template", "--chat"};
    if (Status valid = check_utf8(text, "the prompt"); !valid) return valid.error();
    Result<std::vector<TokenId>> encoded = chat ? encode_chat(model, {{"user", text}}) : encode_text(*model.tokenizer, text);
    if (!encoded) return encoded.error();
    ids = std::move(*encoded);
  }
  if (ids.empty()) return Error{ErrorCode::usage, "the prompt holds no token", "--prompt"};
  const int vocab = model.file->config().vocab;
  for (const TokenId id : ids)
    if (id < 0 || id >= vocab)
      return Error{ErrorCode::usage, fmt::format("token {} is not in the vocabulary of {}", id, vocab), "--prompt-ids"};
  return ids;
}

std::string hash_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

void print_json(const Machine& machine, const Answer& answer, std::uint64_t seed) {
  const boost::json::object object{{"model", machine.config().name},
                                   {"token_ids", boost::json::value_from(answer.tokens)},
                                   {"text", answer.text},
                                   {"finish_reason", finish_name(answer.finish)},
                                   {"logits_hash", hash_text(answer.logits_hash)},
                                   {"prompt_tokens", answer.prompt_tokens},
                                   {"completion_tokens", answer.tokens.size()},
                                   {"seed", seed},
                                   {"kernels", machine.kernels},
                                   {"tp", machine.topology.tp()},
                                   {"pp", machine.topology.pp()},
                                   {"threads", machine.threads},
                                   {"first_token_seconds", seconds_between(answer.begin, answer.first)},
                                   {"tokens_per_second", decode_rate(answer)}};
  fmt::print("{}\n", boost::json::serialize(object));
}

void say_rates(const Answer& answer) {
  const double first = seconds_between(answer.begin, answer.first);
  note(fmt::format("{} prompt tokens, first token after {:.2f} s; {} tokens, {:.1f} tokens/s", answer.prompt_tokens, first,
                   answer.tokens.size(), decode_rate(answer)));
}

int answer_once(Machine& machine, const Options& options, std::vector<TokenId> prompt) {
  Generator generator(machine, options.generate);
  const auto answer = generator.answer(std::move(prompt), !options.json);
  if (!answer) return fail(answer.error());
  if (options.json) {
    print_json(machine, *answer, generator.seed());
    return 0;
  }
  if (!machine.tokenizer()) fmt::print("{}", fmt::join(answer->tokens, ","));
  fmt::print("\n");
  std::fflush(stdout);
  say_rates(*answer);
  return 0;
}

// Until the end of input. Each answer becomes part of the conversation; the prefix cache keeps what was computed.
int converse(Machine& machine, const GenerateOptions& options) {
  const bool chat = machine.model.chat && options.chat.value_or(true);
  Generator generator(machine, options);
  std::vector<ChatMessage> messages;
  for (std::string line; fmt::print(stderr, "> "), std::getline(std::cin, line);) {
    if (line.empty()) continue;
    if (const Status valid = check_utf8(line, "the line"); !valid) {
      note(valid.error().message);
      continue;
    }
    messages.push_back({"user", line});
    auto prompt = chat ? encode_chat(machine.model, messages) : encode_text(*machine.tokenizer(), line);
    if (!prompt) return fail(prompt.error());
    const auto answer = generator.answer(std::move(*prompt), true);
    fmt::print("\n");
    std::fflush(stdout);
    if (!answer) return fail(answer.error());
    say_rates(*answer);
    messages.push_back({"assistant", answer->text});
  }
  fmt::print(stderr, "\n");
  return 0;
}

}  // namespace

int run_generate(const Options& options, parallel::Job* job) {
  const GenerateOptions& g = options.generate;
  const bool given = g.prompt || !g.prompt_ids.empty();
  const bool person = !given && !options.json && !job && isatty(STDIN_FILENO);
  const bool later = person || (!given && job);  // the other ranks of a job do not wait for whoever types
  bool empty = false;
  std::vector<TokenId> prompt;
  const ModelCheck speaks = [](const Model& model) { return model.tokenizer ? Status() : no_tokenizer(); };
  const ModelCheck read_prompt = [&](const Model& model) -> Status {
    const std::string text = given ? g.prompt.value_or("") : read_standard_input();
    empty = text.empty() && g.prompt_ids.empty();
    if (empty) return Error{ErrorCode::usage, "the prompt is empty", "--prompt"};
    auto tokens = prompt_tokens(model, g, text);
    if (!tokens) return tokens.error();
    prompt = std::move(*tokens);
    return {};
  };
  auto machine = boot(options.model, job, 1, later ? speaks : read_prompt);
  Status ready = machine ? Status() : Status(machine.error());
  if (ready && later && !person) ready = read_prompt(machine->model);
  if (!ready) {
    const int status = fail(ready.error());
    return empty ? kExitUsage : status;
  }
  return person ? converse(*machine, g) : answer_once(*machine, options, std::move(prompt));
}

}  // namespace shardline::launcher
