// The small Llama models against the outputs of Hugging Face transformers in float32 (tests/data/models), at several topologies.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/kernels/kernel_table.h"
#include "parallel/local_executor.h"
#include "tests/support/reference.h"

namespace shardline {
namespace {

struct Model {
  const char* name;
  double bf16_deviation;  // mean absolute deviation of transformers' own bfloat16 from its float32
};
constexpr Model kModels[] = {{"llama", 0.035}, {"llama-odd-heads", 0.046}, {"llama31-rope", 0.040}, {"llama-yarn", 0.063}};

constexpr int kBlocks = 8;

// The result of one plan that holds one sequence's rows from `position` on, in blocks in reverse order.
StepResult run(Executor& executor, const std::vector<TokenId>& tokens, int position, bool every_row, int logprobs) {
  StepPlan plan;
  plan.epoch = 1;
  plan.tokens = tokens;
  const int rows = static_cast<int>(tokens.size()), blocks = (position + rows + kBlockTokens - 1) / kBlockTokens;
  plan.sequences.push_back({0, 0, rows, position, 0, blocks});
  for (int i = 0; i < blocks; ++i) plan.block_tables.push_back(kBlocks - 1 - i);
  for (int row = every_row ? 0 : rows - 1; row < rows; ++row) {
    PlanSample sample;
    sample.row = row;
    sample.position = position + row + 1;
    sample.sampling.logprobs = logprobs;
    plan.samples.push_back(sample);
  }
  EXPECT_TRUE(executor.submit(plan).ok());
  auto result = executor.next(Clock::now() + std::chrono::seconds(60));
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result.ok() ? *result : StepResult{};
}

struct Deviation {
  double mean = 0, largest = 0;
};

Deviation compare_logits(const StepResult& result, const std::vector<float>& logits, int vocab) {
  Deviation d;
  for (std::size_t row = 0; row < result.samples.size(); ++row) {
    const SampleResult& s = result.samples[row];
    EXPECT_EQ(s.top.size(), static_cast<std::size_t>(vocab));
    for (const TokenLogprob& t : s.top) {
      const double error = std::fabs(double(t.logprob) + double(s.log_sum) - double(logits[row * static_cast<std::size_t>(vocab) + static_cast<std::size_t>(t.token)]));
      d.mean += error;
      d.largest = std::max(d.largest, error);
    }
  }
  d.mean /= static_cast<double>(result.samples.size()) * vocab;
  return d;
}

using Parameter = std::tuple<const KernelTable*, Model>;
class TruthTest : public testing::TestWithParam<Parameter> {
 protected:
  void compare(Compute compute) {
    const auto [table, model] = GetParam();
    const std::string folder = std::string(SHARDLINE_TEST_DATA "/models/") + model.name;
    const auto file = ModelFile::open(folder);
    ASSERT_TRUE(file.ok()) << file.error().message;
    const test::Reference reference = test::read_reference(folder + "/reference.safetensors");
    for (const int tp : {1, 2, 3})
      for (const int pp : {1, 2}) {
        parallel::ExecutorOptions options;
        options.stage.max_rows = 128;
        options.stage.kv_blocks = kBlocks;
        options.stage.compute = compute;
        options.stage.kernels = table->name;
        const auto topology = parallel::Topology::make(tp * pp, tp, pp, file->config().layers);
        ASSERT_TRUE(topology.ok());
        auto executor = parallel::LocalExecutor::start(
            *topology, [&](const StageShape& shape, Collective& group) { return ModelStage::load(*file, shape, options.stage, group, nullptr); }, options);
        ASSERT_TRUE(executor.ok()) << executor.error().message;
        const StepResult result = run(**executor, reference.input_ids, 0, true, file->config().vocab);
        const Deviation d = compare_logits(result, reference.logits, file->config().vocab);
        fmt::print("[ TRUTH    ] {} {} {} tp {} pp {}: mean {:.1e}, largest {:.1e}\n", model.name, table->name, compute == Compute::f32 ? "f32" : "fast", tp, pp, d.mean,
                   d.largest);
        if (compute == Compute::fast) {
          EXPECT_LE(d.mean, model.bf16_deviation);
          continue;
        }
        EXPECT_LE(d.largest, 3e-4);
        std::vector<TokenId> greedy;
        TokenId next = result.samples.back().token;
        for (std::size_t i = 0; i < reference.greedy_ids.size(); ++i) {
          greedy.push_back(next);
          if (i + 1 < reference.greedy_ids.size())
            next = run(**executor, {next}, static_cast<int>(reference.input_ids.size() + i), false, -1).samples.at(0).token;
        }
        EXPECT_EQ(greedy, reference.greedy_ids);
      }
  }
};

TEST_P(TruthTest, Float32PathIsWithin3e4OfEveryLogit) { compare(Compute::f32); }
TEST_P(TruthTest, FastPathIsNoWorseThanBfloat16) { compare(Compute::fast); }

std::vector<const KernelTable*> tables_here() {
  std::vector<const KernelTable*> out;
  for (const KernelTable* t : kernel_tables())
    if (t->supported()) out.push_back(t);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Tables, TruthTest, testing::Combine(testing::ValuesIn(tables_here()), testing::ValuesIn(kModels)), [](const auto& test) {
  std::string name = std::get<1>(test.param).name;
  std::replace(name.begin(), name.end(), '-', '_');
  return std::string(std::get<0>(test.param)->name) + "_" + name;
});

}  // namespace
}  // namespace shardline
