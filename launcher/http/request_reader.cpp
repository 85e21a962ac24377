#include "launcher/http/request_reader.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <optional>

namespace shardline::launcher::http {
namespace {

namespace beast = boost::beast;
using Parser = beast::http::request_parser<beast::http::string_body>;
using beast::http::error;

struct Fault {
  int status = 0;
  std::string_view message;
};

// Finds the end of the header and refuses, line by line, what Beast would let through.
class HeaderScan {
 public:
  explicit HeaderScan(const ReaderLimits& limits) : limits_(limits) {}

  // `bytes` is all of the header that is there, from its first byte; only what is new is looked at. 0: not complete.
  std::size_t end(std::string_view bytes, Fault& fault) {
    for (; at_ < bytes.size(); ++at_) {
      if (at_ >= limits_.header_bytes) return fail(fault, too_long());
      if (lines_ == 0 && at_ - line_ > limits_.target_bytes + 32) return fail(fault, too_long());
      if (bytes[at_] != '\n') continue;
      if (at_ == line_ || bytes[at_ - 1] != '\r') return fail(fault, {400, "a line ends without CR"});
      const std::string_view line = bytes.substr(line_, at_ - 1 - line_);
      line_ = at_ + 1;
      if (line.empty()) return line_;
      if (line[0] == ' ' || line[0] == '\t') return fail(fault, {400, "a header field is folded"});
      if (++lines_ > limits_.fields + 1) return fail(fault, {431, "too many header fields"});
    }
    return 0;
  }

 private:
  Fault too_long() const {
    return lines_ == 0 ? Fault{414, "the request target is too long"} : Fault{431, "the header fields are too long"};
  }
  static std::size_t fail(Fault& fault, Fault f) {
    fault = f;
    return 0;
  }

  const ReaderLimits& limits_;
  std::size_t at_ = 0, line_ = 0;
  int lines_ = 0;
};

// "... HTTP/2.0": a well-formed version that is not ours.
bool names_version(std::string_view line) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return line.size() > 9 && line.substr(line.size() - 9, 6) == " HTTP/" && digit(line[line.size() - 3]) && line[line.size() - 2] == '.' &&
         digit(line.back());
}

Fault transfer_fault(const Parser& parser) {
  const auto& message = parser.get();
  const auto [begin, end] = message.equal_range(beast::http::field::transfer_encoding);
  if (begin == end) return {};
  if (message.version() < 11) return {400, "a transfer coding in an HTTP/1.0 request"};
  if (std::next(begin) != end) return {400, "more than one Transfer-Encoding"};
  if (equal_without_case(begin->value(), "chunked")) return {};
  if (begin->value().find("chunked") != beast::string_view::npos) return {400, "the transfer coding is not plain chunked"};
  return {501, "an unknown transfer coding"};
}

Fault header_fault(const Parser& parser, const ReaderLimits& limits) {
  const auto& message = parser.get();
  if (const Fault fault = transfer_fault(parser); fault.status) return fault;
  if (message.target().size() > limits.target_bytes) return {414, "the request target is too long"};
  if (message.count(beast::http::field::content_length) > 1) return {400, "more than one Content-Length"};
  const auto hosts = message.count(beast::http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) return {400, "the request needs one Host field"};
  const auto expect = message[beast::http::field::expect];
  if (!expect.empty() && !equal_without_case(expect, "100-continue")) return {417, "an unknown expectation"};
  return {};
}

Fault fault_of(const beast::error_code& ec) {
  if (ec == error::body_limit) return {413, "the body is too long"};
  if (ec == error::bad_chunk || ec == error::bad_chunk_extension || ec == error::bad_line_ending) return {400, "a broken chunk"};
  if (ec == error::bad_content_length || ec == error::multiple_content_length) return {400, "a broken Content-Length"};
  if (ec == error::bad_transfer_encoding) return {400, "Transfer-Encoding and Content-Length, or a broken transfer coding"};
  if (ec == error::bad_method || ec == error::bad_target || ec == error::bad_version) return {400, "a broken request line"};
  return {400, "a broken header field"};
}

// The path of a target, which may be in absolute form (RFC 9112, section 3.2.2).
std::string_view without_authority(std::string_view target) {
  if (!target.starts_with("http://") && !target.starts_with("https://")) return target;
  const std::size_t slash = target.find('/', target.find("//") + 2);
  return slash == std::string_view::npos ? "/" : target.substr(slash);
}

}  // namespace

