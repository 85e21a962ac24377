// What a GGUF file's metadata says of the model and of its tokenizer. Absent keys mean what llama.cpp takes them to mean.
#pragma once
#include <optional>

#include "engine/base/result.h"
#include "engine/model/model_config.h"
#include "engine/text/tokenizer_spec.h"
#include "engine/weights/gguf_reader.h"

namespace shardline {

// Errors: bad_model naming the key.
Result<ModelConfig> read_gguf_config(const GgufFile& file);

// nullopt: the file has no tokenizer. Which models and pre-tokenizers exist is for Tokenizer::create() to say.
Result<std::optional<TokenizerSpec>> read_gguf_tokenizer(const GgufFile& file);

}  // namespace shardline
