#include "engine/text/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "engine/text/pre_tokenizer.h"

namespace shardline {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMaxTokens = 1 << 20;

// A value and the path that leads to it. Asking an absent value, or one of another type, gives absent, empty or the fallback.
class Node {
 public:
  Node(const json::value* value, std::string path) : value_(value && !value->is_null() ? value : nullptr), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  bool absent() const { return value_ == nullptr; }
  Node operator[](std::string_view key) const {
    const json::object* object = value_ ? value_->if_object() : nullptr;
    return {object ? object->if_contains(key) : nullptr, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key)};
  }
  std::string text() const {
    const json::string* text = value_ ? value_->if_string() : nullptr;
    return text ? std::string(*text) : std::string();
  }
  bool flag(bool fallback) const {
    const bool* flag = value_ ? value_->if_bool() : nullptr;
    return flag ? *flag : fallback;
  }
  std::optional<TokenId> token_id() const {
    const std::int64_t* id = value_ ? value_->if_int64() : nullptr;
    if (!id || *id < 0 || *id >= kMaxTokens) return std::nullopt;
    return static_cast<TokenId>(*id);
  }
  std::vector<Node> items() const {
    std::vector<Node> out;
    const json::array* array = value_ ? value_->if_array() : nullptr;
    for (std::size_t i = 0; array && i < array->size(); ++i) out.emplace_back(&(*array)[i], fmt::format("{}[{}]", path_, i));
    return out;
  }
  std::vector<std::pair<std::string_view, Node>> members() const {
    std::vector<std::pair<std::string_view, Node>> out;
    const json::object* object = value_ ? value_->if_object() : nullptr;
    if (!object) return out;
    for (const auto& [key, value] : *object) out.emplace_back(key, Node(&value, fmt::format("{}[\"{}\"]", path_, std::string_view(key))));
    return out;
  }
  // Sections such as normalizer hold one component, or a Sequence of them under `list`.
  std::vector<Node> sequence(std::string_view list) const {
    if (absent()) return {};
    return (*this)["type"].text() == "Sequence" ? (*this)[list].items() : std::vector<Node>{*this};
  }

 private:
  const json::value* value_;
  std::string path_;
};

Error bad(const Node& at, std::string message) {
  return {ErrorCode::bad_model, fmt::format("tokenizer.json: {}: {}", at.path(), message), at.path()};
}
Error unknown(const Node& at) { return bad(at, fmt::format("unknown or unsupported '{}'", at["type"].text())); }

Result<json::value> parse(std::string_view text, std::string_view file) {
  json::error_code error;
  json::value value = json::parse(text, error);
  if (!error && value.is_object()) return value;
  return Error{ErrorCode::bad_model, fmt::format("{}: {}", file, error ? error.message() : "not an object"), std::string(file)};
}

void put(TokenizerSpec& spec, TokenId id, std::string text, TokenKind kind) {
  const auto i = static_cast<std::size_t>(id);
  if (i >= spec.tokens.size()) {
    spec.tokens.resize(i + 1);
    spec.kinds.resize(i + 1, TokenKind::unused);
  }
  spec.tokens[i] = std::move(text);
  spec.kinds[i] = kind;
}

Status read_model(const Node& model, TokenizerSpec& spec) {
  if (model["type"].text() != "BPE" && !model["type"].absent()) return unknown(model);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model[key].text().empty()) return bad(model[key], fmt::format("'{}' is unsupported", model[key].text()));
  }
  if (model["byte_fallback"].flag(false)) return bad(model["byte_fallback"], "unsupported");
  if (!model["dropout"].absent()) return bad(model["dropout"], "unsupported");
  spec.model = "gpt2";
  spec.ignore_merges = model["ignore_merges"].flag(false);

  for (const auto& [text, id] : model["vocab"].members()) {
    if (!id.token_id()) return bad(id, "not a token id");
    put(spec, *id.token_id(), std::string(text), TokenKind::normal);
  }
  if (spec.tokens.empty()) return bad(model["vocab"], "no tokens");
  for (const Node& merge : model["merges"].items()) {
    const std::vector<Node> pair = merge.items();  // newer files write pairs, older ones "left right"
    spec.merges.push_back(pair.size() == 2 ? pair[0].text() + ' ' + pair[1].text() : merge.text());
  }
  return {};
}

Status read_added_tokens(const Node& added, TokenizerSpec& spec) {
  for (const Node& token : added.items()) {
    for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
      if (token[flag].flag(false)) return bad(token[flag], fmt::format("unsupported, in token '{}'", token["content"].text()));
    }
    if (!token["id"].token_id()) return bad(token["id"], "not a token id");
    put(spec, *token["id"].token_id(), token["content"].text(),
        token["special"].flag(false) ? TokenKind::control : TokenKind::user_defined);
  }
  return {};
}

