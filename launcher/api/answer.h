// Answers as JSON: chat.completion, chat.completion.chunk and text_completion, with vLLM's additions (stop_reason, token_ids).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "launcher/api/request.h"

namespace shardline::launcher::api {

struct Usage {
  int prompt = 0, cached = 0, completion = 0;  // tokens
};

// Of one choice: all that came so far, or the next piece of it.
struct Piece {
  int index = 0;
  std::string text{};
  std::vector<SampleResult> tokens{};
  scheduler::Finish finish = scheduler::Finish::none;
  std::string stop_reason{};
  std::size_t offset = 0;                        // characters of the choice's tokens before these
  const std::vector<TokenId>* prompt = nullptr;  // set where the prompt's ids are to be told
};

class AnswerWriter {
 public:
  AnswerWriter(const CompletionRequest& request, const ServedModel& model);

  const std::string& id() const { return id_; }
  std::string whole(std::span<const Piece> choices, const Usage& usage) const;
  // Events of a stream. `usage` may be null.
  std::string role(const Piece& piece, const Usage* usage) const;
  std::string chunk(const Piece& piece, const Usage* usage) const;
  std::string last(const Usage& usage) const;
  // Characters that the logprobs of these tokens stand for (text_offset).
  std::size_t characters(std::span<const SampleResult> tokens) const;

 private:
  struct Json;  // keeps the JSON library out of this header

  const ServedModel& model_;
  const bool chat_, logprobs_, token_ids_, usage_in_chunks_;
  const std::string id_;
  const std::int64_t created_;
};

std::string valid_utf8(std::string_view bytes);  // broken characters become U+FFFD
// What a token is called in answers: its text, or "token_id:5" where there is no tokenizer.
std::string token_name(const Tokenizer* tokenizer, TokenId id);

}  // namespace shardline::launcher::api
