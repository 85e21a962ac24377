#include "launcher/build_info.h"

namespace shardline::launcher {

// The names come from launcher/CMakeLists.txt.
BuildInfo build_info() { return {SHARDLINE_VERSION, SHARDLINE_COMMIT, SHARDLINE_BUILD_TYPE, SHARDLINE_COMPILER}; }

}  // namespace shardline::launcher
