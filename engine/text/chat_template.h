// Renders a conversation with the model's own chat template (a Jinja program from the model file).
#pragma once
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/text/tokenizer.h"

namespace shardline {

struct ChatMessage {
  std::string role;
  std::string content;
};

struct ChatTemplateInput {
  std::vector<ChatMessage> messages{};
  bool add_generation_prompt = true;
  std::string bos_token{}, eos_token{};
  std::optional<std::time_t> now{};  // what strftime_now gives; none: the clock's
};

class ChatTemplate {
 public:
  // Errors: bad_model with the line in the template.
  static Result<ChatTemplate> parse(const std::string& source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Text that comes from the template parses special tokens; text that comes from a message does not, whatever filters it went
  // through. Bounded in steps, depth and output. Errors: invalid_argument (raise_exception, a limit, a type error), with the line.
  Result<std::vector<TextPiece>> render(const ChatTemplateInput& input) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline
