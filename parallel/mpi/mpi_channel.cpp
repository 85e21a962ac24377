#include "parallel/mpi/mpi_channel.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace shardline::parallel {
namespace {

constexpr std::size_t kLength = sizeof(std::uint64_t);
constexpr std::size_t kFrame = 4096;  // bytes of a first message: what MPI transports eagerly
constexpr Duration kMidMessage = std::chrono::seconds(10);

}  // namespace

MpiChannel::MpiChannel(Pump& pump, const JobAbort& abort, int peer, int tag, std::string name)
    : pump_(pump), abort_(abort), peer_(peer), tag_(tag), name_(std::move(name)) {}

Status MpiChannel::failed(Wake wake, const char* what) const {
  if (wake == Wake::timeout) return Error{ErrorCode::timeout, fmt::format("{} {} in time", name_, what), ""};
  if (abort_.raised()) return abort_.error();
  return Error{ErrorCode::io, fmt::format("MPI failed between this rank and {}", name_), ""};
}

Status MpiChannel::send(std::span<const std::byte> message, TimePoint deadline) {
  CHECK(message.size() <= kMaxMessage, "message of {} bytes", message.size());
  if (sending_)
    if (const Wake wake = pump_.wait(*sending_, deadline); wake != Wake::ready) return failed(wake, "took no message");
  sending_ = std::make_shared<Operation>();
  const std::uint64_t length = message.size();
  sending_->buffer.resize(kLength + message.size());
  std::memcpy(sending_->buffer.data(), &length, kLength);
  std::copy(message.begin(), message.end(), sending_->buffer.begin() + kLength);
  const std::size_t total = sending_->buffer.size(), first = std::min(total, kFrame);
  sending_->transfers.push_back({Transfer::handshake, peer_, tag_, 0, first});
  if (total > first) sending_->transfers.push_back({Transfer::handshake, peer_, tag_, first, total - first});
  pump_.post(sending_);
  return {};
}

Status MpiChannel::next_length(TimePoint deadline, std::size_t& length) {
  if (!frame_) {
    frame_ = std::make_shared<Operation>();
    frame_->buffer.resize(kFrame);
    frame_->transfers.push_back({Transfer::receive, peer_, tag_, 0, kFrame});
    pump_.post(frame_);
  }
  if (const Wake wake = pump_.wait(*frame_, deadline); wake != Wake::ready) return failed(wake, "sent no message");
  std::uint64_t stated = 0;
  std::memcpy(&stated, frame_->buffer.data(), kLength);
  length = stated;
  return {};
}

Status MpiChannel::read_body(std::span<std::byte> body) {
  const std::size_t first = std::min(body.size(), kFrame - kLength);
  std::copy_n(frame_->buffer.begin() + kLength, first, body.begin());
  frame_.reset();
  if (first == body.size()) return {};
  const auto rest = std::make_shared<Operation>();
  rest->buffer.resize(body.size() - first);
  rest->transfers.push_back({Transfer::receive, peer_, tag_, 0, rest->buffer.size()});
  pump_.post(rest);
  if (const Wake wake = pump_.wait(*rest, Clock::now() + kMidMessage); wake != Wake::ready) return failed(wake, "did not finish a message");
  std::copy(rest->buffer.begin(), rest->buffer.end(), body.begin() + static_cast<std::ptrdiff_t>(first));
  return {};
}

Status MpiChannel::receive(std::vector<std::byte>& message, TimePoint deadline) {
  std::size_t length = 0;
  if (Status got = next_length(deadline, length); !got.ok()) return got;
  if (length > kMaxMessage) return Error{ErrorCode::io, fmt::format("{} sent a message of {} bytes", name_, length), ""};
  message.resize(length);
  return read_body(message);
}

Status MpiChannel::receive_into(std::span<std::byte> message, TimePoint deadline) {
  std::size_t length = 0;
  if (Status got = next_length(deadline, length); !got.ok()) return got;
  if (length != message.size())
    return Error{ErrorCode::io, fmt::format("{} sent {} bytes where {} were due", name_, length, message.size()), ""};
  return read_body(message);
}

}  // namespace shardline::parallel
