// The whole way of a request: sockets, routes, controller, a fake engine.
#include "launcher/api/api.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <thread>

#include "launcher/http/server.h"
#include "tests/unit/launcher/http_client.h"
#include "tests/unit/launcher/served_model.h"

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kText = "/v1/completions";

struct ApiTest : testing::Test {
  void start(NextToken next = hashed_letter, Duration step = {}) { start(bytes.served(), std::move(next), step); }
  void start(const ServedModel& m, NextToken next, Duration step) {
    model = m;
    executor = std::make_unique<FakeExecutor>(std::move(next), 2, step);
    metrics = std::make_unique<Metrics>("vllm:", model.name, model.context);
    Controller::Options options{.limits = small_limits(), .eos = {kImEnd}, .metrics = metrics.get()};
    options.limits.max_queue = max_queue;
    options.limits.max_sequences = max_sequences;
    controller = std::make_unique<Controller>(*executor, model.tokenizer, options);
    info.version = "1.2.3";
    api = std::make_unique<Api>(*controller, *metrics, model, info);
    http::ServerOptions server_options;
    server_options.tick = 10ms;
    auto started = http::Server::start(
        "127.0.0.1", 0, server_options, fault_response,
        [this](http::Request r, const std::shared_ptr<http::Responder>& responder) { api->handle(std::move(r), responder); });
    ASSERT_TRUE(started.ok());
    server = std::move(*started);
  }
  void TearDown() override {
    server->stop(1s);
    controller.reset();
  }

  json::value ask(std::string_view path, std::string_view body, int status = 200) {
    HttpClient client(server->port());
    const std::string answer = client.ask(post(path, body));
    EXPECT_EQ(status_of(answer), status) << answer;
    return json::parse(body_of(answer));
  }
  // The data of a stream's events, up to its end.
  std::vector<std::string> events(std::string_view path, std::string_view body) {
    HttpClient client(server->port());
    client.send(post(path, body));
    std::string text = client.read_until("0\r\n\r\n");
    std::vector<std::string> out;
    for (std::size_t at = 0; (at = text.find("data: ", at)) != std::string::npos;) {
      const std::size_t end = text.find("\n\n", at);
      out.push_back(text.substr(at + 6, end - at - 6));
      at = end;
    }
    return out;
  }
  std::string metric(std::string_view name) {
    HttpClient client(server->port());
    const std::string text = body_of(client.ask(get("/metrics")));
    const std::size_t at = text.find("\n" + std::string(name));
    return at == std::string::npos ? "absent" : text.substr(at + 1, text.find('\n', at + 1) - at - 1);
  }

  const ByteModel bytes;
  ServedModel model;
  ServeInfo info;
  int max_queue = 64, max_sequences = 8;
  std::unique_ptr<FakeExecutor> executor;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Controller> controller;
  std::unique_ptr<Api> api;
  std::unique_ptr<http::Server> server;
};

TEST_F(ApiTest, AnswersAChat) {
  start(says("Grüße!", 21));
  const json::value a = ask(kChat, R"({"model": "bytes", "messages": [{"role": "user", "content": "hi"}]})");
  EXPECT_TRUE(a.at("id").as_string().starts_with("chatcmpl-"));
  EXPECT_EQ(a.at("object").as_string(), "chat.completion");
  EXPECT_EQ(a.at("model").as_string(), "bytes");
  const json::value& choice = a.at("choices").as_array().at(0);
  EXPECT_EQ(choice.at("message").at("content").as_string(), "Grüße!");
  EXPECT_EQ(choice.at("message").at("role").as_string(), "assistant");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "stop");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  EXPECT_EQ(a.at("usage").at("prompt_tokens").as_int64(), 21);
}

TEST_F(ApiTest, AnswersACompletionOfManyPrompts) {
  start();
  const json::value a = ask(kText, R"({"prompt": ["abc", "xyz"], "n": 3, "max_tokens": 7, "seed": 1, "return_token_ids": true})");
  EXPECT_EQ(a.at("object").as_string(), "text_completion");
  const json::array& choices = a.at("choices").as_array();
  ASSERT_EQ(choices.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(choices[i].at("index").as_int64(), static_cast<std::int64_t>(i));
    EXPECT_EQ(choices[i].at("text").as_string().size(), 7u);
    EXPECT_EQ(choices[i].at("finish_reason").as_string(), "length");
    EXPECT_EQ(choices[i].at("token_ids").as_array().size(), 7u);
    EXPECT_EQ(choices[i].at("prompt_token_ids").as_array().at(0).as_int64(), i < 3 ? 'a' : 'x');
  }
  EXPECT_EQ(a.at("usage").at("prompt_tokens").as_int64(), 6);
  EXPECT_EQ(a.at("usage").at("completion_tokens").as_int64(), 42);
  EXPECT_EQ(a.at("usage").at("total_tokens").as_int64(), 48);
}

