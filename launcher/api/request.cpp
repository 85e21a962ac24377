#include "launcher/api/request.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <limits>

#include "launcher/api/fields.h"
#include "launcher/api/neutral_fields.h"

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostChoices = 128;  // n, and prompts times n
constexpr std::int64_t kMostLogprobs = 20;
constexpr std::size_t kMostStops = 16, kMostStopBytes = 4096;
constexpr float kLowestTemperature = 1e-4f;  // below it the division by it says nothing any more: greedy

void read_stop(Fields& fields, GenerateRequest& out) {
  const json::value* value = fields.find("stop");
  if (!value) return;
  const auto add = [&](const json::value& item) {
    if (!item.is_string() || item.get_string().empty()) return fields.refuse("stop", "must be a string or a list of strings, none empty");
    out.stop.emplace_back(item.get_string());
  };
  if (value->is_array() && value->get_array().size() > kMostStops)
    return fields.refuse("stop", fmt::format("holds more than {} strings", kMostStops));
  if (value->is_array())
    for (const json::value& item : value->get_array()) add(item);
  else
    add(*value);
  std::size_t bytes = 0;
  for (const std::string& stop : out.stop) bytes += stop.size();
  if (bytes > kMostStopBytes) fields.refuse("stop", fmt::format("holds more than {} bytes", kMostStopBytes));
}

void read_sampling(Fields& fields, Sampling& s) {
  s.temperature = static_cast<float>(fields.number("temperature", 1, 0, 2));
  if (s.temperature < kLowestTemperature) s.temperature = 0;
  s.top_p = static_cast<float>(fields.number("top_p", 1, 0, 1));
  if (s.top_p <= 0) fields.refuse("top_p", "must be above 0");
  s.top_k = static_cast<std::int32_t>(std::max<std::int64_t>(0, fields.integer("top_k", 0, -1, std::numeric_limits<std::int32_t>::max())));
  s.min_p = static_cast<float>(fields.number("min_p", 0, 0, 1));
  constexpr std::int64_t kLow = std::numeric_limits<std::int64_t>::min(), kHigh = std::numeric_limits<std::int64_t>::max();
  s.seed = fields.find("seed") ? static_cast<std::uint64_t>(fields.integer("seed", 0, kLow, kHigh)) : random_seed();
}

// Chats ask by a switch and a number beside it, completions by the number alone.
void read_logprobs(Fields& fields, bool chat, Sampling& s) {
  if (!chat) {
    s.logprobs = static_cast<std::int32_t>(fields.integer("logprobs", -1, 0, kMostLogprobs));
    return;
  }
  const bool wanted = fields.boolean("logprobs", false);
  const std::int64_t top = fields.integer("top_logprobs", 0, 0, kMostLogprobs);
  if (top > 0 && !wanted) fields.refuse("top_logprobs", "needs logprobs to be true");
  s.logprobs = wanted ? static_cast<std::int32_t>(top) : -1;
}

void read_stream(Fields& fields, std::optional<ApiError>& fault, CompletionRequest& out) {
  out.stream = fields.boolean("stream", false);
  const json::value* options = fields.find("stream_options");
  if (!options) return;
  if (!options->is_object()) return fields.refuse("stream_options", "must be an object");
  if (!out.stream) return fields.refuse("stream_options", "needs stream to be true");
  Fields nested(options->get_object(), fault, "stream_options.");
  out.include_usage = nested.boolean("include_usage", false);
  out.continuous_usage = nested.boolean("continuous_usage_stats", false);
}

void read_max_tokens(Fields& fields, bool chat, CompletionRequest& out) {
  constexpr std::int64_t kHigh = std::numeric_limits<std::int32_t>::max();
  for (const char* key : {"max_tokens", "max_completion_tokens"}) {
    if (!fields.find(key) || (!chat && key != std::string_view("max_tokens"))) continue;
    out.max_tokens = static_cast<int>(fields.integer(key, 16, 1, kHigh));  // where a chat has both, the newer name holds
    out.max_tokens_field = key;
  }
}

void read_prompts(Fields& fields, const ServedModel& model, CompletionRequest& out) {
  const json::value* value = fields.find("prompt");
  if (!value) return fields.refuse("prompt", "is missing");
  const auto ids = [&](const json::value& list) {
    auto tokens = token_ids(list, model.vocab);
    if (!tokens) return fields.refuse("prompt", fmt::format("holds what is not a token id from 0 to {}", model.vocab - 1));
    if (tokens->empty()) return fields.refuse("prompt", "holds no token");
    if (static_cast<int>(out.prompts.size()) < kMostChoices) out.prompts.emplace_back(std::move(*tokens));
  };
  if (value->is_string()) return void(out.prompts.emplace_back(std::string(value->get_string())));
  if (!value->is_array()) return fields.refuse("prompt", "must be a string, a list of strings, or token ids");
  const json::array& list = value->get_array();
  if (list.empty()) return fields.refuse("prompt", "is an empty list");
  if (list[0].is_number()) return ids(*value);
  if (list.size() > static_cast<std::size_t>(kMostChoices))
    return fields.refuse("prompt", fmt::format("holds more than {} prompts", kMostChoices));
  for (const json::value& item : list) {
    if (item.kind() != list[0].kind() || (!item.is_string() && !item.is_array()))
      return fields.refuse("prompt", "must be a string, a list of strings, or token ids");
    if (item.is_string())
      out.prompts.emplace_back(std::string(item.get_string()));
    else
      ids(item);
  }
}

