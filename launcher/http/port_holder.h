// Who listens on a TCP port, found through /proc.
#pragma once
#include <string>

namespace shardline::launcher::http {

// " by pid 71 (python3)", or " by a process of another user" where /proc does not tell: the end of a sentence about a busy port.
std::string port_holder(int port);

}  // namespace shardline::launcher::http
