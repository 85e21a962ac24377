// Whole jobs under mpirun: right results, and every way in which a rank can go missing. After each, no process and no shared memory is
// left.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

constexpr const char* kAnywhere = "--allow-run-as-root --oversubscribe --bind-to none";

struct Outcome {
  std::string output;
  int status = -1;  // of mpirun
};

std::vector<pid_t> pids_in(const std::string& output) {
  std::vector<pid_t> pids;
  const auto at = output.find("pids:");
  if (at == std::string::npos) return pids;
  std::istringstream line(output.substr(at + 5, output.find('\n', at) - at - 5));
  for (pid_t pid; line >> pid;) pids.push_back(pid);
  return pids;
}

bool gone(pid_t pid) { return kill(pid, 0) != 0; }

void expect_nothing_left(const std::string& output) {
  for (const pid_t pid : pids_in(output)) {
    for (int i = 0; i < 100 && !gone(pid); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_TRUE(gone(pid)) << "process " << pid << " is left";
  }
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    EXPECT_EQ(entry.path().string().find("shardline"), std::string::npos) << entry.path();
}

// `limit`: a bound against hanging, in seconds. Of a busy machine mpirun's patience with the survivors would ask too much.
Outcome run_job(const std::string& arguments, int ranks, int limit = 60) {
  const std::string command = fmt::format("timeout -k 5 {} mpirun {} --mca odls_base_sigkill_timeout 2 -np {} {} {} 2>&1", limit, kAnywhere,
                                          ranks, SHARDLINE_JOB_MP, arguments);
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (pipe && std::fgets(buffer.data(), buffer.size(), pipe)) outcome.output += buffer.data();
  const int status = pipe ? pclose(pipe) : -1;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  EXPECT_NE(outcome.status, 124) << "hung: " << outcome.output;
  expect_nothing_left(outcome.output);
  return outcome;
}

class Job : public testing::TestWithParam<const char*> {};  // the transport

TEST_P(Job, GivesTheBitsOfOneRank) {
  for (const auto& [tp, pp] : {std::pair{2, 1}, {1, 2}, {2, 2}, {3, 1}}) {
    const Outcome outcome = run_job(fmt::format("{} {} {} none -1", GetParam(), tp, pp), tp * pp);
    EXPECT_THAT(outcome.output, HasSubstr("same bits as one rank")) << "tp " << tp << " pp " << pp;
    EXPECT_EQ(outcome.status, 0) << outcome.output;
  }
}

TEST_P(Job, ARankThatDiesIsNamed) {
  for (const char* action : {"kill", "exit", "idle-kill"}) {
    const Outcome outcome = run_job(fmt::format("{} 2 2 {} 3", GetParam(), action), 4);
    EXPECT_THAT(outcome.output, ContainsRegex("lost: rank 3 .host .*, pid [0-9]+. died: its process ended")) << action;
    EXPECT_NE(outcome.status, 0);
  }
}

TEST_P(Job, ARankThatFallsSilentIsNamed) {
  for (const char* action : {"stop", "idle-stop"}) {
    const Outcome outcome = run_job(fmt::format("{} 2 2 {} 1", GetParam(), action), 4);
    EXPECT_THAT(outcome.output, ContainsRegex("lost: rank 1 .host .*, pid [0-9]+. silent for 3[.][0-9] s")) << action;
    EXPECT_NE(outcome.status, 0);
  }
}

TEST_P(Job, RanksEndWhenTheControllerDies) {
  for (const char* action : {"kill", "stop"}) {
    const Outcome outcome = run_job(fmt::format("{} 2 2 {} 0", GetParam(), action), 4);
    EXPECT_NE(outcome.status, 0) << outcome.output;
    EXPECT_EQ(pids_in(outcome.output).size(), 4u);
  }
}

TEST_P(Job, AShortPauseAlarmsNobody) {
  const Outcome outcome = run_job(fmt::format("{} 2 1 pause 1", GetParam()), 2);
  EXPECT_THAT(outcome.output, HasSubstr("same bits as one rank"));
  EXPECT_EQ(outcome.status, 0);
}

TEST_P(Job, ARankThatCannotLoadEndsTheJob) {
  Outcome outcome = run_job(fmt::format("{} 2 1 load 1", GetParam()), 2);
  EXPECT_THAT(outcome.output, ContainsRegex("not started: rank 1 .host .*, pid [0-9]+.: a tensor is missing"));
  outcome = run_job(fmt::format("{} 2 1 load 0", GetParam()), 2);
  EXPECT_THAT(outcome.output, ContainsRegex("not started: rank 0 .host .*, pid [0-9]+.: a tensor is missing"));
  outcome = run_job(fmt::format("{} 2 1 load-kill 1", GetParam()), 2);
  EXPECT_THAT(outcome.output, ContainsRegex("not started: rank 1 .host .*, pid [0-9]+. died"));
}

INSTANTIATE_TEST_SUITE_P(Transports, Job, testing::Values("shm", "mpi"),
                         [](const auto& transport) { return std::string(transport.param); });

TEST(WireUp, RanksThatDisagreeStopWithBothValues) {
  EXPECT_THAT(run_job("shm 2 1 model 1", 2).output,
              ContainsRegex("disagreed: model differs: rank 0 .host .*. has 0000000000000abc, rank 1 .host .*. has 0000000000000def"));
  EXPECT_THAT(run_job("shm 2 1 hello 1", 2).output, ContainsRegex("disagreed: rank 1 .host .*.: no such file: m.gguf"));
  EXPECT_THAT(run_job("shm 2 2 none -1", 3).output, HasSubstr("disagreed: --tp 2 x --pp 2 need 4 ranks, there are 3"));
}

TEST(WireUp, TheBestKernelTableThatAllHaveIsTaken) {
  EXPECT_THAT(run_job("shm 2 1 kernels 1", 2).output, HasSubstr("kernels: avx2\n"));
  EXPECT_THAT(run_job("shm 2 1 none -1", 2).output, HasSubstr("kernels: avx512\n"));
}

TEST(WireUp, AMissingRankIsNamed) {
  const Outcome outcome = run_job("shm 2 2 absent 2", 4);
  EXPECT_THAT(outcome.output, HasSubstr("disagreed: rank 2 did not answer within 2 s of wire-up"));
  EXPECT_NE(outcome.status, 0);
}

// mpirun is killed: its ranks notice by themselves.
TEST(Launcher, RanksEndWithMpirun) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t mpirun = fork();
  if (mpirun == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]), close(ends[1]);
    const std::string command = fmt::format("exec mpirun {} -np 2 {} shm 2 1 idle-none 0", kAnywhere, SHARDLINE_JOB_MP);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::string output;
  std::array<char, 256> buffer;
  while (output.find("kernels:") == std::string::npos) {
    const ssize_t n = read(ends[0], buffer.data(), buffer.size());
    ASSERT_GT(n, 0);
    output.append(buffer.data(), static_cast<std::size_t>(n));
  }
  kill(mpirun, SIGKILL);
  waitpid(mpirun, nullptr, 0);
  EXPECT_EQ(pids_in(output).size(), 2u);
  expect_nothing_left(output);
  close(ends[0]);
}

}  // namespace
