#include "launcher/api/request.h"

#include <gtest/gtest.h>

#include <boost/json/value.hpp>

#include "launcher/api/json_reader.h"
#include "launcher/api/prompt.h"
#include "tests/unit/launcher/served_model.h"

namespace shardline::launcher::api {
namespace {

// Parses a body and makes its prompts, as the route does.
std::optional<ApiError> check(const std::string& body, bool chat, const ServedModel& model, CompletionRequest& out,
                              std::vector<GenerateRequest>& prompts) {
  const auto json = parse_json(body);
  if (!json.ok()) return ApiError{.message = json.error().message, .code = "invalid_json"};
  auto fault = parse_completion(*json, chat, model, out);
  if (!fault) fault = make_prompts(out, model, prompts);
  return fault;
}

struct Accepted {
  CompletionRequest request;
  std::vector<GenerateRequest> prompts;
};

Accepted accept(const std::string& body, bool chat, const ServedModel& model) {
  Accepted a;
  const auto fault = check(body, chat, model, a.request, a.prompts);
  EXPECT_FALSE(fault) << body << ": " << fault->message;
  return a;
}

std::string with(const std::string& fields) { return R"({"prompt": "abc", )" + fields + "}"; }
std::string chat_with(const std::string& fields) { return R"({"messages": [{"role": "user", "content": "hi"}], )" + fields + "}"; }
std::string message(const std::string& m) { return R"({"messages": [)" + m + "]}"; }
std::string repeat(const std::string& piece, int count) {
  std::string s;
  for (int i = 0; i < count; ++i) s += (i ? "," : "") + piece;
  return s;
}

const struct Case {
  bool chat;
  std::string body;
  const char* param;
  const char* code = "";
  int status = 400;
} kCases[] = {
    // Not JSON as it must be.
    {false, "", "", "invalid_json"},
    {false, "{", "", "invalid_json"},
    {false, "nonsense", "", "invalid_json"},
    {false, R"({"prompt": "a"} x)", "", "invalid_json"},
    {false, R"({"prompt": "a", "prompt": "b"})", "", "invalid_json"},
    {false, "{\"prompt\": \"\xff\"}", "", "invalid_json"},
    {false, "{\"prompt\": \"\xc0\x80\"}", "", "invalid_json"},
    {false, "{\"prompt\": \"\xed\xa0\x80\"}", "", "invalid_json"},
    {false, R"({"prompt": "\ud800"})", "", "invalid_json"},
    {false, R"({"prompt": "\udc00"})", "", "invalid_json"},
    {false, R"({"prompt": "\u0000"})", "", "invalid_json"},
    {false, R"({"prompt": "a", "temperature": 1e999})", "", "invalid_json"},
    {false, R"({"prompt": "a", "temperature": NaN})", "", "invalid_json"},
    {false, R"({"prompt": "a", "temperature": Infinity})", "", "invalid_json"},
    {false, R"({"prompt": "a", "n": 01})", "", "invalid_json"},
    {false, R"({"prompt": "a", })", "", "invalid_json"},
    {false, "{'prompt': 'a'}", "", "invalid_json"},
    {false, R"({"prompt": "a" /* b */})", "", "invalid_json"},
    {false, "{\"prompt\": \"a\nb\"}", "", "invalid_json"},
    {false, "\xEF\xBB\xBF{}", "", "invalid_json"},
    {false, R"({"x": )" + std::string(65, '[') + std::string(65, ']') + "}", "", "invalid_json"},
    {false, "[]", ""},
    {false, "null", ""},
    {false, "\"text\"", ""},
    // The model.
    {false, with(R"("model": "other")"), "model", "model_not_found", 404},
    {false, with(R"("model": 5)"), "model"},
    {true, chat_with(R"("model": ["bytes"])"), "model"},
    // Prompts.
    {false, "{}", "prompt"},
    {false, R"({"prompt": null})", "prompt"},
    {false, R"({"prompt": ""})", "prompt"},
    {false, R"({"prompt": []})", "prompt"},
    {false, R"({"prompt": [""]})", "prompt"},
    {false, R"({"prompt": [[]]})", "prompt"},
    {false, R"({"prompt": [[1], []]})", "prompt"},
    {false, R"({"prompt": 5})", "prompt"},
    {false, R"({"prompt": true})", "prompt"},
    {false, R"({"prompt": {"text": "a"}})", "prompt"},
    {false, R"({"prompt": [1, "a"]})", "prompt"},
    {false, R"({"prompt": ["a", 1]})", "prompt"},
    {false, R"({"prompt": ["a", [1]]})", "prompt"},
    {false, R"({"prompt": [[1], "a"]})", "prompt"},
    {false, R"({"prompt": [{"a": 1}]})", "prompt"},
    {false, R"({"prompt": [null]})", "prompt"},
    {false, R"({"prompt": [-1]})", "prompt"},
    {false, R"({"prompt": [258]})", "prompt"},
    {false, R"({"prompt": [1.5]})", "prompt"},
    {false, R"({"prompt": [4294967297]})", "prompt"},
    {false, R"({"prompt": [18446744073709551615]})", "prompt"},
    {false, R"({"prompt": [[1, 2], [3, 999]]})", "prompt"},
    {false, R"({"prompt": [)" + repeat("\"a\"", 129) + "]}", "prompt"},
    {false, R"({"prompt": [)" + repeat("\"a\"", 65) + R"(], "n": 2})", "n"},
    {false, R"({"prompt": [)" + repeat("1", 256) + "]}", "prompt", "context_length_exceeded"},
    {false, R"({"prompt": ")" + std::string(256, 'a') + "\"}", "prompt", "context_length_exceeded"},
    {false, R"({"prompt": ")" + std::string(100'000, 'a') + "\"}", "prompt", "context_length_exceeded"},
    // Messages.
    {true, "{}", "messages"},
    {true, R"({"messages": null})", "messages"},
    {true, R"({"messages": []})", "messages"},
    {true, R"({"messages": "hi"})", "messages"},
    {true, R"({"messages": {"role": "user", "content": "hi"}})", "messages"},
    {true, message("5"), "messages[0]"},
    {true, message("\"hi\""), "messages[0]"},
    {true, message(R"({"content": "hi"})"), "messages[0].role"},
    {true, message(R"({"role": 1, "content": "hi"})"), "messages[0].role"},
    {true, message(R"({"role": "robot", "content": "hi"})"), "messages[0].role"},
    {true, message(R"({"role": "tool", "content": "hi", "tool_call_id": "1"})"), "messages[0].role"},
    {true, message(R"({"role": "user"})"), "messages[0].content"},
    {true, message(R"({"role": "assistant"})"), "messages[0].content"},
    {true, message(R"({"role": "user", "content": null})"), "messages[0].content"},
    {true, message(R"({"role": "user", "content": 5})"), "messages[0].content"},
    {true, message(R"({"role": "user", "content": ["hi"]})"), "messages[0].content[0]"},
    {true, message(R"({"role": "user", "content": [{"text": "hi"}]})"), "messages[0].content[0]"},
    {true, message(R"({"role": "user", "content": [{"type": "text"}]})"), "messages[0].content[0].text"},
    {true, message(R"({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}]})"),
     "messages[0].content[1].type", "unsupported_content"},
    {true, message(R"({"role": "user", "content": [{"type": "input_audio"}]})"), "messages[0].content[0].type", "unsupported_content"},
    {true, message(R"({"role": "user", "content": "a"}, {"role": "bad", "content": "b"})"), "messages[1].role"},
    {true, message(R"({"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]})"), "messages[0].tool_calls"},
    {true, message(R"({"role": "user", "content": ")" + std::string(300, 'a') + "\"}"), "messages", "context_length_exceeded"},
    {true, message(R"({"role": "user", "content": ")" + std::string(100'000, 'a') + "\"}"), "messages", "context_length_exceeded"},
    // Numbers out of range, and what is no number.
    {false, with(R"("temperature": -0.1)"), "temperature"},
    {false, with(R"("temperature": 2.1)"), "temperature"},
    {false, with(R"("temperature": "1")"), "temperature"},
    {false, with(R"("temperature": [1])"), "temperature"},
    {false, with(R"("temperature": true)"), "temperature"},
    {false, with(R"("top_p": 0)"), "top_p"},
    {false, with(R"("top_p": 1.1)"), "top_p"},
    {false, with(R"("top_p": -1)"), "top_p"},
    {false, with(R"("top_p": "0.5")"), "top_p"},
    {false, with(R"("top_k": -2)"), "top_k"},
    {false, with(R"("top_k": 1.5)"), "top_k"},
    {false, with(R"("top_k": 3000000000)"), "top_k"},
    {false, with(R"("min_p": -0.1)"), "min_p"},
    {false, with(R"("min_p": 1.1)"), "min_p"},
    {false, with(R"("seed": 9223372036854775808)"), "seed"},
    {false, with(R"("seed": 1e30)"), "seed"},
    {false, with(R"("seed": "7")"), "seed"},
    {false, with(R"("seed": 0.5)"), "seed"},
    {false, with(R"("n": 0)"), "n"},
    {false, with(R"("n": -1)"), "n"},
    {false, with(R"("n": 129)"), "n"},
    {false, with(R"("n": 1e9)"), "n"},
    {false, with(R"("n": "2")"), "n"},
    {false, with(R"("max_tokens": 0)"), "max_tokens"},
    {false, with(R"("max_tokens": -1)"), "max_tokens"},
    {false, with(R"("max_tokens": 9223372036854775808)"), "max_tokens"},
    {false, with(R"("max_tokens": 2147483648)"), "max_tokens"},
    {false, with(R"("max_tokens": "16")"), "max_tokens"},
    {false, with(R"("max_tokens": 254)"), "max_tokens", "context_length_exceeded"},
    {true, chat_with(R"("max_tokens": 256)"), "max_tokens", "context_length_exceeded"},
    {true, chat_with(R"("max_completion_tokens": 0)"), "max_completion_tokens"},
    {true, chat_with(R"("max_completion_tokens": 2000000000)"), "max_completion_tokens", "context_length_exceeded"},
    {false, with(R"("logprobs": -1)"), "logprobs"},
    {false, with(R"("logprobs": 21)"), "logprobs"},
    {false, with(R"("logprobs": true)"), "logprobs"},
    {true, chat_with(R"("logprobs": 5)"), "logprobs"},
    {true, chat_with(R"("logprobs": true, "top_logprobs": 21)"), "top_logprobs"},
    {true, chat_with(R"("logprobs": true, "top_logprobs": -1)"), "top_logprobs"},
    {true, chat_with(R"("top_logprobs": 5)"), "top_logprobs"},
    {true, chat_with(R"("logprobs": false, "top_logprobs": 5)"), "top_logprobs"},
    {false, with(R"("priority": 1e12)"), "priority"},
    {false, with(R"("priority": "high")"), "priority"},
    // Stop strings.
    {false, with(R"("stop": 5)"), "stop"},
    {false, with(R"("stop": "")"), "stop"},
    {false, with(R"("stop": ["a", ""])"), "stop"},
    {false, with(R"("stop": ["a", 5])"), "stop"},
    {false, with(R"("stop": {"a": 1})"), "stop"},
    {false, with(R"("stop": [)" + repeat("\"x\"", 17) + "]"), "stop"},
    {false, with(R"("stop": ")" + std::string(4097, 'x') + "\""), "stop"},
    {false, with(R"("stop": [")" + std::string(4000, 'x') + R"(", ")" + std::string(97, 'y') + "\"]"), "stop"},
    // Switches and streams.
    {false, with(R"("ignore_eos": 1)"), "ignore_eos"},
    {false, with(R"("ignore_eos": "true")"), "ignore_eos"},
    {false, with(R"("stream": "yes")"), "stream"},
    {false, with(R"("stream": 1)"), "stream"},
    {false, with(R"("stream_options": {"include_usage": true})"), "stream_options"},
    {false, with(R"("stream": false, "stream_options": {})"), "stream_options"},
    {false, with(R"("stream": true, "stream_options": true)"), "stream_options"},
    {false, with(R"("stream": true, "stream_options": {"include_usage": 1})"), "stream_options.include_usage"},
    {false, with(R"("add_special_tokens": "no")"), "add_special_tokens"},
    {false, with(R"("return_token_ids": 1)"), "return_token_ids"},
    // What would have an effect that is not there.
    {false, with(R"("frequency_penalty": 0.5)"), "frequency_penalty", "unsupported_value"},
    {false, with(R"("presence_penalty": -0.5)"), "presence_penalty", "unsupported_value"},
    {false, with(R"("repetition_penalty": 1.1)"), "repetition_penalty", "unsupported_value"},
    {false, with(R"("logit_bias": {"5": 1})"), "logit_bias", "unsupported_value"},
    {false, with(R"("best_of": 2)"), "best_of", "unsupported_value"},
    {false, with(R"("echo": true)"), "echo", "unsupported_value"},
    {false, with(R"("suffix": "end")"), "suffix", "unsupported_value"},
    {false, with(R"("prompt_logprobs": 1)"), "prompt_logprobs", "unsupported_value"},
    {false, with(R"("stop_token_ids": [5])"), "stop_token_ids", "unsupported_value"},
    {false, with(R"("min_tokens": 5)"), "min_tokens", "unsupported_value"},
    {false, with(R"("bad_words": ["a"])"), "bad_words", "unsupported_value"},
    {false, with(R"("allowed_token_ids": [1])"), "allowed_token_ids", "unsupported_value"},
    {false, with(R"("include_stop_str_in_output": true)"), "include_stop_str_in_output", "unsupported_value"},
    {false, with(R"("skip_special_tokens": false)"), "skip_special_tokens", "unsupported_value"},
    {false, with(R"("truncate_prompt_tokens": 5)"), "truncate_prompt_tokens", "unsupported_value"},
    {false, with(R"("use_beam_search": true)"), "use_beam_search", "unsupported_value"},
    {true, chat_with(R"("tools": [{"type": "function"}])"), "tools", "unsupported_value"},
    {true, chat_with(R"("tool_choice": "required")"), "tool_choice", "unsupported_value"},
    {true, chat_with(R"("response_format": {"type": "json_object"})"), "response_format", "unsupported_value"},
    {true, chat_with(R"("structured_outputs": {"regex": "(a+)+$"})"), "structured_outputs", "unsupported_value"},
    {true, chat_with(R"("chat_template": "{{ 1 }}")"), "chat_template", "unsupported_value"},
    {true, chat_with(R"("chat_template_kwargs": {"a": 1})"), "chat_template_kwargs", "unsupported_value"},
    {true, chat_with(R"("continue_final_message": true)"), "continue_final_message", "unsupported_value"},
    {true, chat_with(R"("add_generation_prompt": false)"), "add_generation_prompt", "unsupported_value"},
    {true, chat_with(R"("modalities": ["text", "audio"])"), "modalities", "unsupported_value"},
    {true, chat_with(R"("reasoning_effort": "high")"), "reasoning_effort", "unsupported_value"},
};