// The section as stages of regular expressions, to be found among those with a name.
Status read_pre_tokenizer(const Node& section, TokenizerSpec& spec) {
  std::vector<std::string> stages;
  bool byte_level = false;
  for (const Node& part : section.sequence("pretokenizers")) {
    const std::string type = part["type"].text();
    if (byte_level) return bad(part, "a step after ByteLevel");
    if (type == "ByteLevel") {
      if (part["add_prefix_space"].flag(true)) return bad(part["add_prefix_space"], "unsupported");
      if (part["use_regex"].flag(true)) stages.emplace_back(kGpt2Split);
      byte_level = true;
    } else if (type == "Digits") {
      stages.push_back(part["individual_digits"].flag(false) ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Split" && part["behavior"].text() == "Isolated" && !part["invert"].flag(false)) {
      stages.push_back(part["pattern"]["Regex"].text());
    } else {
      return unknown(part);
    }
  }
  if (!byte_level) return bad(section, "no ByteLevel step");
  for (const PreTokenizerRule& rule : pre_tokenizer_rules()) {
    if (std::equal(stages.begin(), stages.end(), rule.stages.begin(), rule.stages.end())) spec.pre_tokenizer = rule.name;
  }
  if (spec.pre_tokenizer.empty()) return bad(section, fmt::format("unknown way to split text: {}", fmt::join(stages, "   then   ")));
  return {};
}

// Only what puts a BOS before the text.
Status read_post_processor(const Node& section, TokenizerSpec& spec) {
  for (const Node& part : section.sequence("processors")) {
    const std::string type = part["type"].text();
    if (type == "ByteLevel") continue;  // trims offsets, changes no token
    if (type != "TemplateProcessing") return unknown(part);
    const std::vector<Node> single = part["single"].items();
    if (single.empty() || single.size() > 2 || single.back()["Sequence"].absent())
      return bad(part["single"], "more than a token before the text");
    if (single.size() == 1) continue;
    const std::string name = single[0]["SpecialToken"]["id"].text();
    const std::vector<Node> ids = part["special_tokens"][name]["ids"].items();
    if (ids.size() != 1 || !ids[0].token_id()) return bad(part["special_tokens"], fmt::format("no id for '{}'", name));
    spec.bos = *ids[0].token_id();
    spec.add_bos = true;
  }
  return {};
}

// Written as a string, or as an object of the added token.
TokenId find_token(const Node& token, const TokenizerSpec& spec, TokenId fallback) {
  const std::string text = token["content"].absent() ? token.text() : token["content"].text();
  const auto it = std::find(spec.tokens.begin(), spec.tokens.end(), text);
  return text.empty() || it == spec.tokens.end() ? fallback : static_cast<TokenId>(it - spec.tokens.begin());
}

void read_config(const Node& config, TokenizerSpec& spec) {
  spec.bos = find_token(config["bos_token"], spec, spec.bos);
  spec.eos = find_token(config["eos_token"], spec, spec.eos);
  spec.unknown = find_token(config["unk_token"], spec, spec.unknown);
  spec.pad = find_token(config["pad_token"], spec, spec.pad);
  spec.add_bos = config["add_bos_token"].flag(spec.add_bos) && spec.bos >= 0;
  spec.chat_template = config["chat_template"].text();
  for (const Node& named : config["chat_template"].items()) {
    if (named["name"].text() == "default") spec.chat_template = named["template"].text();
  }
}

}  // namespace

Result<TokenizerSpec> read_tokenizer_json(std::string_view text, std::string_view tokenizer_config_json) {
  const Result<json::value> file = parse(text, "tokenizer.json");
  if (!file) return file.error();
  const Node root(&file.value(), "");
  TokenizerSpec spec;
  for (const Node& part : root["normalizer"].sequence("normalizers")) {
    if (part["type"].text() != "NFC") return unknown(part);
  }
  if (root["decoder"]["type"].text() != "ByteLevel") return unknown(root["decoder"]);
  if (Status status = read_model(root["model"], spec); !status) return status.error();
  if (Status status = read_added_tokens(root["added_tokens"], spec); !status) return status.error();
  if (Status status = read_pre_tokenizer(root["pre_tokenizer"], spec); !status) return status.error();
  if (Status status = read_post_processor(root["post_processor"], spec); !status) return status.error();

  if (tokenizer_config_json.empty()) return spec;
  const Result<json::value> config = parse(tokenizer_config_json, "tokenizer_config.json");
  if (!config) return config.error();
  read_config(Node(&config.value(), ""), spec);
  return spec;
}

}  // namespace shardline
