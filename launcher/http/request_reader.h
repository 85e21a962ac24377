// Bytes to requests (HTTP/1.0 and 1.1, RFC 9110 and 9112), without sockets: the caller feeds what arrived. Stricter than RFC 9112 allows
// where leniency lets two parsers disagree about where a request ends.
#pragma once
#include <cstddef>
#include <memory>
#include <string_view>

#include "launcher/http/http.h"

namespace shardline::launcher::http {

struct ReaderLimits {
  std::size_t header_bytes = 32 * 1024;  // 431
  int fields = 100;                      // 431
  std::size_t target_bytes = 8 * 1024;   // 414
  std::size_t body_bytes = 16 << 20;     // 413
  int chunks = 65'536;                   // 413
};

// One request. A connection makes a new reader for each.
class RequestReader {
 public:
  enum class State { header, body, done, failed };

  explicit RequestReader(const ReaderLimits& limits);
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) noexcept;
  ~RequestReader();

  // Takes what it can use from the front of `bytes` and returns how much that is. The caller brings the rest again, with more behind it.
  std::size_t feed(std::string_view bytes);

  State state() const;
  std::size_t body_bytes() const;  // received so far
  bool expects_continue() const;   // state body: the client waits for "100 Continue"
  bool keep_alive() const;         // state done
  bool chunks_allowed() const;     // state done: the client speaks HTTP/1.1
  Request take();                  // state done; once

  // State failed: what to answer before the connection is closed.
  int fault_status() const;
  std::string_view fault_message() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::launcher::http
