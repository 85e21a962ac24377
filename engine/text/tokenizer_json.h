// Reads Hugging Face's tokenizer.json (https://github.com/huggingface/tokenizers) where it describes a byte-level BPE.
#pragma once
#include <string_view>

#include "engine/base/result.h"
#include "engine/text/tokenizer_spec.h"

namespace shardline {

// `tokenizer_config_json` gives the template, BOS, EOS, PAD and whether BOS is added; it may be empty.
// Errors: bad_model; param is the path of the key whose value is unknown or broken, such as "pre_tokenizer.pretokenizers[0]".
// An NFC normalizer is accepted and not applied: text is taken as it comes, as with GGUF files of the same models.
Result<TokenizerSpec> read_tokenizer_json(std::string_view json, std::string_view tokenizer_config_json);

}  // namespace shardline