TEST(Request, RefusesByName) {
  const ByteModel bytes;
  static_assert(std::size(kCases) > 100);
  const ServedModel model = bytes.served();
  for (const auto& c : kCases) {
    CompletionRequest out;
    std::vector<GenerateRequest> prompts;
    const auto fault = check(c.body, c.chat, model, out, prompts);
    ASSERT_TRUE(fault) << c.body.substr(0, 200);
    EXPECT_EQ(fault->status, c.status) << c.body.substr(0, 200);
    EXPECT_EQ(fault->param, c.param) << c.body.substr(0, 200) << ": " << fault->message;
    EXPECT_EQ(fault->code, c.code) << c.body.substr(0, 200) << ": " << fault->message;
    EXPECT_FALSE(fault->message.empty());
  }
}

TEST(Request, ReadsACompletion) {
  const ByteModel bytes;
  const auto [request, prompts] = accept(
      R"({"model": "bytes", "prompt": "ab<|im_end|>", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1,
          "seed": -3, "stop": ["x", "yz"], "n": 2, "logprobs": 3, "ignore_eos": true, "priority": -4, "stream": true,
          "stream_options": {"include_usage": true, "continuous_usage_stats": true}, "return_token_ids": true})",
      false, bytes.served());
  EXPECT_FALSE(request.chat);
  EXPECT_TRUE(request.stream && request.include_usage && request.continuous_usage && request.return_token_ids);
  ASSERT_EQ(prompts.size(), 1u);
  const GenerateRequest& g = prompts[0];
  EXPECT_EQ(g.prompt, (std::vector<TokenId>{'a', 'b', kImEnd}));  // a special token written in a prompt is one
  EXPECT_EQ(g.max_tokens, 5);
  EXPECT_FLOAT_EQ(g.sampling.temperature, 0.5f);
  EXPECT_FLOAT_EQ(g.sampling.top_p, 0.9f);
  EXPECT_EQ(g.sampling.top_k, 40);
  EXPECT_FLOAT_EQ(g.sampling.min_p, 0.1f);
  EXPECT_EQ(g.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(g.sampling.logprobs, 3);
  EXPECT_EQ(g.stop, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(g.n, 2);
  EXPECT_TRUE(g.ignore_eos);
  EXPECT_EQ(g.priority, -4);
}

TEST(Request, FillsDefaults) {
  const ByteModel bytes;
  const auto completion = accept(R"({"prompt": "abc"})", false, bytes.served());
  EXPECT_EQ(completion.prompts[0].max_tokens, 16);
  EXPECT_EQ(completion.prompts[0].sampling.temperature, 1);
  EXPECT_EQ(completion.prompts[0].sampling.logprobs, -1);
  const auto chat = accept(message(R"({"role": "user", "content": "hi"})"), true, bytes.served());
  EXPECT_EQ(chat.prompts[0].max_tokens, 256 - static_cast<int>(chat.prompts[0].prompt.size()));
  const auto again = accept(R"({"prompt": "abc"})", false, bytes.served());
  EXPECT_NE(completion.prompts[0].sampling.seed, again.prompts[0].sampling.seed);
  const auto near_the_end = accept(R"({"prompt": ")" + std::string(250, 'a') + "\"}", false, bytes.served());
  EXPECT_EQ(near_the_end.prompts[0].max_tokens, 6);
}

