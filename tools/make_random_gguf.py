#!/usr/bin/env python3
"""Writes a GGUF file of DeepSeek-V2-Lite's shape with random weights, for measurements of speed.

    python3 tools/make_random_gguf.py OUT [--shape v2-lite|tiny] [--type Q4_0] [--seed N]

v2-lite: every matrix in the type, norms and the router in F32 (8.8 GB in Q4_0, 1.4 GB of which one token
reads). tiny: the same architecture in 2 MB, for tests. The tokenizer is a byte-level BPE whose words have no meaning.
A block's bytes come from a pool of random blocks, with scales that keep activations near 1. Needs
numpy and gguf.
"""

import argparse

import gguf
import numpy as np

SHAPES = {
    "v2-lite": dict(layers=27, hidden=2048, heads=16, nope=128, rope=64, v=128, kv_lora=512, dense=10944,
                    width=1408, experts=64, used=6, shared=2, vocab=102400, context=163840),
    "tiny": dict(layers=3, hidden=256, heads=4, nope=32, rope=32, v=32, kv_lora=64, dense=512, width=96,
                 experts=8, used=3, shared=2, vocab=1024, context=4096),
}
# Where a format keeps its f16 scale, and the standard deviation of its integers.
TYPES = {"Q4_0": 4.6, "Q8_0": 73.9}
POOL_BYTES = 1 << 26


