// shardline version: what was built from what, and which kernels this CPU can run.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json.hpp>

#include "engine/kernels/kernel_table.h"
#include "launcher/build_info.h"
#include "launcher/commands/commands.h"
#include "parallel/mpi/library.h"

namespace shardline::launcher {

int run_version(const Options& options) {
  const BuildInfo build = build_info();
  std::vector<std::string> able, lacking;
  for (const KernelTable* table : kernel_tables()) (table->supported() ? able : lacking).emplace_back(table->name);
  if (options.json) {
    const boost::json::object object{{"version", build.version},
                                     {"commit", build.commit},
                                     {"build_type", build.type},
                                     {"compiler", build.compiler},
                                     {"mpi", parallel::mpi_library()},
                                     {"kernels", boost::json::value_from(able)},
                                     {"kernels_not_here", boost::json::value_from(lacking)}};
    fmt::print("{}\n", boost::json::serialize(object));
    return 0;
  }
  fmt::print("shardline {} ({}, {}, {})\n", build.version, build.commit, build.type, build.compiler);
  fmt::print("kernels {}{}\n", fmt::join(able, ", "), lacking.empty() ? "" : fmt::format("; this CPU lacks {}", fmt::join(lacking, ", ")));
  fmt::print("{}\n", parallel::mpi_library());
  return 0;
}

}  // namespace shardline::launcher
