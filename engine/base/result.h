// Expected failures are values. Broken contracts are CHECKs (check.h).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace shardline {

enum class ErrorCode {
  usage,            // wrong options or a wrong combination of them
  invalid_argument, // a request's field is out of range
  bad_model,        // a model file breaks its format's rules
  not_found,        // no such file
  unavailable,      // a port in use, a peer missing
  exhausted,        // a bounded queue is full
  timeout,          // a deadline passed
  lost,             // a rank died or fell silent
  io,               // the operating system refused
  internal,
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // one line, for people; names values, never addresses
  std::string param;    // the request field, option, tensor or key at fault; may be empty
};

// A value or an Error. Ask ok() before value().
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// Success or an Error, where there is no value to return.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace shardline
