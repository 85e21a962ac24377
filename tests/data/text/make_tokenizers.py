"""Trains one small byte-level BPE per pre-tokenizer and records what Hugging Face's `tokenizers` makes of random strings.

    pip install tokenizers==0.23.3 && python make_tokenizers.py FOLDER [CASES]

Writes NAME.tokenizer.json and NAME.cases.json: [[the bytes in hexadecimal, [ids]], ...]. The library takes only valid text, so
invalid bytes are given to its BPE model directly, as one piece for each run of them.
"""

import json
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
MODERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBER| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(*patterns):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns] + [byte_level(False)])


PRE_TOKENIZERS = {
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]),
    "gpt-2": byte_level(True),
    "llama-bpe": split(MODERN.replace("NUMBER", r"\p{N}{1,3}")),
    "qwen2": split(MODERN.replace("NUMBER", r"\p{N}")),
    "default": split(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
}
SPECIAL = ["<|begin|>", "<|end|>", "<|end|>x", "<|en"]
ADDED = ["    ", "<tool>", "日本"]

CORPUS = """The heads of attention look at every token that came before them, and they don't forget: it's what we'll see in 1024 steps.
When the query meets the keys, the softmax decides; you're told that I'm right, he'd say they've been there, and we can't go on.
for (int i = 0; i < 256; ++i) { total += weights[i] * inputs[i]; }    return total;    if (x == y) { print("hello, world") }
Die Köpfe der Aufmerksamkeit schauen zurück über die Straße. Les têtes d'attention regardent en arrière, naïves et sûres.
Внимание смотрит назад на каждое слово, которое было раньше. Η προσοχή κοιτάζει πίσω. تنظر رؤوس الانتباه إلى الوراء.
注意力机制会回顾之前的每一个词。注意は前のすべての単語を見ます。어텐션은 이전의 모든 단어를 봅니다. ध्यान पीछे देखता है।
""".splitlines() * 3

WORDS = CORPUS[0].split() + CORPUS[3].split() + CORPUS[4].split() + CORPUS[5].split()
CONTRACTIONS = ["don't", "WE'LL", "I'm", "He'D", "they'VE", "you're", "it's", "IT'S", "'\u017f", "'", "''s"]
SPACES = [" ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", "\x0b\x0c"]
MIXED = ["1", "42", "2026", "1234567", "٣٤٥", "½", "Ⅷ", "一", "²", "🙂", "👩‍👩‍👧‍👦", "🇯🇵", "e\u0301", "ﬁ", "€", "$1,000.50", "a=b", "->", "...", "!?", "`", "x^2", "_"]
CONTROL = ["\0", "\x01", "\x1c", "\x7f", "\ufeff", "\ufffd", "\u202e"]
INVALID = [b"\xff", b"\xc0\xaf", b"\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xc3"]


def any_character(rng):
    while True:
        c = chr(rng.randrange(0x110000) if rng.random() < 0.2 else rng.randrange(0x3000))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            return c


def random_bytes(rng):
    makers = [
        lambda: rng.choice(WORDS),
        lambda: rng.choice(WORDS),
        lambda: rng.choice(SPACES),
        lambda: rng.choice(SPACES),
        lambda: rng.choice(CONTRACTIONS),
        lambda: rng.choice(MIXED),
        lambda: rng.choice(CONTROL),
        lambda: rng.choice(SPECIAL + ADDED),
        lambda: any_character(rng),
        lambda: any_character(rng) * rng.randrange(1, 6),
    ]
    out = b""
    for _ in range(rng.randrange(1, 14)):
        out += rng.choice(INVALID) if rng.random() < 0.03 else rng.choice(makers)().encode()
    return out


def runs(data):
    """Yields (valid, bytes) in turn."""
    text = data.decode("utf-8", "surrogateescape")
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or ("\udc80" <= text[i] <= "\udcff") != ("\udc80" <= text[start] <= "\udcff"):
            yield not "\udc80" <= text[start] <= "\udcff", text[start:i].encode("utf-8", "surrogateescape")
            start = i


def alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return {b: chr(b if b in printable else next(others)) for b in range(256)}


def encode(tokenizer, letters, data):
    ids = []
    for valid, run in runs(data):
        if valid:
            ids += tokenizer.encode(run.decode(), add_special_tokens=False).ids
        else:
            ids += [t.id for t in tokenizer.model.tokenize("".join(letters[b] for b in run))]
    return ids


def main(folder, cases):
    letters = alphabet()
    for name, pre_tokenizer in PRE_TOKENIZERS.items():
        tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama-bpe"))
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.train_from_iterator(
            CORPUS, trainers.BpeTrainer(vocab_size=256 + 300, initial_alphabet=sorted(letters.values()), show_progress=False))
        tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ADDED])
        with open(f"{folder}/{name}.tokenizer.json", "w") as file:
            json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False, separators=(",", ":"))
        rng = random.Random(name)
        with open(f"{folder}/{name}.cases.json", "w") as file:
            rows = [json.dumps([data.hex(), encode(tokenizer, letters, data)], separators=(",", ":"))
                    for data in (random_bytes(rng) for _ in range(cases))]
            file.write("[" + ",\n".join(rows) + "]\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50)