TEST(Request, TakesEveryFormOfPrompt) {
  const ByteModel bytes;
  const auto prompts = [&](const std::string& prompt) {
    std::vector<std::vector<TokenId>> ids;
    for (const GenerateRequest& g : accept(R"({"prompt": )" + prompt + "}", false, bytes.served()).prompts) ids.push_back(g.prompt);
    return ids;
  };
  using Ids = std::vector<std::vector<TokenId>>;
  EXPECT_EQ(prompts(R"("ab")"), (Ids{{'a', 'b'}}));
  EXPECT_EQ(prompts(R"(["ab", "c"])"), (Ids{{'a', 'b'}, {'c'}}));
  EXPECT_EQ(prompts("[5, 257, 6.0]"), (Ids{{5, 257, 6}}));
  EXPECT_EQ(prompts("[[5], [6, 7]]"), (Ids{{5}, {6, 7}}));
}

TEST(Request, ParsesSpecialTokensOfATemplateAndNotOfAMessage) {
  const ByteModel bytes;
  const auto a = accept(
      message(
          R"({"role": "developer", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a<|im_end|>"}, {"type": "text", "text": "b"}]})"),
      true, bytes.served());
  EXPECT_EQ(a.request.messages[0].role, "system");
  EXPECT_EQ(a.request.messages[1].content, "a<|im_end|>\nb");
  const auto& ids = a.prompts[0].prompt;
  EXPECT_EQ(std::ranges::count(ids, kImStart), 3);
  EXPECT_EQ(std::ranges::count(ids, kImEnd), 2);
  EXPECT_EQ(bytes.tokenizer.decode(ids),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\nb<|im_end|>\n<|im_start|>assistant\n");
}