TEST_F(ApiTest, AStreamSaysWhatAnAnswerSays) {
  start();
  const std::string body = R"({"prompt": "abc", "n": 2, "max_tokens": 30, "seed": 5, "stop": ["qq"])";
  const json::value whole = ask(kText, body + "}");
  const auto stream = events(kText, body + R"(, "stream": true, "stream_options": {"include_usage": true}})");
  ASSERT_GT(stream.size(), 10u);
  EXPECT_EQ(stream.back(), "[DONE]");
  std::string texts[2], finishes[2];
  json::value usage;
  for (std::size_t i = 0; i + 1 < stream.size(); ++i) {
    const json::value e = json::parse(stream[i]);
    usage = e.at("usage");
    EXPECT_EQ(usage.is_null(), i + 2 < stream.size());
    for (const json::value& c : e.at("choices").as_array()) {
      texts[c.at("index").as_int64()] += c.at("text").as_string();
      if (!c.at("finish_reason").is_null()) finishes[c.at("index").as_int64()] = c.at("finish_reason").as_string();
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], whole.at("choices").as_array().at(i).at("text").as_string());
    EXPECT_EQ(finishes[i], "length");
  }
  EXPECT_EQ(usage.at("completion_tokens").as_int64(), 60);
  EXPECT_EQ(usage.at("prompt_tokens").as_int64(), 3);
}

TEST_F(ApiTest, AChatStreamBeginsWithTheRole) {
  start(says("ok", 21));
  const auto stream = events(
      kChat, R"({"messages": [{"role": "user", "content": "hi"}], "stream": true, "stream_options": {"continuous_usage_stats": true}})");
  ASSERT_GE(stream.size(), 3u);
  const json::value first = json::parse(stream[0]);
  EXPECT_EQ(first.at("object").as_string(), "chat.completion.chunk");
  const json::value& delta = first.at("choices").as_array().at(0).at("delta");
  EXPECT_EQ(delta.at("role").as_string(), "assistant");
  EXPECT_EQ(delta.at("content").as_string(), "");
  EXPECT_EQ(json::parse(stream[stream.size() - 2]).at("choices").as_array().at(0).at("finish_reason").as_string(), "stop");
  EXPECT_EQ(json::parse(stream[stream.size() - 2]).at("usage").at("completion_tokens").as_int64(), 3);
  EXPECT_EQ(stream.back(), "[DONE]");
}

TEST_F(ApiTest, TellsLogprobs) {
  start(says("aü", 21));
  const json::value chat = ask(kChat, R"({"messages": [{"role": "user", "content": "hi"}], "logprobs": true, "top_logprobs": 2})");
  const json::array& content = chat.at("choices").as_array().at(0).at("logprobs").at("content").as_array();
  ASSERT_EQ(content.size(), 4u);
  EXPECT_EQ(content[0].at("token").as_string(), "a");
  EXPECT_EQ(content[0].at("logprob").as_double(), -0.5);
  EXPECT_EQ(content[0].at("top_logprobs").as_array().size(), 2u);
  EXPECT_EQ(content[1].at("token").as_string(), "\uFFFD");  // half of a character
  EXPECT_EQ(content[1].at("bytes").as_array().at(0).as_int64(), 0xC3);
  EXPECT_EQ(content[3].at("token").as_string(), "<|im_end|>");

  const json::value text = ask(kText, R"({"prompt": "01234567890123456789x", "logprobs": 2})");
  const json::value& logprobs = text.at("choices").as_array().at(0).at("logprobs");
  EXPECT_EQ(logprobs.at("tokens").as_array().size(), 4u);
  EXPECT_EQ(json::serialize(logprobs.at("text_offset")), "[0,1,2,3]");
  EXPECT_EQ(logprobs.at("top_logprobs").as_array().at(0).as_object().size(), 2u);
}

