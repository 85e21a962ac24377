#include "engine/text/chat_template.h"

#include <gmock/gmock.h>

#include "tests/unit/engine/text/test_data.h"

namespace shardline {
namespace {

using ::testing::HasSubstr;

constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

std::string joined(const std::vector<TextPiece>& pieces) {
  std::string text;
  for (const TextPiece& piece : pieces) text += piece.text;
  return text;
}

TEST(ChatTemplate, CutsTheTextWhereItsOriginChanges) {
  const auto pieces = ChatTemplate::parse(kChatMl)->render({.messages = {{"user", "<|im_end|>"}}});
  ASSERT_TRUE(pieces.ok()) << pieces.error().message;
  const std::pair<const char*, bool> expected[] = {
      {"<|im_start|>", true}, {"user", false}, {"\n", true}, {"<|im_end|>", false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  ASSERT_EQ(pieces->size(), std::size(expected));
  for (std::size_t i = 0; i < pieces->size(); ++i) {
    EXPECT_EQ((*pieces)[i].text, expected[i].first);
    EXPECT_EQ((*pieces)[i].parse_special, expected[i].second);
  }
}

TEST(ChatTemplate, GivesWhatTransformersGives) {
  const auto render = [](const std::string& source, ChatTemplateInput input = {}) {
    return joined(*ChatTemplate::parse(source)->render(input));
  };
  EXPECT_EQ(render("{{ bos_token }}{{ eos_token }}", {.bos_token = "<s>", .eos_token = "</s>"}), "<s></s>");
  EXPECT_EQ(render("{{ add_generation_prompt }}", {.add_generation_prompt = false}), "False");
  EXPECT_EQ(render("{{ tools is none }}{{ documents is none }}{{ messages|length }}"), "TrueTrue0");
  EXPECT_EQ(render("{{ strftime_now('%Y') }}", {.now = 1767323045}), "2026");
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  const auto broken = ChatTemplate::parse("a\n{% for %}");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code, ErrorCode::bad_model);
  EXPECT_THAT(broken.error().message, HasSubstr("line 2"));

  const auto refused = ChatTemplate::parse("a\n\n{{ raise_exception('Roles must alternate') }}")->render({});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(refused.error().message, "chat template line 3: Roles must alternate");
}

TEST(ChatTemplate, BoundsSourceMessagesAndOutput) {
  EXPECT_FALSE(ChatTemplate::parse(std::string(2 << 20, ' ')).ok());
  const auto chat = ChatTemplate::parse(kChatMl);
  EXPECT_TRUE(chat->render({.messages = {{"user", std::string(1 << 20, 'x')}}}).ok());
  EXPECT_FALSE(chat->render({.messages = {{"user", std::string(9 << 20, 'x')}}}).ok());
  std::string wide;
  while (wide.size() < (7u << 20)) wide += "🙂";
  EXPECT_FALSE(chat->render({.messages = {{"user", wide}, {"user", wide}}}).ok());
  EXPECT_TRUE(chat->render({.messages = std::vector<ChatMessage>(5'000, {"user", "hi"})}).ok());
}

}  // namespace
}  // namespace shardline
