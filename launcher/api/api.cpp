#include "launcher/api/api.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "launcher/api/completion.h"
#include "launcher/api/fields.h"
#include "launcher/api/json_reader.h"
#include "launcher/api/prompt.h"

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;
using ResponderPtr = std::shared_ptr<http::Responder>;

constexpr std::size_t kMostTextOut = 8 << 20;  // of /detokenize

void answer(const ResponderPtr& responder, const json::value& body) { responder->send({.body = json::serialize(body)}); }

void refuse(const ResponderPtr& responder, const ApiError& error) { responder->send(error_response(error)); }

void plain(const ResponderPtr& responder, int status, std::string text) {
  responder->send({status, "text/plain; charset=utf-8", std::move(text)});
}

// The JSON object of a request's body.
std::optional<ApiError> read_body(const http::Request& request, json::value& out) {
  const std::string_view type = request.field("content-type");
  if (!http::equal_without_case(type.substr(0, type.find(';')), "application/json"))
    return ApiError{.status = 415, .message = "the content type must be application/json", .code = "unsupported_media_type"};
  const std::string_view encoding = request.field("content-encoding");
  if (!encoding.empty() && !http::equal_without_case(encoding, "identity"))
    return ApiError{.status = 415, .message = "the body must not be encoded", .code = "unsupported_media_type"};
  auto value = parse_json(request.body);
  if (!value.ok()) return ApiError{.message = value.error().message, .code = "invalid_json"};
  if (!value->is_object()) return ApiError{.message = "the body must be a JSON object", .code = "invalid_json"};
  out = std::move(*value);
  return {};
}

}  // namespace

const Api::Entry Api::kRoutes[] = {
    {"/v1/chat/completions", true, &Api::chat},
    {"/v1/completions", true, &Api::completions},
    {"/v1/models", false, &Api::models},
    {"/tokenize", true, &Api::tokenize},
    {"/detokenize", true, &Api::detokenize},
    {"/health", false, &Api::health},
    {"/livez", false, &Api::live},
    {"/readyz", false, &Api::ready},
    {"/version", false, &Api::version},
    {"/metrics", false, &Api::metrics},
};

Api::Api(Controller& controller, Metrics& metrics, const ServedModel& model, const ServeInfo& info)
    : controller_(controller), metrics_(metrics), model_(model), info_(info), created_(std::time(nullptr)) {}

void Api::handle(http::Request request, const ResponderPtr& responder) const {
  const std::string one_model = "/v1/models/" + model_.name;
  for (const auto& [path, post, route] : kRoutes) {
    if (request.path != path && !(route == &Api::models && request.path == one_model)) continue;
    if (post ? request.method == "POST" : request.method == "GET" || request.method == "HEAD") return (this->*route)(request, responder);
    http::Response response = error_response({.status = 405, .message = "this route takes another method", .code = "method_not_allowed"});
    response.fields.emplace_back("Allow", post ? "POST" : "GET, HEAD");
    return responder->send(std::move(response));
  }
  if (request.path.starts_with("/v1/models/"))
    return refuse(responder, {404, fmt::format("no such model; {} is served", model_.name), "model", "model_not_found"});
  refuse(responder, {.status = 404, .message = "no such route: " + for_log(request.path), .code = "not_found"});
}

void Api::chat(const http::Request& request, const ResponderPtr& responder) const { complete(request, responder, true); }
void Api::completions(const http::Request& request, const ResponderPtr& responder) const { complete(request, responder, false); }

void Api::complete(const http::Request& request, const ResponderPtr& responder, bool chat) const {
  json::value body;
  CompletionRequest parsed;
  std::vector<GenerateRequest> prompts;
  std::optional<ApiError> fault = read_body(request, body);
  if (!fault) fault = parse_completion(body, chat, model_, parsed);
  if (!fault) fault = make_prompts(parsed, model_, prompts);
  if (fault) return refuse(responder, *fault);
  const std::string log_name = fmt::format("{} {}", request.peer, request.path);
  std::make_shared<Completion>(controller_, model_, parsed, std::move(prompts), responder, log_name)->start();
}

