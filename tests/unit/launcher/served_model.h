// The model of the API's tests: single bytes as tokens, a chat template like SmolLM2's.
#pragma once
#include "launcher/api/request.h"
#include "tests/unit/launcher/fake_engine.h"

namespace shardline::launcher::api {

struct ByteModel {
  const Tokenizer tokenizer = byte_tokenizer();
  const ChatTemplate chat =
      std::move(*ChatTemplate::parse("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                                     "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"));

  ServedModel served() const {
    return {.name = "bytes", .vocab = kByteVocab, .context = 256, .longest_token = 12, .tokenizer = &tokenizer, .chat = &chat};
  }
  ServedModel without_tokenizer() const { return {.name = "ids", .vocab = kByteVocab, .context = 256}; }
};

}  // namespace shardline::launcher::api