struct RequestReader::Impl {
  explicit Impl(const ReaderLimits& l) : limits(l), scan(limits) {
    parser.eager(true);
    parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes + 1));
    parser.body_limit(limits.body_bytes);
    parser.on_chunk_header(count_chunk);
  }

  std::size_t feed_header(std::string_view bytes);
  std::size_t feed_body(std::string_view bytes);
  void fail(Fault f) {
    fault = f;
    state = State::failed;
  }

  const ReaderLimits limits;
  HeaderScan scan;
  State state = State::header;
  Fault fault;
  int chunks = 0;
  std::function<void(std::uint64_t, beast::string_view, beast::error_code&)> count_chunk = [this](std::uint64_t, beast::string_view,
                                                                                                  beast::error_code& ec) {
    if (++chunks > limits.chunks) ec = error::body_limit;
  };
  Parser parser;
};

std::size_t RequestReader::Impl::feed_header(std::string_view bytes) {
  Fault broken;
  const std::size_t end = scan.end(bytes, broken);
  if (broken.status) return fail(broken), 0;
  if (end == 0) return 0;
  beast::error_code ec;
  parser.put(boost::asio::buffer(bytes.data(), end), ec);
  if (ec == error::bad_version && names_version(bytes.substr(0, bytes.find('\r'))))
    return fail({505, "HTTP/1.0 and 1.1 are spoken here"}), 0;
  if (ec && ec != error::need_more) return fail(fault_of(ec)), 0;
  if (!parser.is_header_done()) return fail({400, "a broken header"}), 0;
  if (const Fault f = header_fault(parser, limits); f.status) return fail(f), 0;
  state = parser.is_done() ? State::done : State::body;
  return end;
}

std::size_t RequestReader::Impl::feed_body(std::string_view bytes) {
  constexpr std::size_t kLongestChunkLine = 16 * 1024;  // or all trailers
  beast::error_code ec;
  const std::size_t taken = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
  if (ec && ec != error::need_more)
    fail(fault_of(ec));
  else if (parser.is_done())
    state = State::done;
  else if (bytes.size() - taken > kLongestChunkLine)
    fail({400, "a broken chunk"});
  return taken;
}

RequestReader::RequestReader(const ReaderLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;
RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  std::size_t taken = 0;
  if (impl_->state == State::header) taken = impl_->feed_header(bytes);
  while (impl_->state == State::body && taken < bytes.size()) {
    const std::size_t more = impl_->feed_body(bytes.substr(taken));
    if (more == 0) break;
    taken += more;
  }
  return taken;
}

RequestReader::State RequestReader::state() const { return impl_->state; }
std::size_t RequestReader::body_bytes() const { return impl_->parser.get().body().size(); }
bool RequestReader::keep_alive() const { return impl_->parser.keep_alive(); }
bool RequestReader::chunks_allowed() const { return impl_->parser.get().version() == 11; }
int RequestReader::fault_status() const { return impl_->fault.status; }
std::string_view RequestReader::fault_message() const { return impl_->fault.message; }

bool RequestReader::expects_continue() const {
  return impl_->state == State::body && chunks_allowed() && !impl_->parser.get()[beast::http::field::expect].empty();
}

Request RequestReader::take() {
  auto& message = impl_->parser.get();
  const std::string_view target = without_authority(message.target());
  const std::size_t question = std::min(target.find('?'), target.size());
  Request request;
  request.method = std::string(message.method_string());
  request.path = std::string(target.substr(0, question));
  request.query = std::string(target.substr(std::min(question + 1, target.size())));
  for (const auto& field : message) request.fields.emplace_back(std::string(field.name_string()), std::string(field.value()));
  request.body = std::move(message.body());
  return request;
}

}  // namespace shardline::launcher::http