TEST_F(ApiTest, StopStringsAreNamed) {
  start(says("one. two. three.", 1));
  const json::value a = ask(kText, R"({"prompt": "x", "stop": [". t", "zz"], "max_tokens": 40})");
  EXPECT_EQ(a.at("choices").as_array().at(0).at("text").as_string(), "one");
  EXPECT_EQ(a.at("choices").as_array().at(0).at("stop_reason").as_string(), ". t");
}

TEST_F(ApiTest, RepeatedPromptsAreCached) {
  start();
  const std::string body = R"({"prompt": "a prompt of more than thirty-two tokens", "max_tokens": 2})";
  EXPECT_EQ(ask(kText, body).at("usage").at("prompt_tokens_details").at("cached_tokens").as_int64(), 0);
  EXPECT_EQ(ask(kText, body).at("usage").at("prompt_tokens_details").at("cached_tokens").as_int64(), 32);
}

TEST_F(ApiTest, SpeaksTokenIdsWithoutATokenizer) {
  start(bytes.without_tokenizer(), hashed_letter, {});
  const json::value a = ask(kText, R"({"prompt": [1, 2, 3], "max_tokens": 4, "logprobs": 1})");
  const json::value& choice = a.at("choices").as_array().at(0);
  EXPECT_EQ(choice.at("text").as_string(), "");
  EXPECT_EQ(choice.at("token_ids").as_array().size(), 4u);
  EXPECT_TRUE(choice.at("logprobs").at("tokens").as_array().at(0).as_string().starts_with("token_id:"));
  EXPECT_EQ(ask(kText, R"({"prompt": "abc"})", 400).at("error").at("param").as_string(), "prompt");
  EXPECT_EQ(ask("/tokenize", R"({"prompt": "abc"})", 400).at("error").at("param").as_string(), "prompt");
  ask(kChat, R"({"messages": [{"role": "user", "content": "hi"}]})", 400);
}

TEST_F(ApiTest, ErrorsAreOpenAIsObjects) {
  start();
  const json::value e = ask(kText, R"({"prompt": "abc", "temperature": 5})", 400).at("error");
  EXPECT_EQ(e.at("type").as_string(), "invalid_request_error");
  EXPECT_EQ(e.at("param").as_string(), "temperature");
  EXPECT_TRUE(e.at("code").is_null());
  EXPECT_EQ(ask(kText, R"({"prompt": "abc", "max_tokens": 254})", 400).at("error").at("param").as_string(), "max_tokens");
  EXPECT_EQ(ask(kChat, R"({"messages": [{"role": "user", "content": "a"}], "max_completion_tokens": 255})", 400).at("error").at("param"),
            "max_completion_tokens");
  EXPECT_EQ(ask(kText, "{", 400).at("error").at("code").as_string(), "invalid_json");
  EXPECT_EQ(ask(kText, R"({"prompt": "abc", "model": "gpt-4"})", 404).at("error").at("code").as_string(), "model_not_found");
  EXPECT_EQ(ask("/v1/embeddings", "{}", 404).at("error").at("type").as_string(), "invalid_request_error");
}

