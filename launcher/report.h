// Lines for people, on standard error.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace shardline::launcher {

void note(const std::string& line);

// Prints the error and returns the status to end with.
int fail(const Error& error);

// "94.0 MiB"
std::string size_text(std::uint64_t bytes);

// How far a long piece of work is: a bar on a terminal, a line every few seconds elsewhere. Any thread may report.
class Progress {
 public:
  // `parts` report separately; the whole is their mean.
  Progress(std::string what, std::size_t parts);
  ~Progress();                                          // clears the bar
  std::function<void(double)> part(std::size_t index);  // takes the share done, 0 to 1

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Whether a person sees standard error as it is written. Under mpirun nobody knows: it gives every rank a terminal of its own.
bool on_terminal();

}  // namespace shardline::launcher
