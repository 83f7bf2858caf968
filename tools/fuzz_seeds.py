"""Writes the fuzzers' first seeds, tests/fuzz/corpus/: small files, each showing a feature of its format.

  tools/fuzz_seeds.py

Files that a fuzzer found are added there by hand and stay.
"""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fuzz" / "corpus"


def safetensors(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(values: list[bytes], tensors: list[tuple[str, list[int], int, int]], data: int, version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values)) + b"".join(values)
    for name, extents, kind, offset in tensors:
        head += string(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, kind, offset)
    return head + bytes(-len(head) % 32) + bytes(i % 251 for i in range(data))


def scalar(key: str, kind: int, form: str, value: object) -> bytes:
    return string(key) + struct.pack("<I" + form, kind, value)


def byte_alphabet() -> list[str]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def tokenizer(pre: list[dict], **changes: object) -> bytes:
    vocabulary = {c: i for i, c in enumerate(byte_alphabet())} | {"he": 256, "ll": 257, "hell": 258}
    file = {"added_tokens": [{"id": 259, "content": "<think>", "special": True, "normalized": False}],
            "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre}, "post_processor": None,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": ["h e", "l l", ["he", "ll"]]}} | changes
    return json.dumps(file, separators=(",", ":")).encode()


def split(pattern: dict, behavior: str = "Isolated") -> dict:
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}


def seeds() -> dict[str, bytes]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    plain = byte_level | {"use_regex": False}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<think>", "type_id": 0}}],
                "special_tokens": {"<think>": {"id": "<think>", "ids": [259], "tokens": ["<think>"]}}}
    every = b"".join([scalar("a", 0, "B", 1), scalar("b", 1, "b", -1), scalar("c", 2, "H", 1), scalar("d", 3, "h", -1),
                      scalar("e", 4, "I", 1), scalar("f", 5, "i", -1), scalar("g", 6, "f", 1.0), scalar("h", 7, "B", 1),
                      scalar("i", 10, "Q", 1 << 63), scalar("j", 11, "q", -1), scalar("k", 12, "d", 1.0)])
    arrays = (string("s") + struct.pack("<I", 8) + string("x") + string("t") + struct.pack("<IIQ", 9, 8, 2)
              + string("") + string("yz") + string("u") + struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3))
    alphabet = byte_alphabet() + ["ab", "<x>"]
    strings = lambda key, texts: string(key) + struct.pack("<IIQ", 9, 8, len(texts)) + b"".join(map(string, texts))
    vocabulary = [string("tokenizer.ggml.model") + struct.pack("<I", 8) + string("gpt2"), string("tokenizer.ggml.pre") + struct.pack("<I", 8) + string("qwen2"),
                  strings("tokenizer.ggml.tokens", alphabet), strings("tokenizer.ggml.merges", ["a b"]),
                  string("tokenizer.ggml.token_type") + struct.pack("<IIQ258i", 9, 5, 258, *[1] * 257, 3), scalar("tokenizer.ggml.eos_token_id", 4, "I", 257)]
    return {
        "safetensors/types": safetensors({"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 2], 0, 16), "b": entry("BF16", [2], 16, 20),
                                          "c": entry("F16", [1, 1], 20, 22), "d": entry("U8", [2], 22, 24)}, bytes(24)),
        "safetensors/fp8": safetensors({"w": entry("F8_E4M3", [2, 2], 0, 4), "w_scale_inv": entry("F32", [1, 1], 4, 8)}, bytes(8)),
        "safetensors/empty": safetensors({"a": entry("F32", [0, 3], 0, 0)}, b""),
        "safetensors/overflow": safetensors({"a": entry("F32", [1 << 40, 1 << 40], 0, 0)}, b""),
        "safetensors/deep": safetensors(b'{"a":' + b"[" * 500, b""),
        "gguf/values": gguf([every, arrays], [], 0).replace(struct.pack("<QQ", 0, 2), struct.pack("<QQ", 0, 14), 1),
        "gguf/tensors": gguf([scalar("general.alignment", 4, "I", 64)], [("a", [4, 2], 0, 0), ("b", [32], 8, 64), ("c", [256, 1, 1], 12, 128)], 320),
        "gguf/version2": gguf([scalar("split.count", 2, "H", 1)], [("a", [2], 1, 0)], 32, 2),
        "gguf/tokenizer": gguf(vocabulary, [], 0),
        "gguf/huge": b"GGUF" + struct.pack("<IQQ", 3, 2**64 - 1, 2**64 - 1),
        "tokenizer/sequence": tokenizer([split({"Regex": "\\p{N}{1,3}"}), split({"String": "."}), plain], normalizer={"type": "NFC"}),
        "tokenizer/byte_level": tokenizer([{"type": "Digits", "individual_digits": True}, byte_level], post_processor=template),
        "tokenizer/removed": tokenizer([split({"Regex": "\\s+"}, "Removed"), plain]),
        "tokenizer/deep": b'{"model":{"vocab":{},"merges":[]},"normalizer":' + b'{"type":"Sequence","normalizers":[' * 100 + b"]}" * 100 + b"}",
    }


def main() -> None:
    for name, content in seeds().items():
        path = CORPUS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
