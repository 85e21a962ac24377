#include "engine/kernels/kernel_table.h"

#include <array>
#include <cstdlib>
#include <string_view>

namespace shardline {

namespace scalar { const KernelTable& table(); }
namespace avx2 { const KernelTable& table(); }
namespace avx512 { const KernelTable& table(); }

std::span<const KernelTable* const> kernel_tables() {
  static const std::array<const KernelTable*, 3> tables{&scalar::table(), &avx2::table(), &avx512::table()};
  return tables;
}

const KernelTable* find_kernels(const std::string& name) {
  std::string_view wanted = name;
  if (wanted.empty() || wanted == "auto") {
    const char* forced = std::getenv("SHARDLINE_KERNELS");
    wanted = forced ? forced : "";
  }
  const KernelTable* best = nullptr;
  for (const KernelTable* table : kernel_tables()) {
    if (!table->supported()) continue;
    if (wanted.empty() || wanted == "auto") best = table;
    else if (wanted == table->name) return table;
  }
  return best;
}

}  // namespace shardline
