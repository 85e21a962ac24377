#include "launcher/http/port_holder.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace shardline::launcher::http {
namespace {

namespace fs = std::filesystem;

// Inodes of the sockets that listen on the port: lines "sl local remote st ... inode" of /proc/net/tcp, addresses as hex:hex.
void find_sockets(const char* table, int port, std::set<std::string>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
    words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
    const std::size_t colon = local.find(':');
    if (state != "0A" || colon == std::string::npos) continue;  // TCP_LISTEN
    int number = -1;
    std::from_chars(local.data() + colon + 1, local.data() + local.size(), number, 16);
    if (number == port) inodes.insert("socket:[" + inode + "]");
  }
}

bool holds(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code ec;
  for (fs::directory_iterator it(process / "fd", ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    if (inodes.contains(fs::read_symlink(it->path(), gone).string())) return true;
  }
  return false;
}

}  // namespace

std::string port_holder(int port) {
  std::set<std::string> inodes;
  find_sockets("/proc/net/tcp", port, inodes);
  find_sockets("/proc/net/tcp6", port, inodes);
  std::error_code ec;
  for (fs::directory_iterator it("/proc", ec), end; !ec && it != end; it.increment(ec)) {
    const std::string pid = it->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos || !holds(it->path(), inodes)) continue;
    std::string name;
    std::getline(std::ifstream(it->path() / "comm"), name);
    return fmt::format(" by pid {} ({})", pid, name);
  }
  return inodes.empty() ? "" : " by a process of another user";
}

}  // namespace shardline::launcher::http
