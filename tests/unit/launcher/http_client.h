// A client of raw bytes on a blocking socket, with a deadline on every read.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace shardline::launcher {

class HttpClient {
 public:
  explicit HttpClient(int port, int receive_buffer = 0) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval ten_seconds{10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &ten_seconds, sizeof ten_seconds);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~HttpClient() { close(socket_); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // False where the server does not listen any more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Reads more; false at the end, or after ten seconds without a byte.
  bool read_some() {
    char bytes[16384];
    const auto count = recv(socket_, bytes, sizeof bytes, 0);
    if (count > 0) in_.append(bytes, static_cast<std::size_t>(count));
    closed_ = count == 0;
    return count > 0;
  }
  // Up to and with `mark`; what was there where it does not come.
  std::string read_until(std::string_view mark) {
    std::size_t at;
    while ((at = in_.find(mark)) == std::string::npos && read_some()) continue;
    return take(at == std::string::npos ? in_.size() : at + mark.size());
  }
  std::string read_all() {
    while (read_some()) continue;
    return take(in_.size());
  }
  // Head and body of an answer with a Content-Length.
  std::string read_answer() {
    std::string head = read_until("\r\n\r\n");
    const std::size_t field = head.find("Content-Length: ");
    if (field == std::string::npos) return head;
    const std::size_t length = std::stoul(head.substr(field + 16));
    while (in_.size() < length && read_some()) continue;
    return head + take(std::min(length, in_.size()));
  }
  std::string ask(std::string_view request) {
    send(request);
    return read_answer();
  }
  bool closed() const { return closed_; }  // the last read met the end

 private:
  std::string take(std::size_t count) {
    std::string out = in_.substr(0, count);
    in_.erase(0, count);
    return out;
  }

  const int socket_;
  std::string in_;
  bool closed_ = false;
};

inline std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n"; }
inline std::string post(std::string_view path, std::string_view body) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}
inline int status_of(std::string_view answer) { return answer.size() > 12 ? std::stoi(std::string(answer.substr(9, 3))) : 0; }
inline std::string body_of(std::string_view answer) {
  const std::size_t at = answer.find("\r\n\r\n");
  return std::string(at == std::string_view::npos ? "" : answer.substr(at + 4));
}

}  // namespace shardline::launcher
