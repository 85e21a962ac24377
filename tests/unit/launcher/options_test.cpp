#include "launcher/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "launcher/exit_status.h"

namespace shardline::launcher {
namespace {

std::variant<Options, Exit> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "shardline");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

Options good(std::vector<const char*> arguments) {
  const auto parsed = parse(std::move(arguments));
  const Exit* exit = std::get_if<Exit>(&parsed);
  EXPECT_EQ(exit, nullptr) << exit->text;
  return exit ? Options{} : std::get<Options>(parsed);
}

Exit refused(std::vector<const char*> arguments) {
  const auto parsed = parse(std::move(arguments));
  EXPECT_TRUE(std::holds_alternative<Exit>(parsed));
  return std::holds_alternative<Exit>(parsed) ? std::get<Exit>(parsed) : Exit{};
}

TEST(Options, EveryModelCommandTakesTheTopologyUnderBothNames) {
  for (const char* command : {"serve", "generate", "inspect", "bench"}) {
    const Options short_names = good({command, "m.gguf", "--tp", "3", "--pp", "2", "--threads", "4", "--pp-layers", "8,22"});
    const Options long_names =
        good({command, "m.gguf", "--tensor-parallel-size=3", "--pipeline-parallel-size=2", "-t4", "--pp-layers=8,22"});
    for (const ModelOptions& m : {short_names.model, long_names.model}) {
      EXPECT_EQ(m.path, "m.gguf");
      EXPECT_EQ(m.tp, 3);
      EXPECT_EQ(m.pp, 2);
      EXPECT_EQ(m.threads, 4);
      EXPECT_EQ(m.pp_layers, (std::vector<int>{8, 22}));
    }
  }
}

TEST(Options, SizesTakeUnits) {
  EXPECT_EQ(good({"serve", "m", "--kv-cache-memory", "512MiB"}).model.kv_cache_memory, std::uint64_t{512} << 20);
  EXPECT_EQ(good({"serve", "m", "--kv-cache-memory", "2 GB"}).model.kv_cache_memory, std::uint64_t{2} << 30);
}

TEST(Options, GenerateTakesTextOrIds) {
  const Options text =
      good({"generate", "m", "--prompt", "Hi", "--stop", "a", "--stop", "b", "--temperature", "0.5", "--seed", "7", "--json"});
  EXPECT_EQ(text.command, Command::generate);
  EXPECT_EQ(text.generate.prompt, "Hi");
  EXPECT_EQ(text.generate.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_FLOAT_EQ(text.generate.sampling.temperature, 0.5f);
  EXPECT_EQ(text.generate.seed, 7u);
  EXPECT_TRUE(text.json);
  EXPECT_EQ(good({"generate", "m", "--prompt-ids", "1,2,3"}).generate.prompt_ids, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(refused({"generate", "m", "--prompt", "x", "--prompt-ids", "1"}).code, kExitUsage);
}

TEST(Options, ChatIsAskedForOrForbiddenOrLeftOpen) {
  EXPECT_EQ(good({"generate", "m"}).generate.chat, std::nullopt);
  EXPECT_EQ(good({"generate", "m", "--chat"}).generate.chat, true);
  EXPECT_EQ(good({"generate", "m", "--raw"}).generate.chat, false);
}

TEST(Options, ServeTakesItsOwn) {
  const Options o =
      good({"serve", "m", "--port", "0", "--scheduling-policy", "priority", "--no-enable-prefix-caching", "--shutdown-timeout", "1.5"});
  EXPECT_EQ(o.serve.port, 0);
  EXPECT_EQ(o.serve.limits.policy, scheduler::Policy::priority);
  EXPECT_FALSE(o.serve.limits.prefix_cache);
  EXPECT_EQ(o.serve.shutdown_timeout, std::chrono::milliseconds(1500));
}

TEST(Options, SynthesizeTakesAShapeAndATokenizer) {
  const SynthesizeOptions s = good({"synthesize", "out.gguf", "--shape", "1b,layers=2", "--tokenizer", "m.gguf"}).synthesize;
  EXPECT_EQ(s.out, "out.gguf");
  EXPECT_EQ(s.shape, "1b,layers=2");
  EXPECT_EQ(s.tokenizer, "m.gguf");
  EXPECT_FALSE(s.force);
  const Exit wrong = refused({"synthesize", "out.gguf", "--tokenizer", "m.gguf", "--shape", "1b,heads=7"});
  EXPECT_EQ(wrong.code, kExitUsage);
  EXPECT_THAT(wrong.text, testing::HasSubstr("7 query heads do not divide among 8 KV heads"));
}

TEST(Options, UnknownNamesGetTheNearest) {
  EXPECT_THAT(refused({"serve", "m", "--prot", "1"}).text, testing::HasSubstr("--prot; did you mean --port?"));
  EXPECT_THAT(refused({"generate", "m", "--temprature=0"}).text, testing::HasSubstr("did you mean --temperature?"));
  EXPECT_THAT(refused({"sevre", "m"}).text, testing::HasSubstr("did you mean serve?"));
  EXPECT_THAT(refused({"serve", "m", "--qqqqqqqq"}).text, testing::HasSubstr("unknown option --qqqqqqqq\n"));
}

TEST(Options, MistakesOfEveryKindAreUsageErrors) {
  for (const auto& arguments : std::vector<std::vector<const char*>>{{},
                                                                     {"serve"},
                                                                     {"serve", "m", "--tp", "0"},
                                                                     {"serve", "m", "--port", "70000"},
                                                                     {"serve", "m", "--tp", "x"},
                                                                     {"serve", "m", "extra"},
                                                                     {"bench"}})
    EXPECT_EQ(refused(arguments).code, kExitUsage);
}

TEST(Options, HelpFitsAScreenAndHelpAllHasEverything) {
  for (const char* command : {"serve", "generate", "inspect", "perplexity", "bench", "synthesize", "version"}) {
    const Exit help = refused({command, "--help"}), all = refused({command, "--help-all"});
    EXPECT_EQ(help.code, 0);
    EXPECT_LE(std::count(help.text.begin(), help.text.end(), '\n'), 40) << help.text;
    EXPECT_GE(all.text.size(), help.text.size());
    EXPECT_THAT(all.text, testing::Not(testing::HasSubstr("{false}")));
  }
  EXPECT_THAT(refused({"serve", "--help"}).text, testing::Not(testing::HasSubstr("--metrics-prefix")));
  EXPECT_THAT(refused({"serve", "--help-all"}).text, testing::HasSubstr("--metrics-prefix"));
  EXPECT_THAT(refused({"--help-all"}).text, testing::AllOf(testing::HasSubstr("--metrics-prefix"), testing::HasSubstr("--prompt-ids")));
}

}  // namespace
}  // namespace shardline::launcher
