// A folder of a test's own, gone with it.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace shardline::test {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;

  std::string path() const { return path_.string(); }
  std::string path(std::string_view file) const { return (path_ / file).string(); }
  std::string write(std::string_view file, std::string_view bytes) const;  // returns the file's path

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::string& path);  // throws std::runtime_error

}  // namespace shardline::test
