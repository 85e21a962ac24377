#include "engine/text/tokenizer.h"

#include <fmt/core.h>

#include <unordered_map>

#include "engine/base/check.h"
#include "engine/text/bpe.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/special_tokens.h"

namespace shardline {
namespace {

// The bytes of all tokens end to end; `ends` has one entry more than there are tokens.
struct TokenBytes {
  std::string bytes;
  std::vector<std::size_t> ends{0};

  std::string_view operator[](std::size_t id) const { return std::string_view(bytes).substr(ends[id], ends[id + 1] - ends[id]); }
};

TokenBytes token_bytes(const TokenizerSpec& spec) {
  TokenBytes out;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const auto decoded = spec.kinds[id] == TokenKind::normal ? bytes_of_token(spec.tokens[id]) : std::nullopt;
    out.bytes += decoded ? *decoded : spec.tokens[id];
    out.ends.push_back(out.bytes.size());
  }
  return out;
}

Status check_spec(const TokenizerSpec& spec) {
  const auto bad = [](std::string message, std::string param) { return Error{ErrorCode::bad_model, std::move(message), std::move(param)}; };
  if (spec.model != "gpt2") return bad(fmt::format("unknown tokenizer model '{}'", spec.model), "tokenizer.ggml.model");
  if (spec.tokens.size() > (1u << 20)) return bad(fmt::format("{} tokens are too many", spec.tokens.size()), "tokenizer.ggml.tokens");
  if (spec.kinds.size() != spec.tokens.size()) {
    return bad(fmt::format("{} token kinds for {} tokens", spec.kinds.size(), spec.tokens.size()), "tokenizer.ggml.token_type");
  }
  const auto vocab = static_cast<TokenId>(spec.tokens.size());
  for (const TokenId id : {spec.bos, spec.eos, spec.unknown, spec.pad}) {
    if (id < -1 || id >= vocab) return bad(fmt::format("token id {} in a vocabulary of {}", id, vocab), "tokenizer.ggml");
  }
  return {};
}

}  // namespace

struct Tokenizer::Impl {
  TokenizerSpec spec;
  TokenBytes bytes;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  SpecialTokens special_tokens;
  std::unordered_map<std::string_view, TokenId> whole;  // pieces that are one token: most words of a text

  Impl(TokenizerSpec s, PreTokenizer pre, Bpe merges)
      : spec(std::move(s)), bytes(token_bytes(spec)), pre_tokenizer(std::move(pre)), bpe(std::move(merges)), special_tokens(spec) {
    Bpe::Scratch scratch;
    std::vector<TokenId> ids;
    whole.reserve(spec.tokens.size());
    for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
      if (spec.kinds[i] != TokenKind::normal || !bytes_of_token(spec.tokens[i])) continue;
      const auto id = static_cast<TokenId>(i);
      ids.clear();
      if (!spec.ignore_merges) bpe.encode(bytes[i], ids, scratch);
      if (spec.ignore_merges || (ids.size() == 1 && ids[0] == id)) whole.emplace(bytes[i], id);
    }
  }

  // What one call of encode() keeps from segment to segment.
  struct Run {
    Bpe::Scratch scratch;
    std::vector<std::string_view> pieces;
    std::vector<TokenId> out;
  };

  void encode_segment(std::string_view text, Run& run) const {
    pre_tokenizer.split(text, run.pieces);
    for (const std::string_view piece : run.pieces) {
      const auto it = whole.find(piece);
      if (it != whole.end()) {
        run.out.push_back(it->second);
      } else {
        bpe.encode(piece, run.out, run.scratch);
      }
    }
  }

  // `special_end(at)`: up to where control tokens count, for ascending places.
  template <class SpecialEnd>
  std::vector<TokenId> encode(std::string_view text, SpecialEnd special_end) const {
    CHECK(text.size() < (1u << 31), "{} bytes of text", text.size());
    Run run;
    std::size_t begin = 0;  // of the segment that no special token has ended yet
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = special_end(at);
      const auto match = special_tokens.match(text.substr(at), end > at ? end - at : 0);
      if (!match) {
        ++at;
        continue;
      }
      encode_segment(text.substr(begin, at - begin), run);
      run.out.push_back(match->id);
      begin = at += match->bytes;
    }
    encode_segment(text.substr(begin), run);
    return std::move(run.out);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  if (const Status status = check_spec(spec); !status) return status.error();
  Result<PreTokenizer> pre = PreTokenizer::create(spec.pre_tokenizer);
  if (!pre) return pre.error();
  Result<Bpe> bpe = Bpe::create(spec);
  if (!bpe) return bpe.error();
  return Tokenizer(std::make_unique<Impl>(std::move(spec), std::move(*pre), std::move(*bpe)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special) const {
  return impl_->encode(text, [&](std::size_t) { return parse_special ? text.size() : 0; });
}

std::vector<TokenId> Tokenizer::encode(std::span<const TextPiece> pieces) const {
  struct Border {
    std::size_t end;
    bool special;
  };
  std::string text;
  std::vector<Border> borders;
  for (const TextPiece& piece : pieces) {
    if (piece.text.empty()) continue;
    text += piece.text;
    if (borders.empty() || borders.back().special != piece.parse_special) borders.push_back({0, piece.parse_special});
    borders.back().end = text.size();
  }
  return impl_->encode(text, [&, border = borders.begin()](std::size_t at) mutable {
    while (border->end <= at) ++border;
    return border->special ? border->end : 0;
  });
}

std::string_view Tokenizer::bytes(TokenId id, bool special) const {
  if (id < 0 || id >= vocab() || (!special && is_control(id))) return {};
  return impl_->bytes[static_cast<std::size_t>(id)];
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string text;
  for (const TokenId id : ids) text += bytes(id, special);
  return text;
}

int Tokenizer::vocab() const { return static_cast<int>(impl_->spec.tokens.size()); }
bool Tokenizer::is_control(TokenId id) const {
  return id >= 0 && id < vocab() && impl_->spec.kinds[static_cast<std::size_t>(id)] == TokenKind::control;
}
const TokenizerSpec& Tokenizer::spec() const { return impl_->spec; }

}  // namespace shardline
