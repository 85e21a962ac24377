// The one place where a request from outside becomes a validated value. Nothing behind it checks a field again.
#pragma once
#include <boost/json/fwd.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/text/chat_template.h"
#include "launcher/api/error.h"
#include "launcher/controller.h"

namespace shardline::launcher::api {

// What requests are checked against, and what becomes text and back.
struct ServedModel {
  std::string name;
  int vocab = 0;
  int context = 0;                       // tokens of a sequence, prompt and answer
  std::size_t longest_token = 1;         // bytes
  const Tokenizer* tokenizer = nullptr;  // null: token ids only
  const ChatTemplate* chat = nullptr;    // null: no chat
};

using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest {
  bool chat = false;
  std::vector<ChatMessage> messages;  // chat
  std::vector<Prompt> prompts;        // completion; at least one
  bool add_special_tokens = true;     // BOS before a text prompt, where the model wants one
  GenerateRequest generate;           // all but prompt and max_tokens
  std::optional<int> max_tokens;      // none: 16 for a completion, what the context leaves for a chat
  const char* max_tokens_field = "";  // the name that the request gives it
  bool stream = false;
  bool include_usage = false;     // a last chunk with the usage
  bool continuous_usage = false;  // the usage so far in every chunk
  bool return_token_ids = false;
  bool logprobs() const { return generate.sampling.logprobs >= 0; }
  int choices() const { return static_cast<int>(chat ? 1 : prompts.size()) * generate.n; }
};

// The fault, where there is one; `out` is meaningless then.
std::optional<ApiError> parse_completion(const boost::json::value& body, bool chat, const ServedModel& model, CompletionRequest& out);

// The messages of a chat, also of one that is only tokenised.
std::vector<ChatMessage> parse_messages(const boost::json::object& body, std::optional<ApiError>& fault);

// Whether the request means this model: a name that is absent, empty or equal.
void check_model(const boost::json::object& body, const ServedModel& model, std::optional<ApiError>& fault);

}  // namespace shardline::launcher::api
