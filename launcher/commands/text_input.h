// Text from outside the program, for commands.
#pragma once
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace shardline::launcher {

// Errors: bad_model, naming the first byte that is not UTF-8. `name` is what the text is called.
Status check_utf8(std::string_view text, std::string_view name);

// Standard input up to its end. Says on standard error what is waited for where nothing comes.
std::string read_standard_input();

}  // namespace shardline::launcher
