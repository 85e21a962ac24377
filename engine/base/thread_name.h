// The calling thread's name, as top -H, perf and debuggers show it.
#pragma once
#include <string>

namespace shardline {

void name_thread(std::string name);  // at most 15 characters are kept

}  // namespace shardline
