// Tokens and logits of a request depend on nothing but itself: random schedules over ranks as threads, bits compared with the plain run.
// SHARDLINE_SCHEDULES sets how many are drawn per model; the tables are all that this CPU has.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cstdlib>
#include <mutex>

#include "engine/kernels/kernel_table.h"
#include "engine/model/reduction_tree.h"
#include "parallel/local_executor.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/schedule.h"
#include "tests/support/temporary_folder.h"

namespace shardline {
namespace {

using test::Answers;
using test::Events;
using test::Schedule;

using Wrap = std::function<std::unique_ptr<Collective>(Collective& tp)>;

// Answers of one schedule on ranks as threads. `wrap` may stand between the stages and their collective.
Answers run(const ModelFile& file, const std::string& kernels, const Schedule& s, const std::vector<scheduler::Request>& requests, Events& events, std::string& wrong,
            const Wrap& wrap = nullptr) {
  const auto topology = parallel::Topology::make(s.tp * s.pp, s.tp, s.pp, file.config().layers);
  if (!topology.ok()) return wrong = topology.error().message, Answers{};
  parallel::ExecutorOptions options;
  options.stage.threads = s.threads;
  options.stage.max_rows = s.max_rows;
  options.stage.kv_blocks = s.blocks;
  options.stage.kernels = kernels;
  options.depth = s.depth;
  std::mutex mutex;
  std::vector<std::unique_ptr<Collective>> wrapped;
  const auto factory = [&](const StageShape& shape, Collective& tp) {
    Collective* used = &tp;
    if (wrap) {
      const std::lock_guard lock(mutex);
      wrapped.push_back(wrap(tp));
      used = wrapped.back().get();
    }
    return ModelStage::load(file, shape, options.stage, *used, nullptr);
  };
  auto executor = parallel::LocalExecutor::start(*topology, factory, options);
  if (!executor.ok()) return wrong = executor.error().message, Answers{};
  return test::run_schedule(s, requests, **executor, file.config().context, events, wrong);
}

struct Case {
  std::string model;  // a file, a folder of tests/data/models, or empty: the real model
  int longest_prompt, max_tokens, requests, max_tp, max_pp;
};

class ExactnessTest : public testing::TestWithParam<const KernelTable*> {
 protected:
  void compare(const Case& c, int schedules) {
    const char* real = std::getenv("SHARDLINE_TEST_MODEL");
    ASSERT_TRUE(!c.model.empty() || real) << "SHARDLINE_TEST_MODEL must name the real model's file (tests/run sets it)";
    const auto file = ModelFile::open(c.model.empty() ? real : c.model.front() == '/' ? c.model : std::string(SHARDLINE_TEST_DATA "/models/") + c.model);
    ASSERT_TRUE(file.ok()) << file.error().message;
    const std::string kernels = GetParam()->name;
    const auto requests = test::make_requests(file->config().vocab, c.longest_prompt, c.max_tokens, c.requests, 5);
    const int needed = (c.longest_prompt + c.max_tokens) / kBlockTokens + 2;
    Events plain_events, events;
    std::string wrong;
    const Answers want = run(*file, kernels, test::plain_schedule(needed), requests, plain_events, wrong);
    ASSERT_EQ(wrong, "");
    ASSERT_FALSE(want.empty());
    const int leaves = static_cast<int>(attention_leaves(file->config().query_heads, file->config().kv_heads).leaves.size());
    for (int seed = 1; seed <= schedules; ++seed) {
      const Schedule s = test::draw_schedule(static_cast<std::uint64_t>(seed), std::min(c.max_tp, leaves), c.max_pp, needed);
      const Answers got = run(*file, kernels, s, requests, events, wrong);
      ASSERT_EQ(wrong, "") << s.text();
      ASSERT_EQ(test::difference(want, got), "") << "kernels " << kernels << ", seed " << seed << ": " << s.text();
      if (leaves % s.tp != 0) ++events.uneven_tp;
    }
    fmt::print("[ EXACT    ] {} {}: {} schedules, 0 differences; {} prefix-hit tokens, {} preemptions, {} chunks inside 128, {} uneven TP, {}/{} with 1/2 threads\n",
               c.model.empty() ? "real model" : c.model, kernels, events.schedules, events.prefix_hits, events.preemptions, events.chunk_borders, events.uneven_tp,
               events.one_thread, events.two_threads);
    if (c.model.empty() || events.schedules < 20) return;  // the real model's few and short schedules need not meet every kind
    for (const std::uint64_t count : {events.prefix_hits, events.preemptions, events.chunk_borders, events.choices, events.uneven_tp, events.one_thread, events.two_threads,
                                      events.sampled, events.greedy})
      EXPECT_GT(count, 0u) << "a kind of event never occurred";
  }

