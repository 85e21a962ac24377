// What a Hugging Face model's config.json and generation_config.json say. Absent keys mean what transformers takes them to mean.
#pragma once
#include <string_view>

#include "engine/base/result.h"
#include "engine/model/model_config.h"

namespace shardline {

// `generation_json` may be empty; its EOS ids take the place of config.json's. Errors: bad_model naming the key.
Result<ModelConfig> read_hf_config(std::string_view config_json, std::string_view generation_json);

}  // namespace shardline
