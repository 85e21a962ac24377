#include "engine/text/tokenizer.h"

#include <gmock/gmock.h>

#include "engine/text/tokenizer_json.h"
#include "tests/unit/engine/text/test_data.h"

namespace shardline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokenizerSpec small_spec(const std::string& pre_tokenizer) {
  auto spec = read_tokenizer_json(testing::read_data(pre_tokenizer + ".tokenizer.json"), "");
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  return *spec;
}

Tokenizer small_tokenizer(const std::string& pre_tokenizer) { return *Tokenizer::create(small_spec(pre_tokenizer)); }

TokenId id_of(const Tokenizer& tokenizer, const std::string& token) {
  const auto& tokens = tokenizer.spec().tokens;
  return static_cast<TokenId>(std::find(tokens.begin(), tokens.end(), token) - tokens.begin());
}

class OracleTest : public ::testing::TestWithParam<const char*> {};

TEST_P(OracleTest, EncodesAsHuggingFaceAndDecodesBack) {
  const std::string name = GetParam();
  const Tokenizer tokenizer = small_tokenizer(name);
  EXPECT_EQ(tokenizer.spec().pre_tokenizer, name);
  const auto cases = testing::read_json(name + ".cases.json");
  ASSERT_GE(cases.as_array().size(), 50u);
  for (const auto& c : cases.as_array()) {
    const std::string hex = testing::text(c.at(0)), bytes = testing::from_hex(hex);
    const auto ids = tokenizer.encode(bytes);
    EXPECT_EQ(ids, testing::ids(c.at(1))) << hex;
    EXPECT_EQ(tokenizer.decode(ids), bytes) << hex;
  }
}

