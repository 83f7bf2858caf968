"""Compares `minke tokenizer encode` with the `tokenizers` package on hard and random strings.

  tools/tokenizer_fuzz.py MINKE TOKENIZER_FOLDER [--count 5000] [--seed 1] [--code-points]

--code-points also tries every assigned code point (as this Python knows them) in several contexts.
Exits with 1 and shows the first differences if there is any.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer

from tokenizer_strings import HARD, long_run, random_string

CONTEXTS = ["{}", "a{}b", " {}{} ", "1{}2", "\n{}\n", ".{}a", " {}中"]


def is_settled(code: int) -> bool:
    """Assigned, no surrogate."""
    return unicodedata.category(chr(code)) not in ("Cn", "Cs")


def strings(arguments) -> list[str]:
    rng = random.Random(arguments.seed)
    result = list(HARD)
    result += [long_run("abc", 100_000), long_run("的一是", 30_000), " " * 50_000, "1" * 50_000, "\n" * 20_000, "!?" * 30_000]
    result += [random_string(rng, 0x2FFF) for _ in range(arguments.count)]
    if arguments.code_points:
        for code in filter(is_settled, range(0x110000)):
            if 0xE100 <= code < 0xF800 or code >= 0x20000 and code % 97:
                continue  # private use and ideographs behave alike
            result.append("".join(context.format(chr(code), chr(code)) for context in CONTEXTS))
    return [s for s in result if all(is_settled(ord(c)) or c == "\U0010ffff" for c in s)]


def minke_ids(binary: str, folder: str, texts: list[str]) -> list[list[int]]:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for text in texts:
            file.write(json.dumps(text) + "\n")
        file.flush()
        command = [binary, "tokenizer", "encode", folder, "--file", file.name, "--json-lines", "--no-bos"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minke")
    parser.add_argument("tokenizer")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--code-points", action="store_true")
    arguments = parser.parse_args()
    peer = Tokenizer.from_file(str(pathlib.Path(arguments.tokenizer) / "tokenizer.json"))
    texts = strings(arguments)
    ours = minke_ids(arguments.minke, arguments.tokenizer, texts)
    differences = 0
    for text, ids in zip(texts, ours, strict=True):
        expected = peer.encode(text, add_special_tokens=False).ids
        if ids == expected:
            continue
        differences += 1
        if differences <= 10:
            codes = " ".join(f"{ord(c):04X}" for c in text[:60])
            print(f"{text[:60]!r} ({codes})\n  tokenizers {expected[:40]}\n  minke      {ids[:40]}")
    print(f"{len(texts)} strings, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
