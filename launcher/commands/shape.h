// The shape of a model to be made up.
#pragma once
#include <string>

#include "engine/base/result.h"
#include "engine/model/model_config.h"

namespace shardline::launcher {

// "1b", "layers=2,dim=256,ffn=512,heads=4", or a name and what differs: "1b,layers=4". The vocabulary comes with a tokenizer.
// Errors: usage naming the number and what it may be.
Result<ModelConfig> parse_shape(const std::string& text);

}  // namespace shardline::launcher
