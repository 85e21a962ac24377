#include "launcher/api/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <ctime>

#include "engine/text/utf8.h"

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// JSON knows no infinity; and the shortest decimal of a float is shorter than that of the same double.
double told(float logprob) { return std::strtod(fmt::format("{}", std::max(logprob, -9999.f)).c_str(), nullptr); }

json::value finish_name(scheduler::Finish finish) {
  if (finish == scheduler::Finish::none) return nullptr;
  return finish == scheduler::Finish::stop ? "stop" : "length";
}

json::object usage_json(const Usage& u) {
  return {{"prompt_tokens", u.prompt},
          {"total_tokens", u.prompt + u.completion},
          {"completion_tokens", u.completion},
          {"prompt_tokens_details", {{"cached_tokens", u.cached}}}};
}

json::object chat_logprob(const Tokenizer* tokenizer, TokenId id, float logprob) {
  json::array bytes;
  for (const char c : tokenizer ? tokenizer->bytes(id) : std::string_view()) bytes.emplace_back(static_cast<unsigned char>(c));
  return {{"token", token_name(tokenizer, id)}, {"logprob", told(logprob)}, {"bytes", std::move(bytes)}};
}

json::object chat_logprobs(const Tokenizer* tokenizer, const std::vector<SampleResult>& tokens) {
  json::array content;
  for (const SampleResult& t : tokens) {
    json::object item = chat_logprob(tokenizer, t.token, t.logprob);
    json::array top;
    for (const TokenLogprob& other : t.top) top.push_back(chat_logprob(tokenizer, other.token, other.logprob));
    item["top_logprobs"] = std::move(top);
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}};
}

json::object text_logprobs(const Tokenizer* tokenizer, const std::vector<SampleResult>& tokens, std::size_t offset) {
  json::array offsets, logprobs, names, tops;
  for (const SampleResult& t : tokens) {
    const std::string name = token_name(tokenizer, t.token);
    json::object top{{name, told(t.logprob)}};
    for (const TokenLogprob& other : t.top) top.emplace(token_name(tokenizer, other.token), told(other.logprob));
    offsets.emplace_back(offset);
    logprobs.emplace_back(told(t.logprob));
    offset += count_characters(name);
    names.emplace_back(name);
    tops.push_back(std::move(top));
  }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(logprobs)},
          {"tokens", std::move(names)},
          {"top_logprobs", std::move(tops)}};
}

json::array ids_json(const std::vector<TokenId>& ids) { return json::array(ids.begin(), ids.end()); }

}  // namespace

std::string valid_utf8(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const Utf8Char c = next_utf8(bytes);
    append_utf8(out, c.kind == Utf8Char::valid ? c.code : kReplacement);
    bytes.remove_prefix(c.bytes);
  }
  return out;
}

std::string token_name(const Tokenizer* tokenizer, TokenId id) {
  return tokenizer ? valid_utf8(tokenizer->bytes(id)) : fmt::format("token_id:{}", id);
}

struct AnswerWriter::Json {
  // All of an answer but its choices and usage.
  static json::object head(const AnswerWriter& w, const char* object) {
    return {{"id", w.id_}, {"object", object}, {"created", w.created_}, {"model", w.model_.name}};
  }

  // A choice whose text stands in `body`: {"message": ...}, {"delta": ...} or {"text": ...}.
  static json::object choice(const AnswerWriter& w, const Piece& p, const char* name, json::value body) {
    json::object c{{"index", p.index}, {name, std::move(body)}};
    c["logprobs"] = nullptr;
    if (w.logprobs_ && !p.tokens.empty())
      c["logprobs"] = w.chat_ ? chat_logprobs(w.model_.tokenizer, p.tokens) : text_logprobs(w.model_.tokenizer, p.tokens, p.offset);
    c["finish_reason"] = finish_name(p.finish);
    c["stop_reason"] = p.stop_reason.empty() ? json::value(nullptr) : json::value(p.stop_reason);
    if (!w.token_ids_) return c;
    json::array ids;
    for (const SampleResult& t : p.tokens) ids.emplace_back(t.token);
    c["token_ids"] = std::move(ids);
    if (p.prompt && !w.chat_) c["prompt_token_ids"] = ids_json(*p.prompt);
    return c;
  }

  static std::string event(const AnswerWriter& w, json::array choices, const std::vector<TokenId>* prompt, const Usage* usage) {
    json::object answer = head(w, w.chat_ ? "chat.completion.chunk" : "text_completion");
    answer["choices"] = std::move(choices);
    if (prompt && w.token_ids_ && w.chat_) answer["prompt_token_ids"] = ids_json(*prompt);
    if (usage)
      answer["usage"] = usage_json(*usage);
    else if (w.usage_in_chunks_)
      answer["usage"] = nullptr;
    return json::serialize(answer);
  }
};

AnswerWriter::AnswerWriter(const CompletionRequest& request, const ServedModel& model)
    : model_(model),
      chat_(request.chat),
      logprobs_(request.logprobs()),
      token_ids_(request.return_token_ids),
      usage_in_chunks_(request.include_usage),
      id_(fmt::format("{}-{:016x}{:08x}", request.chat ? "chatcmpl" : "cmpl", random_seed(), random_seed() & 0xFFFFFFFF)),
      created_(std::time(nullptr)) {}

std::string AnswerWriter::whole(std::span<const Piece> choices, const Usage& usage) const {
  json::object answer = Json::head(*this, chat_ ? "chat.completion" : "text_completion");
  json::array list;
  for (const Piece& p : choices) {
    if (chat_)
      list.push_back(Json::choice(*this, p, "message", {{"role", "assistant"}, {"content", p.text}, {"refusal", nullptr}}));
    else
      list.push_back(Json::choice(*this, p, "text", json::value(p.text)));
  }
  answer["choices"] = std::move(list);
  if (token_ids_ && chat_ && choices[0].prompt) answer["prompt_token_ids"] = ids_json(*choices[0].prompt);
  answer["usage"] = usage_json(usage);
  return json::serialize(answer);
}

std::string AnswerWriter::role(const Piece& p, const Usage* usage) const {
  json::array choices;
  choices.push_back(Json::choice(*this, {.index = p.index}, "delta", {{"role", "assistant"}, {"content", ""}}));
  return Json::event(*this, std::move(choices), p.prompt, usage);
}

std::string AnswerWriter::chunk(const Piece& p, const Usage* usage) const {
  json::array choices;
  if (!chat_)
    choices.push_back(Json::choice(*this, p, "text", json::value(p.text)));
  else if (p.text.empty())
    choices.push_back(Json::choice(*this, p, "delta", json::object()));
  else
    choices.push_back(Json::choice(*this, p, "delta", {{"content", p.text}}));
  return Json::event(*this, std::move(choices), nullptr, usage);
}

std::string AnswerWriter::last(const Usage& usage) const { return Json::event(*this, {}, nullptr, &usage); }

std::size_t AnswerWriter::characters(std::span<const SampleResult> tokens) const {
  if (!logprobs_ || chat_) return 0;
  std::size_t count = 0;
  for (const SampleResult& t : tokens) count += count_characters(token_name(model_.tokenizer, t.token));
  return count;
}

}  // namespace shardline::launcher::api
