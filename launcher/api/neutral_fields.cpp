#include "launcher/api/neutral_fields.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;

struct Neutral {
  const char* field;
  const char* values;  // a JSON list; null is neutral for all
};

constexpr Neutral kNeutral[] = {
    {"frequency_penalty", "[0]"},
    {"presence_penalty", "[0]"},
    {"repetition_penalty", "[1]"},
    {"length_penalty", "[1]"},
    {"logit_bias", "[{}]"},
    {"use_beam_search", "[false]"},
    {"echo", "[false]"},
    {"suffix", "[\"\"]"},
    {"prompt_embeds", "[[]]"},
    {"prompt_logprobs", "[]"},
    {"logprob_token_ids", "[[]]"},
    {"stop_token_ids", "[[]]"},
    {"bad_words", "[[]]"},
    {"allowed_token_ids", "[]"},
    {"min_tokens", "[0]"},
    {"include_stop_str_in_output", "[false]"},
    {"skip_special_tokens", "[true]"},
    {"truncate_prompt_tokens", "[]"},
    {"return_tokens_as_token_ids", "[false]"},
    {"return_token_offsets", "[false]"},
    {"return_prompt_text", "[false]"},
    {"add_generation_prompt", "[true]"},
    {"continue_final_message", "[false]"},
    {"chat_template", "[]"},
    {"chat_template_kwargs", "[{}]"},
    {"documents", "[[]]"},
    {"tools", "[[]]"},
    {"tool_choice", "[\"none\", \"auto\"]"},
    {"functions", "[[]]"},
    {"function_call", "[\"none\", \"auto\"]"},
    {"response_format", "[{\"type\": \"text\"}]"},
    {"structured_outputs", "[{}]"},
    {"guided_json", "[]"},
    {"guided_regex", "[]"},
    {"guided_choice", "[]"},
    {"guided_grammar", "[]"},
    {"reasoning_effort", "[\"none\"]"},
    {"thinking_token_budget", "[]"},
    {"modalities", "[[\"text\"]]"},
    {"audio", "[]"},
    {"prediction", "[]"},
    {"web_search_options", "[]"},
    {"repetition_detection", "[]"},
    {"cache_salt", "[]"},
    {"kv_transfer_params", "[]"},
    {"vllm_xargs", "[{}]"},
};

bool same(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  return a == b;
}

}  // namespace

void check_neutral(const json::object& body, int n, Fields& fields) {
  for (const auto& [field, values] : kNeutral) {
    const json::value* value = fields.find(field);
    if (!value) continue;
    const json::value accepted = json::parse(values);
    const auto& list = accepted.get_array();
    if (std::ranges::none_of(list, [&](const json::value& v) { return same(*value, v); }))
      fields.refuse(field, "is not supported with this value", "unsupported_value");
  }
  if (const json::value* best_of = body.if_contains("best_of"); best_of && !best_of->is_null() && whole_number(*best_of) != n)
    fields.refuse("best_of", "is not supported but where it equals n", "unsupported_value");
}

}  // namespace shardline::launcher::api