// A string, or parts that are all text and stand on lines of their own.
std::string read_content(const json::value* content, Fields& fields, bool may_be_absent) {
  if (!content) {
    if (!may_be_absent) fields.refuse("content", "is missing");
    return {};
  }
  if (content->is_string()) return std::string(content->get_string());
  if (!content->is_array()) return fields.refuse("content", "must be a string or a list of parts"), std::string();
  std::string text;
  for (std::size_t i = 0; i < content->get_array().size(); ++i) {
    const std::string where = fmt::format("content[{}]", i);
    const json::object* part = content->get_array()[i].if_object();
    const json::value* type = part ? part->if_contains("type") : nullptr;
    if (!type || !type->is_string()) return fields.refuse(where, "must be an object with a type"), std::string();
    if (type->get_string() != "text")
      return fields.refuse(where + ".type", "must be text: this model reads nothing else", "unsupported_content"), std::string();
    const json::value* part_text = part->if_contains("text");
    if (!part_text || !part_text->is_string()) return fields.refuse(where + ".text", "must be a string"), std::string();
    if (i > 0) text += '\n';
    text += std::string_view(part_text->get_string());
  }
  return text;
}

ChatMessage read_message(const json::object& message, Fields& fields) {
  std::string role = fields.text("role", 32);
  if (role == "developer") role = "system";  // OpenAI's newer name for it
  if (role == "tool" || role == "function")
    fields.refuse("role", "must be system, user or assistant: tools are not supported");
  else if (role != "system" && role != "user" && role != "assistant")
    fields.refuse("role", "must be system, user or assistant");
  for (const char* key : {"tool_calls", "function_call", "audio"})
    if (const json::value* value = fields.find(key); value && !(value->is_array() && value->get_array().empty()))
      fields.refuse(key, "is not supported");
  return {role, read_content(fields.find("content"), fields, role == "assistant" && message.contains("content"))};
}

}  // namespace

void check_model(const json::object& body, const ServedModel& model, std::optional<ApiError>& fault) {
  Fields fields(body, fault);
  const json::value* name = fields.find("model");
  if (!name) return;
  if (!name->is_string()) return fields.refuse("model", "must be a string");
  if (name->get_string().empty() || name->get_string() == model.name || fault) return;
  fault = ApiError{404, fmt::format("the model {} does not exist; {} is served", for_log(name->get_string()), model.name), "model",
                   "model_not_found"};
}

std::vector<ChatMessage> parse_messages(const json::object& body, std::optional<ApiError>& fault) {
  Fields fields(body, fault);
  const json::value* list = fields.find("messages");
  std::vector<ChatMessage> messages;
  if (!list || !list->is_array() || list->get_array().empty()) {
    fields.refuse("messages", "must be a list of at least one message");
    return messages;
  }
  for (std::size_t i = 0; i < list->get_array().size() && !fault; ++i) {
    const json::object* message = list->get_array()[i].if_object();
    if (!message) {
      fields.refuse(fmt::format("messages[{}]", i), "must be an object");
      break;
    }
    Fields nested(*message, fault, fmt::format("messages[{}].", i));
    messages.push_back(read_message(*message, nested));
  }
  return messages;
}

std::optional<ApiError> parse_completion(const json::value& body, bool chat, const ServedModel& model, CompletionRequest& out) {
  if (!body.is_object()) return ApiError{.message = "the body must be a JSON object"};
  const json::object& object = body.get_object();
  std::optional<ApiError> fault;
  Fields fields(object, fault);
  out = {};
  out.chat = chat;
  check_model(object, model, fault);
  if (chat && !model.chat)
    fields.refuse("messages",
                  model.tokenizer ? "cannot be read: the model has no chat template" : "cannot be read: the model has no tokenizer");
  if (chat)
    out.messages = parse_messages(object, fault);
  else
    read_prompts(fields, model, out);
  for (const Prompt& prompt : out.prompts)
    if (!model.tokenizer && std::holds_alternative<std::string>(prompt))
      fields.refuse("prompt", "must be token ids: the model has no tokenizer");
  out.add_special_tokens = fields.boolean("add_special_tokens", !chat);
  read_sampling(fields, out.generate.sampling);
  out.generate.n = static_cast<int>(fields.integer("n", 1, 1, kMostChoices));
  if (out.choices() > kMostChoices) fields.refuse("n", fmt::format("times the number of prompts exceeds {}", kMostChoices));
  read_max_tokens(fields, chat, out);
  read_stop(fields, out.generate);
  if (!out.generate.stop.empty() && !model.tokenizer) fields.refuse("stop", "needs a model with a tokenizer");
  out.generate.ignore_eos = fields.boolean("ignore_eos", false);
  constexpr std::int64_t kPriority = std::numeric_limits<std::int32_t>::max();
  out.generate.priority = static_cast<int>(fields.integer("priority", 0, -kPriority, kPriority));
  out.generate.text = model.tokenizer != nullptr;
  read_logprobs(fields, chat, out.generate.sampling);
  read_stream(fields, fault, out);
  out.return_token_ids = fields.boolean("return_token_ids", false) || !model.tokenizer;
  check_neutral(object, out.generate.n, fields);
  return fault;
}

}  // namespace shardline::launcher::api
