// What every Channel must do. One end runs send_everything, the other receive_everything; each returns an empty string or what was wrong.
#pragma once
#include <cstddef>
#include <string>

#include "parallel/channel.h"

namespace shardline::parallel::conformance {

// `buffer`: bytes that the channel holds on the way; messages from empty to three times that are sent.
std::string send_everything(Channel& channel, std::size_t buffer);
std::string receive_everything(Channel& channel, std::size_t buffer);

}  // namespace shardline::parallel::conformance
