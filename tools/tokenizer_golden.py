"""Makes the golden files of the tokenizer tests with the `tokenizers` package.

  tools/tokenizer_golden.py MINKE

Writes under tests/golden/:
  tokenizer_small/              a tokenizer of 1000 tokens, trained by MINKE on generated strings
  tokenizer_small.json          strings and their ids by that tokenizer
  tokenizer_families/           one vocabulary (tokenizer.json), the pipelines of several families
                                (families.json), and strings with the ids that each pipeline gives
  tokenizer_deepseek_v2.json    strings and their ids by the tokenizers of DeepSeek-V2 and V3, which
  tokenizer_deepseek_v3.json    `./run test` fetches to cache/tokenizers/

An entry is {"text", "ids"}, or {"characters", "length", "count", "sha256"}: a long run (the
characters picked as in tokenizer_strings.long_run), and the hash of its ids joined by commas.
"""

import hashlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenizer_strings import HARD, long_run, random_string

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
RUNS = [("abcdefgh", 100_000), ("a", 100_000), ("的一是在", 30_000), (" ", 50_000), ("0123456789", 50_000), ("!?-", 50_000),
        ("aé中😀", 20_000)]

CASED_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
    "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59"
    "\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
    "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee"
    "\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
    "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
IDEOGRAPHS = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def split(pattern: str, behavior: str = "Isolated", invert: bool = False) -> dict:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(use_regex: bool = False, add_prefix_space: bool = False) -> dict:
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def digits(individual: bool) -> dict:
    return {"type": "Digits", "individual_digits": individual}


def family(*steps: dict, gguf: str | None = None, normalizer: dict | None = None, ignore_merges: bool = False) -> dict:
    """A pipeline, and the name that GGUF files have for it."""
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}, "gguf": gguf, "normalizer": normalizer,
            "ignore_merges": ignore_merges}


FAMILIES = [
    family(split("[\r\n]"), split(rf"\s?[{CASED_LETTERS}]+"), split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
           split(r"\s+$"), split(IDEOGRAPHS), digits(True), byte_level(), gguf="deepseek-llm"),
    family(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(IDEOGRAPHS), digits(True), byte_level(), gguf="deepseek-coder"),
    family(split(QWEN), byte_level(), gguf="qwen2", normalizer={"type": "NFC"}),
    family(split(QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")), byte_level(), gguf="llama-bpe", ignore_merges=True),
    family(digits(True), byte_level(use_regex=True), gguf="smollm"),
    family(byte_level(use_regex=True), gguf="gpt-2"),
    family(split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]"), byte_level(), gguf="default"),
    family(byte_level(use_regex=True, add_prefix_space=True)),
    family(digits(False), byte_level(add_prefix_space=True)),
    family(split(GPT2, "Removed", invert=True), split(r"\s+", "Removed"), byte_level()),
]


def write_families(folder: pathlib.Path) -> None:
    """The vocabulary is trained without a pre-tokenizer, so that every cut that a pipeline makes shows in the ids."""
    rng = random.Random(13)
    texts = [random_string(rng) for _ in range(6000)]
    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    peer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    peer.train_from_iterator(HARD + texts, trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False))
    peer.add_tokens(["<think>"])
    folder.mkdir(exist_ok=True)
    base = json.loads(peer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(base, ensure_ascii=True, separators=(",", ":")) + "\n")
    strings = HARD + texts[:60]
    result = []
    for pipeline in FAMILIES:
        changed = base | {"normalizer": pipeline["normalizer"], "pre_tokenizer": pipeline["pre_tokenizer"]}
        changed["model"] = base["model"] | {"ignore_merges": pipeline["ignore_merges"]}
        tokenizer = Tokenizer.from_str(json.dumps(changed))
        result.append(pipeline | {"ids": [tokenizer.encode(text).ids for text in strings]})
    content = {"strings": strings, "families": result}
    (folder / "families.json").write_text(json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n")


def write_golden(tokenizer: pathlib.Path, output: pathlib.Path, random_count: int) -> None:
    peer = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    rng = random.Random(7)
    texts = HARD + [random_string(rng) for _ in range(random_count)]
    entries = [{"text": text, "ids": peer.encode(text, add_special_tokens=False).ids} for text in texts]
    for characters, length in RUNS:
        ids = peer.encode(long_run(characters, length), add_special_tokens=False).ids
        digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
        entries.append({"characters": characters, "length": length, "count": len(ids), "sha256": digest})
    lines = [json.dumps(entry, ensure_ascii=True, separators=(",", ":")) for entry in entries]
    output.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def train_small(minke: str) -> pathlib.Path:
    rng = random.Random(3)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as corpus:
        for text in HARD + [random_string(rng) for _ in range(20_000)]:
            corpus.write(json.dumps({"text": text}) + "\n")
        corpus.flush()
        folder = GOLDEN / "tokenizer_small"
        subprocess.run([minke, "tokenizer", "train", "--input", corpus.name, "--vocab-size", "1000", "--output", folder],
                       check=True)
    return folder


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write_golden(train_small(sys.argv[1]), GOLDEN / "tokenizer_small.json", 300)
    write_families(GOLDEN / "tokenizer_families")
    for name in ["deepseek_v2", "deepseek_v3"]:
        write_golden(ROOT / "cache" / "tokenizers" / name, GOLDEN / f"tokenizer_{name}.json", 300)


if __name__ == "__main__":
    main()
