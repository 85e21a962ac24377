// From a validated request to what the controller takes: prompts as tokens, and how many tokens each may get.
#pragma once
#include <optional>
#include <vector>

#include "launcher/api/request.h"

namespace shardline::launcher::api {

// One GenerateRequest per prompt. Faults: a prompt without tokens, a template that refuses, more tokens than the context holds.
std::optional<ApiError> make_prompts(const CompletionRequest& request, const ServedModel& model, std::vector<GenerateRequest>& out);

// The tokens of a text or of a chat. `what` is the field that errors name. A text that cannot fit into `most` tokens is not even read.
std::optional<ApiError> encode_text(std::string_view text, bool add_special_tokens, const ServedModel& model, int most,
                                    std::vector<TokenId>& out);
std::optional<ApiError> encode_chat(const std::vector<ChatMessage>& messages, bool add_generation_prompt, bool add_special_tokens,
                                    const ServedModel& model, int most, std::vector<TokenId>& out);

}  // namespace shardline::launcher::api