TEST_P(OracleTest, EncodesAMegabyteOfAnything) {  // a quadratic merge would take hours
  const Tokenizer tokenizer = small_tokenizer(GetParam());
  for (const std::string unit : {"a", " ", "7", "\n", " \n", "<", "'", "\xff", "\xe6", "the ", "\xe2\x82\xac"}) {
    std::string bytes;
    while (bytes.size() < 1'000'000) bytes += unit;
    EXPECT_TRUE(tokenizer.decode(tokenizer.encode(bytes)) == bytes) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(PreTokenizers, OracleTest, ::testing::Values("smollm", "gpt-2", "llama-bpe", "qwen2", "default"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(Tokenizer, ControlTokensCountOnlyWhereThePieceSaysSo) {
  const Tokenizer t = small_tokenizer("gpt-2");
  const TokenId begin = id_of(t, "<|begin|>"), tool = id_of(t, "<tool>");
  EXPECT_THAT(t.encode("<|begin|><tool>"), ElementsAre(begin, tool));

  const auto plain = t.encode("<|begin|><tool>", false);  // user-defined tokens always count
  EXPECT_EQ(std::count(plain.begin(), plain.end(), begin), 0);
  EXPECT_EQ(plain.back(), tool);
  EXPECT_EQ(t.decode(plain), "<|begin|><tool>");

  // A control token of which a part is a message's text is text.
  EXPECT_EQ(t.encode(std::vector<TextPiece>{{"<|beg", true}, {"in|>", false}}), t.encode("<|begin|>", false));
  EXPECT_EQ(t.encode(std::vector<TextPiece>{{"<|beg", false}, {"in|>", true}}), t.encode("<|begin|>", false));
  EXPECT_THAT(t.encode(std::vector<TextPiece>{{"<|beg", true}, {"", false}, {"in|>", true}}), ElementsAre(begin));
  EXPECT_THAT(t.encode(std::vector<TextPiece>{{"<|begin|>", true}, {"<to", false}, {"ol>", true}}), ElementsAre(begin, tool));
}

TEST(Tokenizer, TheLongestTokenThatIsAllowedWins) {
  const Tokenizer t = small_tokenizer("gpt-2");
  EXPECT_THAT(t.encode("<|end|>x"), ElementsAre(id_of(t, "<|end|>x")));
  EXPECT_THAT(t.encode(std::vector<TextPiece>{{"<|end|>", true}, {"x", false}}), ElementsAre(id_of(t, "<|end|>"), id_of(t, "x")));
  EXPECT_EQ(t.encode("<|end")[0], id_of(t, "<|en"));
}

TEST(Tokenizer, BordersBetweenPiecesDoNotCutWords) {
  const Tokenizer t = small_tokenizer("llama-bpe");
  const std::string text = "the softmax decides in 1024 steps\n\n日本 €";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::vector<TextPiece> pieces{{text.substr(0, cut), true}, {text.substr(cut), false}};
    EXPECT_EQ(t.encode(pieces), t.encode(text)) << cut;
  }
}

TEST(Tokenizer, WholePiecesSkipMergesOnlyWhereTheModelSaysSo) {
  TokenizerSpec spec = small_spec("gpt-2");
  spec.tokens.push_back("zqzq");  // no merges lead here
  spec.kinds.push_back(TokenKind::normal);
  EXPECT_EQ(Tokenizer::create(spec)->encode("zqzq").size(), 4u);
  spec.ignore_merges = true;
  EXPECT_THAT(Tokenizer::create(spec)->encode("zqzq"), ElementsAre(static_cast<TokenId>(spec.tokens.size() - 1)));
}

TEST(Tokenizer, GivesBytesAndHidesControlTokens) {
  const Tokenizer t = small_tokenizer("gpt-2");
  const std::vector<TokenId> ids = t.encode("<|begin|> a€<tool>");
  EXPECT_EQ(t.decode(ids, false), " a€<tool>");
  EXPECT_EQ(t.bytes(ids[0]), "<|begin|>");
  EXPECT_EQ(t.bytes(ids[0], false), "");
  EXPECT_TRUE(t.is_control(ids[0]));
  EXPECT_FALSE(t.is_control(ids.back()));
  EXPECT_EQ(t.bytes(-1), "");  // models may have more rows than the vocabulary has tokens
  EXPECT_EQ(t.bytes(t.vocab()), "");
}

TEST(Tokenizer, BytesWithoutATokenAreLeftOut) {
  TokenizerSpec spec = small_spec("gpt-2");
  spec.kinds[0] = TokenKind::unused;
  spec.tokens[0] = "[PAD]";  // was "!"
  std::erase_if(spec.merges, [](const std::string& merge) { return merge.find('!') != std::string::npos; });
  const Tokenizer t = *Tokenizer::create(spec);
  EXPECT_EQ(t.decode(t.encode("a!b")), "ab");
}

TEST(Tokenizer, RefusesBrokenSpecs) {
  const auto error = [](auto change) {
    TokenizerSpec spec = small_spec("gpt-2");
    change(spec);
    const auto result = Tokenizer::create(spec);
    EXPECT_FALSE(result.ok());
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_THAT(error([](TokenizerSpec& s) { s.model = "unigram"; }), HasSubstr("unigram"));
  EXPECT_THAT(error([](TokenizerSpec& s) { s.pre_tokenizer = "latin"; }), HasSubstr("latin"));
  EXPECT_THAT(error([](TokenizerSpec& s) { s.merges.push_back("q zz"); }), HasSubstr("q zz"));
  EXPECT_THAT(error([](TokenizerSpec& s) { s.merges.push_back("q"); }), HasSubstr("'q'"));
  EXPECT_THAT(error([](TokenizerSpec& s) { s.kinds.pop_back(); }), HasSubstr("kinds"));
  EXPECT_THAT(error([](TokenizerSpec& s) { s.eos = 1 << 20; }), HasSubstr("1048576"));
}

TEST(IncrementalDecoder, NeverEndsInsideACharacter) {
  const Tokenizer t = small_tokenizer("gpt-2");
  const std::string text = "a€🙂é";
  std::string out;
  IncrementalDecoder decoder(t);
  for (const char byte : text) {
    const std::string delta = decoder.push(t.encode(std::string_view(&byte, 1))[0]);
    EXPECT_TRUE(delta.empty() || delta == "a" || delta == "€" || delta == "🙂" || delta == "é") << delta;
    out += delta;
  }
  EXPECT_EQ(out, text);
  EXPECT_EQ(decoder.finish(), "");
}

TEST(IncrementalDecoder, ReplacesWhatIsNoCharacter) {
  const Tokenizer t = small_tokenizer("gpt-2");
  const auto decode = [&](std::string_view bytes) {
    IncrementalDecoder decoder(t);
    std::string out;
    for (const char byte : bytes) out += decoder.push(t.encode(std::string_view(&byte, 1))[0]);
    return out + decoder.finish();
  };
  EXPECT_EQ(decode("\xe2\x82"), "\uFFFD");                    // cut off by the end
  EXPECT_EQ(decode("\xe2\x82z"), "\uFFFDz");                  // by another character
  EXPECT_EQ(decode("\xc0\xaf"), "\uFFFD\uFFFD");              // overlong
  EXPECT_EQ(decode("\xed\xa0\x80x"), "\uFFFD\uFFFD\uFFFDx");  // a surrogate
  EXPECT_EQ(decode("\xf4\x90z"), "\uFFFD\uFFFDz");            // above U+10FFFF
}

TEST(IncrementalDecoder, ShowsControlTokensOnlyWhenAsked) {
  const Tokenizer t = small_tokenizer("gpt-2");
  EXPECT_EQ(IncrementalDecoder(t).push(id_of(t, "<|end|>")), "");
  EXPECT_EQ(IncrementalDecoder(t, true).push(id_of(t, "<|end|>")), "<|end|>");
  EXPECT_EQ(IncrementalDecoder(t).push(id_of(t, "<tool>")), "<tool>");
}

}  // namespace
}  // namespace shardline