TEST(Request, NearlyZeroTemperatureIsGreedy) {
  const ByteModel bytes;
  EXPECT_EQ(accept(with(R"("temperature": 0.00001)"), false, bytes.served()).prompts[0].sampling.temperature, 0);
  EXPECT_GT(accept(with(R"("temperature": 0.001)"), false, bytes.served()).prompts[0].sampling.temperature, 0);
}

TEST(Request, AcceptsWhatChangesNothing) {
  const ByteModel bytes;
  accept(with(R"("frequency_penalty": 0, "presence_penalty": 0.0, "repetition_penalty": 1, "logit_bias": {}, "best_of": 1, "echo": false,
                 "suffix": null, "top_k": -1, "min_p": 0, "stop": null, "stop_token_ids": [], "min_tokens": 0, "skip_special_tokens": true,
                 "spaces_between_special_tokens": true, "length_penalty": 1.0, "use_beam_search": false, "user": "u", "request_id": "r",
                 "bad_words": [], "max_tokens": 3.0, "logprobs": null, "seed": null, "model": "", "something_else": {"a": [1]})"),
         false, bytes.served());
  accept(chat_with(R"("tools": null, "tool_choice": "auto", "response_format": {"type": "text"}, "parallel_tool_calls": true,
                      "logprobs": false, "top_logprobs": 0, "store": false, "metadata": {"a": "b"}, "service_tier": "auto",
                      "modalities": ["text"], "max_tokens": 5, "max_completion_tokens": 6, "stream": false, "stream_options": null)"),
         true, bytes.served());
}

TEST(Request, AModelWithoutTokenizerSpeaksIds) {
  const ByteModel bytes;
  const ServedModel model = bytes.without_tokenizer();
  const auto a = accept(R"({"prompt": [1, 2]})", false, model);
  EXPECT_TRUE(a.request.return_token_ids);
  EXPECT_FALSE(a.prompts[0].text);
  CompletionRequest out;
  std::vector<GenerateRequest> prompts;
  EXPECT_EQ(check(R"({"prompt": "text"})", false, model, out, prompts)->param, "prompt");
  EXPECT_EQ(check(message(R"({"role": "user", "content": "hi"})"), true, model, out, prompts)->param, "messages");
  EXPECT_EQ(check(R"({"prompt": [1], "stop": "a"})", false, model, out, prompts)->param, "stop");
}

TEST(Request, RefusesTooManyValues) {
  EXPECT_FALSE(parse_json("[" + repeat("1", static_cast<int>(kJsonValues) + 1) + "]").ok());
  EXPECT_TRUE(parse_json("[" + repeat("1", 100'000) + "]").ok());
}

}  // namespace
}  // namespace shardline::launcher::api