// vLLM's: {prompt} or {messages}, add_special_tokens, return_token_strs -> {count, max_model_len, tokens, token_strs}.
void Api::tokenize(const http::Request& request, const ResponderPtr& responder) const {
  json::value body;
  if (const auto fault = read_body(request, body)) return refuse(responder, *fault);
  std::optional<ApiError> fault;
  Fields fields(body.get_object(), fault);
  check_model(body.get_object(), model_, fault);
  const bool chat = fields.find("messages") != nullptr;
  if (!model_.tokenizer || (chat && !model_.chat)) fields.refuse(chat ? "messages" : "prompt", "needs a model with a tokenizer");
  const bool special = fields.boolean("add_special_tokens", !chat);
  const bool strings = fields.boolean("return_token_strs", false);
  const bool generation = fields.boolean("add_generation_prompt", true);
  if (!chat && !fields.find("prompt")) fields.refuse("prompt", "is missing");
  const std::string text = chat ? std::string() : fields.text("prompt", request.body.size());
  const std::vector<ChatMessage> messages = chat ? parse_messages(body.get_object(), fault) : std::vector<ChatMessage>();
  std::vector<TokenId> ids;
  constexpr int kAnyLength = 1 << 24;
  if (!fault)
    fault =
        chat ? encode_chat(messages, generation, special, model_, kAnyLength, ids) : encode_text(text, special, model_, kAnyLength, ids);
  if (fault) return refuse(responder, *fault);
  json::object out{{"count", ids.size()}, {"max_model_len", model_.context}, {"tokens", json::array(ids.begin(), ids.end())}};
  out["token_strs"] = nullptr;
  if (strings) {
    json::array names;
    for (const TokenId id : ids) names.emplace_back(token_name(model_.tokenizer, id));
    out["token_strs"] = std::move(names);
  }
  answer(responder, out);
}

void Api::detokenize(const http::Request& request, const ResponderPtr& responder) const {
  json::value body;
  if (const auto fault = read_body(request, body)) return refuse(responder, *fault);
  std::optional<ApiError> fault;
  Fields fields(body.get_object(), fault);
  check_model(body.get_object(), model_, fault);
  const json::value* list = fields.find("tokens");
  const auto ids = list ? token_ids(*list, model_.vocab) : std::nullopt;
  if (!model_.tokenizer) fields.refuse("tokens", "needs a model with a tokenizer");
  if (!ids) fields.refuse("tokens", fmt::format("must be a list of token ids from 0 to {}", model_.vocab - 1));
  if (ids && ids->size() > kMostTextOut / std::max<std::size_t>(model_.longest_token, 1)) fields.refuse("tokens", "holds too many tokens");
  if (fault) return refuse(responder, *fault);
  answer(responder, {{"prompt", valid_utf8(model_.tokenizer->decode(*ids))}});
}

void Api::models(const http::Request& request, const ResponderPtr& responder) const {
  json::object one{{"id", model_.name},       {"object", "model"},   {"created", created_},
                   {"owned_by", "shardline"}, {"root", model_.name}, {"parent", nullptr}};
  one["max_model_len"] = model_.context;
  if (request.path != "/v1/models") return answer(responder, one);
  json::array list;
  list.push_back(std::move(one));
  answer(responder, {{"object", "list"}, {"data", std::move(list)}});
}

void Api::live(const http::Request&, const ResponderPtr& responder) const { plain(responder, 200, "ok\n"); }

void Api::ready(const http::Request&, const ResponderPtr& responder) const {
  const std::string failure = controller_.failure();
  plain(responder, failure.empty() ? 200 : 503, (failure.empty() ? "ok" : failure) + "\n");
}

// vLLM's: an empty body.
void Api::health(const http::Request&, const ResponderPtr& responder) const {
  responder->send({controller_.failure().empty() ? 200 : 503, "", ""});
}

void Api::version(const http::Request&, const ResponderPtr& responder) const {
  answer(responder, {{"version", info_.version},
                     {"build", info_.build},
                     {"kernels", info_.kernels},
                     {"compute", info_.compute},
                     {"tp", info_.tp},
                     {"pp", info_.pp},
                     {"exact", true}});
}

void Api::metrics(const http::Request&, const ResponderPtr& responder) const {
  responder->send({200, "text/plain; version=0.0.4; charset=utf-8", metrics_.text(controller_.stats())});
}

void handle_loading(const http::Request& request, const ResponderPtr& responder) {
  if (request.path == "/livez") return plain(responder, 200, "ok\n");
  if (request.path == "/readyz") return plain(responder, 503, "the model is being loaded\n");
  refuse(responder, {503, "the model is being loaded", "", "overloaded", 5});
}

}  // namespace shardline::launcher::api
