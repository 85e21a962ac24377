#include "engine/text/chat_template.h"

#include <fmt/core.h>

#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/parser.h"

namespace shardline {
namespace {

constexpr std::size_t kMaxSource = 1u << 20;
constexpr std::size_t kMaxOutput = 8u << 20;

std::string with_line(const jinja::TemplateError& error) { return fmt::format("chat template line {}: {}", error.line, error.what()); }

jinja::Value message_list(const std::vector<ChatMessage>& messages) {
  jinja::List list;
  for (const ChatMessage& message : messages) {
    jinja::Dict dict;
    dict.set("role", jinja::to_text(message.role, true));
    dict.set("content", jinja::to_text(message.content, true));
    list.items.emplace_back(std::move(dict));
  }
  return list;
}

// The names that transformers gives to templates.
std::vector<std::pair<std::string_view, jinja::Value>> globals(const ChatTemplateInput& input) {
  return {{"messages", message_list(input.messages)},
          {"add_generation_prompt", input.add_generation_prompt},
          {"bos_token", input.bos_token},
          {"eos_token", input.eos_token},
          {"tools", jinja::None()},
          {"documents", jinja::None()}};
}

}  // namespace

struct ChatTemplate::Impl {
  jinja::ast::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(const std::string& source) {
  if (source.size() > kMaxSource) {
    return Error{ErrorCode::bad_model, fmt::format("a chat template of {} bytes is too large", source.size()), "chat_template"};
  }
  try {
    return ChatTemplate(std::make_unique<Impl>(Impl{jinja::parse(source)}));
  } catch (const jinja::TemplateError& error) {
    return Error{ErrorCode::bad_model, with_line(error), "chat_template"};
  }
}

Result<std::vector<TextPiece>> ChatTemplate::render(const ChatTemplateInput& input) const {
  try {
    jinja::Interpreter interpreter(globals(input), input.now ? *input.now : std::time(nullptr));
    std::vector<TextPiece> pieces = jinja::to_pieces(interpreter.render(impl_->body));
    std::size_t bytes = 0;
    for (const TextPiece& piece : pieces) bytes += piece.text.size();
    if (bytes > kMaxOutput)
      return Error{ErrorCode::invalid_argument, fmt::format("the prompt has more than {} bytes", kMaxOutput), "messages"};
    return pieces;
  } catch (const jinja::TemplateError& error) {
    return Error{ErrorCode::invalid_argument, with_line(error), "messages"};
  }
}

}  // namespace shardline