def byte_characters():
    """The characters that byte-level BPE writes bytes as (GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    characters = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [characters[b] for b in range(256)]


def tokenizer(size):
    """Bytes, then pairs of what there is, each with its merge, then two special tokens."""
    tokens = byte_characters()
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    merges, parts = [], letters
    while len(tokens) < size - 2:
        new = [(a, b) for a in letters for b in parts][:size - 2 - len(tokens)]
        merges += [f"{a} {b}" for a, b in new]
        parts = [a + b for a, b in new]
        tokens += parts
    return tokens + ["<|begin|>", "<|end|>"], merges


class RandomBlocks:
    """Tensors cut from one pool of random blocks; their scale is that of 1/sqrt(columns)."""

    def __init__(self, name, seed):
        self.type = gguf.GGMLQuantizationType[name]
        self.elements, self.bytes = gguf.GGML_QUANT_SIZES[self.type]
        self.deviation = TYPES[name]
        self.random = np.random.default_rng(seed)
        count = POOL_BYTES // self.bytes
        self.pool = self.random.integers(0, 256, (count, self.bytes), dtype=np.uint8)
        # Integers from -8 to 7 have a mean of -1/2. Blocks of one sign would turn all tokens the same way, and the
        # router would send them all to the same experts.
        self.signs = self.random.choice(np.float16([-1, 1]), count)

    def tensor(self, shape):
        blocks = int(np.prod(shape)) // self.elements
        scale = np.float16(shape[-1] ** -0.5 / self.deviation)
        self.pool[:, :2] = (scale * self.signs).astype(np.float16).view(np.uint8).reshape(-1, 2)
        start = int(self.random.integers(0, len(self.pool)))
        pieces = [self.pool[start:start + blocks]]
        left = blocks - len(pieces[0])
        pieces += [self.pool[:min(left - i, len(self.pool))] for i in range(0, left, len(self.pool))]
        return np.concatenate(pieces).reshape(*shape[:-1], shape[-1] // self.elements * self.bytes)


def tensors(s):
    """Names with shapes, outermost dimension first; one dimension, or the router: F32."""
    yield "token_embd.weight", (s["vocab"], s["hidden"])
    for i in range(s["layers"]):
        p, hidden, heads = f"blk.{i}.", s["hidden"], s["heads"]
        yield p + "attn_norm.weight", (hidden,)
        yield p + "attn_q.weight", (heads * (s["nope"] + s["rope"]), hidden)
        yield p + "attn_kv_a_mqa.weight", (s["kv_lora"] + s["rope"], hidden)
        yield p + "attn_kv_a_norm.weight", (s["kv_lora"],)
        yield p + "attn_k_b.weight", (heads, s["kv_lora"], s["nope"])
        yield p + "attn_v_b.weight", (heads, s["v"], s["kv_lora"])
        yield p + "attn_output.weight", (hidden, heads * s["v"])
        yield p + "ffn_norm.weight", (hidden,)
        if i == 0:
            yield p + "ffn_gate.weight", (s["dense"], hidden)
            yield p + "ffn_up.weight", (s["dense"], hidden)
            yield p + "ffn_down.weight", (hidden, s["dense"])
            continue
        shared = s["shared"] * s["width"]
        yield p + "ffn_gate_inp.weight", (s["experts"], hidden)
        yield p + "ffn_gate_exps.weight", (s["experts"], s["width"], hidden)
        yield p + "ffn_up_exps.weight", (s["experts"], s["width"], hidden)
        yield p + "ffn_down_exps.weight", (s["experts"], hidden, s["width"])
        yield p + "ffn_gate_shexp.weight", (shared, hidden)
        yield p + "ffn_up_shexp.weight", (shared, hidden)
        yield p + "ffn_down_shexp.weight", (hidden, shared)
    yield "output_norm.weight", (s["hidden"],)
    yield "output.weight", (s["vocab"], s["hidden"])


def write_metadata(w, s):
    w.add_name("random weights")
    w.add_context_length(s["context"])
    w.add_embedding_length(s["hidden"])
    w.add_block_count(s["layers"])
    w.add_feed_forward_length(s["dense"])
    w.add_head_count(s["heads"])
    w.add_head_count_kv(1)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_vocab_size(s["vocab"])
    w.add_kv_lora_rank(s["kv_lora"])
    w.add_key_length(s["kv_lora"] + s["rope"])
    w.add_value_length(s["kv_lora"])
    w.add_key_length_mla(s["nope"] + s["rope"])
    w.add_value_length_mla(s["v"])
    w.add_rope_dimension_count(s["rope"])
    w.add_leading_dense_block_count(1)
    w.add_expert_feed_forward_length(s["width"])
    w.add_expert_count(s["experts"])
    w.add_expert_used_count(s["used"])
    w.add_expert_shared_count(s["shared"])
    w.add_expert_weights_scale(1.0)
    w.add_expert_weights_norm(False)
    w.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX)
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(40.0)
    w.add_rope_scaling_orig_ctx_len(4096)
    w.add_rope_scaling_yarn_log_mul(0.0707)
    tokens, merges = tokenizer(s["vocab"])
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("deepseek-llm")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - 2) + [gguf.TokenType.CONTROL] * 2)
    w.add_token_merges(merges)
    w.add_bos_token_id(len(tokens) - 2)
    w.add_eos_token_id(len(tokens) - 1)
    w.add_add_bos_token(True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--shape", choices=SHAPES, default="v2-lite")
    parser.add_argument("--type", choices=TYPES, default="Q4_0")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    shape, blocks = SHAPES[args.shape], RandomBlocks(args.type, args.seed)
    writer = gguf.GGUFWriter(args.out, "deepseek2")
    write_metadata(writer, shape)

    plain = lambda name, dims: len(dims) == 1 or "gate_inp" in name
    for name, dims in tensors(shape):
        size = int(np.prod(dims))
        if plain(name, dims):
            writer.add_tensor_info(name, dims, np.dtype(np.float32), size * 4)
        else:
            length = size // blocks.elements * blocks.bytes
            stored = (*dims[:-1], dims[-1] // blocks.elements * blocks.bytes)
            writer.add_tensor_info(name, stored, np.dtype(np.uint8), length, raw_dtype=blocks.type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, dims in tensors(shape):
        if len(dims) == 1:
            data = np.ones(dims, np.float32)
        elif plain(name, dims):
            data = (blocks.random.standard_normal(dims) * dims[-1] ** -0.5).astype(np.float32)
        else:
            data = blocks.tensor(dims)
        writer.write_tensor_data(data)
    writer.close()


if __name__ == "__main__":
    main()
