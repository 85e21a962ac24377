#include "engine/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/core.h>
#include <pcre2.h>

#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/text/utf8.h"

namespace shardline {
namespace {

// What a match may cost before it is given up: linear work on megabytes stays far below, backtracking without end does not.
constexpr std::uint32_t kMatchLimit = 100'000'000;
constexpr std::uint32_t kDepthLimit = 10'000;

template <auto function>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    function(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;

// PCRE2's own \s knows only ASCII, or U+180E too: spell White_Space out.
std::string with_unicode_space(std::string_view pattern) {
  constexpr std::string_view kSpace = R"(\p{Z}\t-\r\x{85})";
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view escape = pattern.substr(i, 2);
    if (escape == R"(\s)" || escape == R"(\S)") {
      CHECK(!in_class || escape[1] == 's', "\\S inside a class: {}", pattern);
      out += in_class ? std::string(kSpace) : fmt::format("[{}{}]", escape[1] == 'S' ? "^" : "", kSpace);
      ++i;
    } else if (escape[0] == '\\') {
      out += escape;
      ++i;
    } else {
      in_class = escape[0] == '[' || (in_class && escape[0] != ']');
      out += escape[0];
    }
  }
  return out;
}

Code compile(std::string_view pattern) {
  const std::string text = with_unicode_space(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF, &error, &at, nullptr));
  CHECK(code, "{} at {}: error {}", text, at, error);
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where the system forbids it, the same matches come slower
  return code;
}

// The end of the valid (or invalid) run that begins at `from`.
std::size_t run_end(std::string_view text, std::size_t from, bool valid) {
  while (from < text.size()) {
    const Utf8Char c = next_utf8(text.substr(from));
    if ((c.kind == Utf8Char::valid) != valid) break;
    from += c.bytes;
  }
  return from;
}

}  // namespace

std::span<const PreTokenizerRule> pre_tokenizer_rules() {
  static const PreTokenizerRule rules[] = {
      {"smollm", {R"(\p{N})", kGpt2Split}},
      {"gpt-2", {kGpt2Split}},
      {"llama-bpe",
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"qwen2", {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Split, R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
  };
  return rules;
}

struct PreTokenizer::Impl {
  std::vector<Code> stages;

  void apply(const Code& code, std::string_view text, pcre2_match_data* match, pcre2_match_context* limits,
             std::vector<std::string_view>& pieces) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
    std::size_t at = 0;
    while (at < text.size()) {
      // A match over its limit leaves the rest as one piece: still every byte, and still bounded.
      if (pcre2_match(code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, match, limits) < 0) break;
      if (range[0] > at) pieces.push_back(text.substr(at, range[0] - at));
      pieces.push_back(text.substr(range[0], range[1] - range[0]));
      at = range[1];
    }
    if (at < text.size()) pieces.push_back(text.substr(at));
  }
};

PreTokenizer::PreTokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  const auto rules = pre_tokenizer_rules();
  const auto rule = std::find_if(rules.begin(), rules.end(), [&](const PreTokenizerRule& r) { return r.name == name; });
  if (rule == rules.end()) return Error{ErrorCode::bad_model, fmt::format("unknown pre-tokenizer '{}'", name), "tokenizer.ggml.pre"};
  auto impl = std::make_unique<Impl>();
  for (const std::string_view stage : rule->stages) impl->stages.push_back(compile(stage));
  return PreTokenizer(std::move(impl));
}

void PreTokenizer::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const MatchData match(pcre2_match_data_create(1, nullptr));
  const MatchContext limits(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(limits.get(), kMatchLimit);
  pcre2_set_depth_limit(limits.get(), kDepthLimit);

  pieces.clear();
  std::vector<std::string_view> runs, previous;
  bool valid = true;
  for (std::size_t at = 0; at < text.size(); valid = !valid) {
    const std::size_t end = run_end(text, at, valid);
    const std::string_view run = text.substr(at, end - at);
    at = end;
    if (!valid) pieces.push_back(run);
    if (!valid || run.empty()) continue;
    runs.assign(1, run);
    for (const Code& stage : impl_->stages) {
      previous.swap(runs);
      runs.clear();
      for (const std::string_view piece : previous) impl_->apply(stage, piece, match.get(), limits.get(), runs);
    }
    pieces.insert(pieces.end(), runs.begin(), runs.end());
  }
}

}  // namespace shardline