  static int count(int normal) {
    const char* forced = std::getenv("SHARDLINE_SCHEDULES");
    return forced ? std::atoi(forced) : normal;
  }
};

TEST_P(ExactnessTest, OddHeads) { compare({"llama-odd-heads", 200, 24, 12, 9, 4}, count(100)); }

TEST_P(ExactnessTest, KQuants) {
  const test::TemporaryFolder folder;
  compare({folder.write("k.gguf", test::k_quant_llama().bytes()), 200, 16, 8, 8, 3}, count(12));
}

// 30 layers over up to 15 ranks with two threads each: fewer schedules, and least on the slow reference table.
TEST_P(ExactnessTest, RealModel) {
  const std::string table = GetParam()->name;
  if (table == "scalar") compare({"", 40, 4, 4, 5, 3}, count(4));
  else compare({"", 160, 14, 8, 5, 3}, count(table == "avx2" ? 8 : 20));
}

// A sum in order of arrival, as engines without a canonical order do it. The comparison above must notice.
class ArrivalOrder final : public Collective {
 public:
  struct Shared {
    explicit Shared(int ranks) : all(ranks) {}
    std::barrier<> all;
    std::mutex mutex;
    std::vector<float> total;
  };
  ArrivalOrder(Collective& inner, std::shared_ptr<Shared> shared) : inner_(inner), shared_(std::move(shared)) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void gather(std::span<const std::size_t> counts, std::span<const float> mine, std::span<float> all) override { inner_.gather(counts, mine, all); }
  void sum(const ReductionTree&, std::span<const float> roots, std::span<float> total) override {
    if (rank() == 0) shared_->total.assign(total.size(), 0.0f);
    shared_->all.arrive_and_wait();
    {
      const std::lock_guard lock(shared_->mutex);
      for (std::size_t i = 0; i < roots.size(); ++i) shared_->total[i % total.size()] += roots[i];
    }
    shared_->all.arrive_and_wait();
    std::copy(shared_->total.begin(), shared_->total.end(), total.begin());
    shared_->all.arrive_and_wait();
  }

 private:
  Collective& inner_;
  std::shared_ptr<Shared> shared_;
};

TEST_P(ExactnessTest, ASumInOrderOfArrivalIsCaught) {
  const auto file = ModelFile::open(SHARDLINE_TEST_DATA "/models/llama-odd-heads");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto requests = test::make_requests(file->config().vocab, 100, 12, 6, 5);
  Events events;
  std::string wrong;
  const Answers want = run(*file, GetParam()->name, test::plain_schedule(9), requests, events, wrong);
  Schedule s = test::plain_schedule(9);
  s.tp = 3;
  const auto shared = std::make_shared<ArrivalOrder::Shared>(3);
  const Answers got = run(*file, GetParam()->name, s, requests, events, wrong, [&](Collective& tp) { return std::make_unique<ArrivalOrder>(tp, shared); });
  ASSERT_EQ(wrong, "");
  EXPECT_NE(test::difference(want, got), "");
}

std::vector<const KernelTable*> tables_here() {
  std::vector<const KernelTable*> out;
  for (const KernelTable* t : kernel_tables())
    if (t->supported()) out.push_back(t);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Tables, ExactnessTest, testing::ValuesIn(tables_here()), [](const auto& table) { return std::string(table.param->name); });

}  // namespace
}  // namespace shardline
