// What this program was built from.
#pragma once

namespace shardline::launcher {

struct BuildInfo {
  const char* version;   // "0.1.0"
  const char* commit;    // short hash when CMake ran, "unknown" outside a git clone
  const char* type;      // "Release"
  const char* compiler;  // "GNU 12.2.0"
};
BuildInfo build_info();

}  // namespace shardline::launcher
