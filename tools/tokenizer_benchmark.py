"""Training and single-thread encoding speed of Minke beside the `tokenizers` package.

  tools/tokenizer_benchmark.py MINKE TEXT_FILE [--vocab-size 8192] [--tokenizer FOLDER] [--json]

Both train on the same documents (the file, cut at empty lines) and must make the same merges; both
encode the whole file with one thread and must give the same ids. Minke's times are those of whole
processes, less what a process takes for an empty text; its encoding time includes printing.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

DIGITS = r"\p{N}{1,3}"
PATTERNS = [
    DIGITS, "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^""" + "\r\n" + r"""\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+["""
    + "\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
FIRST = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
LAST_COUNT = 17  # special tokens at the end of Minke's vocabulary


def documents_of(path: str, size: int = 50_000) -> list[str]:
    text = pathlib.Path(path).read_bytes().decode("utf-8", "replace")
    documents, begin = [], 0
    while begin < len(text):
        cut = text.find("\n\n", begin + size)
        cut = len(text) if cut < 0 else cut + 2
        documents.append(text[begin:cut])
        begin = cut
    return documents


def timed(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def train_peer(documents: list[str], vocab_size: int):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in PATTERNS]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - LAST_COUNT, special_tokens=FIRST, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(documents, trainer)
    return json.loads(tokenizer.to_str())["model"]


def pairs(merges: list) -> list[tuple]:
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in merges]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minke")
    parser.add_argument("text")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--tokenizer", help="encode with this tokenizer, not with the one just trained")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    documents = documents_of(arguments.text)
    megabytes = sum(len(d.encode()) for d in documents) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        corpus, text, empty, trained = (f"{folder}/{n}" for n in ("corpus.jsonl", "text.txt", "empty.txt", "tokenizer"))
        pathlib.Path(corpus).write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
        pathlib.Path(text).write_bytes("".join(documents).encode())
        pathlib.Path(empty).write_text("")
        our_training, _ = timed(lambda: run(arguments.minke, "tokenizer", "train", "--input", corpus, "--vocab-size",
                                            str(arguments.vocab_size), "--output", trained))
        peer_training, peer_model = timed(lambda: train_peer(documents, arguments.vocab_size))
        our_model = json.loads(pathlib.Path(trained, "tokenizer.json").read_text())["model"]
        chosen = arguments.tokenizer or trained

        from tokenizers import Tokenizer
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        peer = Tokenizer.from_file(f"{chosen}/tokenizer.json")
        peer_encoding, peer_ids = timed(lambda: [peer.encode(d, add_special_tokens=False).ids for d in documents])
        start_up, _ = timed(lambda: run(arguments.minke, "tokenizer", "encode", chosen, "--file", empty))
        our_encoding, output = timed(lambda: run(arguments.minke, "tokenizer", "encode", chosen, "--no-bos", "--file", text, "--json"))
        joined = peer.encode(documents[0] + documents[-1], add_special_tokens=False).ids
        pathlib.Path(text).write_bytes((documents[0] + documents[-1]).encode())
        same_ids = joined == json.loads(run(arguments.minke, "tokenizer", "encode", chosen, "--no-bos", "--file", text, "--json"))
    result = {
        "megabytes": megabytes, "vocab_size": arguments.vocab_size, "cores": os.cpu_count(),
        "training_seconds": {"minke": our_training, "tokenizers": peer_training},
        "encoding_mb_per_second": {"minke": megabytes / (our_encoding - start_up), "tokenizers": megabytes / peer_encoding},
        "tokens": {"minke": len(json.loads(output)), "tokenizers": sum(map(len, peer_ids))},
        "same_merges": pairs(our_model["merges"]) == pairs(peer_model["merges"]), "same_ids": same_ids,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:>24}  {value}")
    return 0 if result["same_merges"] and result["same_ids"] else 1


if __name__ == "__main__":
    sys.exit(main())