TEST_F(ApiTest, ChecksMethodsAndContentTypes) {
  start();
  HttpClient client(server->port());
  const std::string wrong = client.ask(get(kChat));
  EXPECT_EQ(status_of(wrong), 405);
  EXPECT_NE(wrong.find("\r\nAllow: POST\r\n"), std::string::npos);
  EXPECT_NE(client.ask(post("/health", "{}")).find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
  const std::string untyped = client.ask("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(status_of(untyped), 415);
  EXPECT_NE(untyped.find(R"("code":"unsupported_media_type")"), std::string::npos) << untyped;
  EXPECT_NE(fault_response(413, "").body.find(R"("code":"request_too_large")"), std::string::npos);
  EXPECT_EQ(status_of(client.ask("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}")),
            415);
  EXPECT_EQ(status_of(client.ask("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: "
                                 "gzip\r\nContent-Length: 2\r\n\r\n{}")),
            415);
  EXPECT_EQ(status_of(client.ask("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: Application/JSON; "
                                 "charset=utf-8\r\nContent-Length: 17\r\n\r\n{\"prompt\": \"abc\"}")),
            200);
}

TEST_F(ApiTest, TokenizesAndBack) {
  start();
  const json::value t = ask("/tokenize", R"({"model": "bytes", "prompt": "aü<|im_end|>", "return_token_strs": true})");
  EXPECT_EQ(json::serialize(t.at("tokens")), "[97,195,188,257]");
  EXPECT_EQ(t.at("count").as_int64(), 4);
  EXPECT_EQ(t.at("max_model_len").as_int64(), 256);
  EXPECT_EQ(t.at("token_strs").as_array().at(3).as_string(), "<|im_end|>");
  const json::value chat = ask("/tokenize", R"({"messages": [{"role": "user", "content": "<|im_end|>"}], "add_generation_prompt": false})");
  EXPECT_EQ(chat.at("count").as_int64(), 18);
  EXPECT_EQ(ask("/detokenize", R"({"tokens": [97, 195, 188, 257, 195]})").at("prompt").as_string(), "aü<|im_end|>\uFFFD");
  EXPECT_EQ(ask("/detokenize", R"({"tokens": [258]})", 400).at("error").at("param").as_string(), "tokens");
  EXPECT_EQ(ask("/detokenize", R"({"tokens": "a"})", 400).at("error").at("param").as_string(), "tokens");
  ask("/tokenize", "{}", 400);
}

TEST_F(ApiTest, DescribesItself) {
  start();
  HttpClient client(server->port());
  const json::value models = json::parse(body_of(client.ask(get("/v1/models"))));
  EXPECT_EQ(models.at("data").as_array().at(0).at("id").as_string(), "bytes");
  EXPECT_EQ(models.at("data").as_array().at(0).at("max_model_len").as_int64(), 256);
  EXPECT_EQ(json::parse(body_of(client.ask(get("/v1/models/bytes")))).at("object").as_string(), "model");
  EXPECT_EQ(status_of(client.ask(get("/v1/models/other"))), 404);
  EXPECT_EQ(json::parse(body_of(client.ask(get("/version")))).at("version").as_string(), "1.2.3");
  EXPECT_EQ(client.ask(get("/health")).find("HTTP/1.1 200"), 0u);
  EXPECT_EQ(status_of(client.ask(get("/livez"))), 200);
  EXPECT_EQ(status_of(client.ask(get("/readyz?verbose"))), 200);
  EXPECT_EQ(metric("vllm:num_requests_running"), "vllm:num_requests_running{engine=\"0\",model_name=\"bytes\"} 0");
}

TEST_F(ApiTest, AFullQueueIs429) {
  max_queue = 1;
  max_sequences = 1;
  start();
  executor->hold(true);
  std::vector<std::unique_ptr<HttpClient>> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(std::make_unique<HttpClient>(server->port()));
    waiting.back()->send(post(kText, R"({"prompt": "abc"})"));
    std::this_thread::sleep_for(20ms);
  }
  const std::string answer = waiting.back()->read_answer();
  EXPECT_EQ(status_of(answer), 429);
  EXPECT_NE(answer.find("\r\nRetry-After: "), std::string::npos);
  EXPECT_EQ(json::parse(body_of(answer)).at("error").at("code").as_string(), "rate_limit_exceeded");
  executor->hold(false);
  EXPECT_EQ(status_of(waiting[0]->read_answer()), 200);
}

TEST_F(ApiTest, AClientThatLeavesIsCancelled) {
  start(hashed_letter, 2ms);
  for (const char* stream : {"true", "false"}) {
    {
      HttpClient client(server->port());
      client.send(post(kText, std::string(R"({"prompt": "abc", "max_tokens": 250, "stream": )") + stream + "}"));
      for (int i = 0; i < 5000 && controller->stats().running == 0; ++i) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(20ms);
    }
    for (int i = 0; i < 5000 && controller->stats().blocks_used > 0; ++i) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(controller->stats().running, 0);
  }
  EXPECT_LT(controller->stats().generated_tokens, 400u);
  EXPECT_EQ(metric("vllm:request_success_total{engine=\"0\",finished_reason=\"abort\""),
            "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\",model_name=\"bytes\"} 2");
}

TEST_F(ApiTest, ALostRankEndsStreamsWithOneErrorEvent) {
  start(hashed_letter, 2ms);
  HttpClient stream(server->port()), whole(server->port());
  stream.send(post(kText, R"({"prompt": "abc", "max_tokens": 250, "stream": true})"));
  whole.send(post(kText, R"({"prompt": "abc", "max_tokens": 250})"));
  stream.read_until("data: ");
  for (int i = 0; i < 5000 && controller->stats().running < 2; ++i) std::this_thread::sleep_for(1ms);
  executor->lose("rank 3 (host a, pid 71) died");
  const std::string rest = stream.read_until("0\r\n\r\n");
  const std::size_t at = rest.rfind("data: ");
  const json::value error = json::parse(rest.substr(at + 6, rest.find("\n\n", at) - at - 6));
  EXPECT_NE(error.at("error").at("message").as_string().find("rank 3"), json::string::npos);
  EXPECT_EQ(rest.find("[DONE]"), std::string::npos);
  EXPECT_EQ(status_of(whole.read_answer()), 500);
  HttpClient probe(server->port());
  EXPECT_EQ(status_of(probe.ask(get("/readyz"))), 503);
  EXPECT_EQ(status_of(probe.ask(get("/health"))), 503);
  EXPECT_EQ(status_of(probe.ask(get("/livez"))), 200);
  EXPECT_EQ(status_of(probe.ask(post(kText, R"({"prompt": "abc"})"))), 500);
}

TEST_F(ApiTest, DrainingRefusesAndSaysSo) {
  start(hashed_letter, 2ms);
  HttpClient running(server->port());
  running.send(post(kText, R"({"prompt": "abc", "max_tokens": 50, "stream": true})"));
  running.read_until("data: ");
  std::thread drain([&] { controller->drain(10s); });
  for (int i = 0; i < 5000 && controller->ready(); ++i) std::this_thread::sleep_for(1ms);
  HttpClient late(server->port());
  const std::string refused = late.ask(post(kText, R"({"prompt": "abc"})"));
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_NE(refused.find("\r\nRetry-After: "), std::string::npos);
  EXPECT_EQ(status_of(late.ask(get("/readyz"))), 503);
  EXPECT_NE(running.read_until("0\r\n\r\n").find("[DONE]"), std::string::npos);
  drain.join();
}

TEST_F(ApiTest, AValueThatIsNotFiniteEndsThatRequestOnly) {
  start([](TokenId last, int position, const Sampling& s) {
    return s.seed == 13 && position == 6 ? TokenId{-1} : hashed_letter(last, position, s);
  });
  EXPECT_EQ(ask(kText, R"({"prompt": "abc", "seed": 13})", 500).at("error").at("code").as_string(), "numerical_error");
  const auto stream = events(kText, R"({"prompt": "abc", "seed": 13, "stream": true})");
  EXPECT_NE(stream.back().find("numerical_error"), std::string::npos);
  ask(kText, R"({"prompt": "abc", "seed": 14})");
}

// Bad requests beside streams that must not notice.
TEST_F(ApiTest, BystandersStayTheSame) {
  start(hashed_letter, 1ms);
  const std::string body = R"({"prompt": "bystander", "max_tokens": 100, "temperature": 0.8, "seed": 3, "stream": true})";
  const auto text_of = [](const std::vector<std::string>& stream) {
    std::string text;
    for (const std::string& e : stream)
      if (e != "[DONE]") text += json::parse(e).at("choices").as_array().at(0).at("text").as_string();
    return text;
  };
  const std::string alone = text_of(events(kText, body));
  ASSERT_EQ(alone.size(), 100u);
  std::vector<std::string> texts(4);
  std::vector<std::thread> clients;
  for (std::string& text : texts) clients.emplace_back([&] { text = text_of(events(kText, body)); });
  for (const char* bad :
       {"{", R"({"prompt": [999]})", R"({"prompt": "a", "n": 1000})", R"({"prompt": ""})", R"({"prompt": "a", "top_p": 0})"})
    for (int i = 0; i < 5; ++i) ask(kText, bad, 400);
  for (std::thread& t : clients) t.join();
  for (const std::string& text : texts) EXPECT_EQ(text, alone);
}

TEST(Loading, AnswersLivezAndRefusesTheRest) {
  auto server = http::Server::start("127.0.0.1", 0, {}, fault_response, handle_loading);
  ASSERT_TRUE(server.ok());
  HttpClient client((*server)->port());
  EXPECT_EQ(status_of(client.ask(get("/livez"))), 200);
  EXPECT_EQ(status_of(client.ask(get("/readyz"))), 503);
  const std::string refused = client.ask(post(kText, "{}"));
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_NE(refused.find("\r\nRetry-After: "), std::string::npos);
}

TEST(Log, EscapesControlCharacters) {
  EXPECT_EQ(for_log("a\nb\x1b[31m\x7f"), "a\\x0ab\\x1b[31m\\x7f");
  EXPECT_EQ(for_log(std::string(500, 'x')).size(), 200u);
}

}  // namespace
}  // namespace shardline::launcher::api
