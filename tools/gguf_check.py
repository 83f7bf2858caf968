"""Checks a GGUF file that Minke wrote against what llama.cpp expects, with the `gguf` package.

  tools/gguf_check.py MODEL.gguf ...

Opens the file, compares its metadata keys with the package's list, its tensors' names with those of
the architecture, and dequantises each tensor. With tokenizer and template where the file has them.
"""

import sys

import gguf
import numpy as np

# Keys whose value is a number of bits of the architecture; llama.cpp refuses a model without them.
NEEDED = ["block_count", "context_length", "embedding_length", "feed_forward_length",
          "attention.head_count", "attention.layer_norm_rms_epsilon"]
NEEDED_LATENT = ["attention.kv_lora_rank", "attention.key_length_mla", "attention.value_length_mla",
                 "leading_dense_block_count", "expert_count", "expert_feed_forward_length"]
# Written by llama.cpp's converters, but only in newer packages' lists, or Minke's own.
ALSO_KNOWN = {"qwen2.vocab_size", "qwen3.vocab_size"}


def known_keys(architecture: str) -> set[str]:
    keys = set()
    for group in vars(gguf.Keys).values():
        for value in vars(group).values() if isinstance(group, type) else ():
            if isinstance(value, str):
                keys.add(value.replace("{arch}", architecture))
    return keys | ALSO_KNOWN


def tensor_names(architecture: str, blocks: int) -> set[str]:
    kind = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    stems = [gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[kind]]
    nextn = [name for tensor, name in gguf.TENSOR_NAMES.items() if "NEXTN" in tensor.name]
    names = {stem.replace("{bid}", str(block)) for stem in stems + nextn for block in range(blocks)}
    return {f"{name}.{suffix}" for name in names for suffix in ("weight", "bias")}


def check(path: str) -> list[str]:
    reader = gguf.GGUFReader(path)
    problems = []
    architecture = reader.get_field("general.architecture").contents()
    keys = {key for key in reader.fields if not key.startswith("GGUF.")}
    problems += [f"unknown key {key}" for key in sorted(keys - known_keys(architecture))]
    needed = NEEDED + (NEEDED_LATENT if architecture == "deepseek2" else [])
    problems += [f"missing key {key}" for key in needed if f"{architecture}.{key}" not in keys]
    names = tensor_names(architecture, reader.get_field(f"{architecture}.block_count").contents())
    for tensor in reader.tensors:
        if tensor.name not in names:
            problems.append(f"unknown tensor {tensor.name}")
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if values.size != tensor.n_elements or not np.isfinite(values).all():
            problems.append(f"{tensor.name}: {values.size} values of {tensor.n_elements}")
    return problems


def main() -> None:
    failed = False
    for path in sys.argv[1:]:
        problems = check(path)
        failed |= bool(problems)
        print(f"{path}: {'; '.join(problems) if problems else 'as the gguf package expects'}")
    sys.exit(failed)


main()
