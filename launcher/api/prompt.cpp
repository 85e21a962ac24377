#include "launcher/api/prompt.h"

#include <fmt/format.h>

namespace shardline::launcher::api {
namespace {

ApiError too_long(const char* field, const ServedModel& model, std::string_view what) {
  return {400, fmt::format("the context holds {} tokens, but {}", model.context, what), field, "context_length_exceeded"};
}

// BOS at the front, where the model wants it and the text has not brought it.
void add_bos(const Tokenizer& tokenizer, std::vector<TokenId>& ids) {
  const TokenizerSpec& spec = tokenizer.spec();
  if (spec.add_bos && spec.bos >= 0 && (ids.empty() || ids.front() != spec.bos)) ids.insert(ids.begin(), spec.bos);
}

// A token covers at most longest_token bytes, so a longer text cannot fit.
bool surely_too_long(std::size_t bytes, const ServedModel& model, int most) {
  return bytes > static_cast<std::size_t>(most) * model.longest_token;
}

}  // namespace

std::optional<ApiError> encode_text(std::string_view text, bool add_special_tokens, const ServedModel& model, int most,
                                    std::vector<TokenId>& out) {
  if (surely_too_long(text.size(), model, most)) return too_long("prompt", model, fmt::format("the prompt has {} bytes", text.size()));
  out = model.tokenizer->encode(text);
  if (add_special_tokens) add_bos(*model.tokenizer, out);
  return {};
}

std::optional<ApiError> encode_chat(const std::vector<ChatMessage>& messages, bool add_generation_prompt, bool add_special_tokens,
                                    const ServedModel& model, int most, std::vector<TokenId>& out) {
  const Tokenizer& tokenizer = *model.tokenizer;
  const auto text_of = [&](TokenId id) { return id >= 0 ? std::string(tokenizer.bytes(id)) : std::string(); };
  std::size_t bytes = 0;
  for (const ChatMessage& message : messages) bytes += message.content.size();
  if (surely_too_long(bytes, model, most)) return too_long("messages", model, fmt::format("the messages have {} bytes", bytes));
  const auto pieces = model.chat->render({.messages = messages,
                                          .add_generation_prompt = add_generation_prompt,
                                          .bos_token = text_of(tokenizer.spec().bos),
                                          .eos_token = text_of(tokenizer.spec().eos)});
  if (!pieces.ok()) return ApiError{.message = "the chat template refuses these messages: " + pieces.error().message, .param = "messages"};
  out = tokenizer.encode(*pieces);
  if (add_special_tokens) add_bos(tokenizer, out);
  return {};
}

std::optional<ApiError> make_prompts(const CompletionRequest& request, const ServedModel& model, std::vector<GenerateRequest>& out) {
  const char* field = request.chat ? "messages" : "prompt";
  out.assign(request.chat ? 1 : request.prompts.size(), request.generate);
  for (std::size_t i = 0; i < out.size(); ++i) {
    GenerateRequest& g = out[i];
    std::optional<ApiError> fault;
    if (request.chat)
      fault = encode_chat(request.messages, true, request.add_special_tokens, model, model.context, g.prompt);
    else if (const auto* text = std::get_if<std::string>(&request.prompts[i]))
      fault = encode_text(*text, request.add_special_tokens, model, model.context, g.prompt);
    else
      g.prompt = std::get<std::vector<TokenId>>(request.prompts[i]);
    if (fault) return fault;
    if (g.prompt.empty()) return ApiError{.message = fmt::format("{} holds no token", field), .param = field};
    const auto left = model.context - static_cast<std::int64_t>(g.prompt.size());
    if (left < 1) return too_long(field, model, fmt::format("the prompt alone has {}", g.prompt.size()));
    g.max_tokens = request.max_tokens.value_or(static_cast<int>(request.chat ? left : std::min<std::int64_t>(16, left)));
    if (g.max_tokens > left)
      return too_long(request.max_tokens_field, model,
                      fmt::format("the prompt has {} and {} are to follow", g.prompt.size(), g.max_tokens));
  }
  return {};
}

}  // namespace shardline::launcher::api
