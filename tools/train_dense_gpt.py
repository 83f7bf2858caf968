#!/usr/bin/env python3
"""The peer of `./run bench quality`: a dense GPT in PyTorch, trained on Minke's shards.

    tools/train_dense_gpt.py --data DIR (--seconds S | --tokens N) [--hidden 128] [--layers 4] [--heads 4]
                             [--learning-rate 6e-3] [--precision bf16|f32] [--compile] [--threads N] [--json]
    tools/train_dense_gpt.py --data DIR --modes S ...    tokens per second of each precision, S seconds each

Written as its users would: pre-norm with RMSNorm, RoPE, scaled_dot_product_attention, SwiGLU, AdamW (0.9, 0.95,
weight decay 0.1 on matrices, fused), gradients clipped to 1, 100 steps of linear warm-up and a cosine to zero over its
own time or tokens, 8 sequences of 256 a step. Held-out bits per byte are those of the first 65,536 held-out tokens in
windows of 256, as Minke's `validation.max_tokens = 65_536`; measuring them is not part of the time, and neither is
compilation.
"""
import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

SEQUENCES, LENGTH, HELD_OUT = 8, 256, 65_536
MEASUREMENTS, WARM_UP_STEPS = 10, 100


def read_split(folder, split):
    index = json.loads((folder / "index.json").read_text())
    kind = np.uint16 if index["token_width"] == 2 else np.uint32
    files = [shard["file"] for shard in index["splits"][split]["shards"]]
    parts = [np.fromfile(folder / file, dtype=kind, offset=64) for file in files]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64)), index


class Block(torch.nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        width = -(-8 * hidden // (3 * 32)) * 32
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.RMSNorm(hidden), torch.nn.RMSNorm(hidden)
        self.qkv = torch.nn.Linear(hidden, 3 * hidden, bias=False)
        self.out = torch.nn.Linear(hidden, hidden, bias=False)
        self.gate_up = torch.nn.Linear(hidden, 2 * width, bias=False)
        self.down = torch.nn.Linear(width, hidden, bias=False)

    def forward(self, x, cosine, sine):
        batch, length, hidden = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3 * self.heads, -1).transpose(1, 2).chunk(3, dim=1)
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, hidden))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cosine, sine):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1).to(x.dtype)


class Gpt(torch.nn.Module):
    def __init__(self, vocabulary, hidden, layers, heads):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, hidden)
        self.blocks = torch.nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = torch.nn.RMSNorm(hidden)
        self.head = torch.nn.Linear(hidden, vocabulary, bias=False)
        frequencies = 10000.0 ** (-torch.arange(0, hidden // heads, 2) / (hidden // heads))
        angles = torch.outer(torch.arange(LENGTH), frequencies)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 0.02 / math.sqrt(2 * layers) if name.endswith(("out.weight", "down.weight")) else 0.02
                torch.nn.init.normal_(parameter, std=scale)

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        return self.head(self.norm(x))


def loss_of(model, windows, precision, reduction="mean"):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        logits = model(windows[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten(), reduction=reduction)


@torch.no_grad()
def bits_per_byte(model, tokens, token_bytes, precision):
    nats = count = 0
    starts = torch.arange(min(HELD_OUT, len(tokens) - 1) // LENGTH) * LENGTH
    for some in starts.split(SEQUENCES):
        windows = tokens[some[:, None] + torch.arange(LENGTH + 1)]
        nats += loss_of(model, windows, precision, "sum").item()
        count += token_bytes[windows[:, 1:]].sum().item()
    return nats / math.log(2) / count


def make_optimizer(model, learning_rate):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


class Trainer:
    """A model, its optimiser and its place in the data."""

    def __init__(self, a, precision, compiled):
        torch.manual_seed(0)
        self.tokens, self.index = read_split(a.data, "train")
        self.precision, self.learning_rate, self.step = precision, a.learning_rate, 0
        self.model = Gpt(self.index["vocab_size"], a.hidden, a.layers, a.heads)
        self.step_model = torch.compile(self.model) if compiled else self.model
        self.optimizer = make_optimizer(self.model, a.learning_rate)
        self.order = torch.randperm((len(self.tokens) - 1) // LENGTH)
        loss_of(self.step_model, self.windows(), precision).backward()  # compiles, touches memory: not timed
        self.optimizer.zero_grad()

    def windows(self):
        sequences = (self.step * SEQUENCES + torch.arange(SEQUENCES)) % len(self.order)
        return self.tokens[self.order[sequences, None] * LENGTH + torch.arange(LENGTH + 1)]

    def train_step(self, progress):
        """One step, progress from 0 to 1 of the run; returns its seconds."""
        start = time.perf_counter()
        factor = min((self.step + 1) / WARM_UP_STEPS, 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        loss_of(self.step_model, self.windows(), self.precision).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return time.perf_counter() - start


def train(a):
    trainer = Trainer(a, a.precision, a.compile)
    held_out, _ = read_split(a.data, "validation")
    token_bytes = torch.tensor(trainer.index["token_bytes"])
    curve, elapsed, progress = [], 0.0, 0.0
    while progress < 1:
        elapsed += trainer.train_step(progress)
        tokens = trainer.step * SEQUENCES * LENGTH
        progress = elapsed / a.seconds if a.seconds else tokens / a.tokens
        if progress >= (len(curve) + 1) / MEASUREMENTS:
            curve.append({"seconds": elapsed, "tokens": tokens,
                          "bits_per_byte": bits_per_byte(trainer.model, held_out, token_bytes, a.precision)})
            print("{seconds:7.1f} s {tokens:9d} tokens {bits_per_byte:.4f} bits per byte".format(**curve[-1]),
                  file=sys.stderr, flush=True)
    return {"hidden": a.hidden, "layers": a.layers, "heads": a.heads, "learning_rate": a.learning_rate,
            "precision": a.precision, "compile": a.compile, "threads": a.threads, "torch": torch.__version__,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            "tokens_per_second": curve[-1]["tokens"] / elapsed, "bits_per_byte": curve[-1]["bits_per_byte"],
            "curve": curve}


def measure_modes(a):
    """Tokens per second of each way to run the same model."""
    rates = []
    for precision, compiled in [("f32", False), ("bf16", False), ("f32", True), ("bf16", True)]:
        trainer = Trainer(a, precision, compiled)
        trainer.train_step(0)
        trainer.step, elapsed = 0, 0.0
        while elapsed < a.modes:
            elapsed += trainer.train_step(0)
        rates.append({"precision": precision, "compile": compiled,
                      "tokens_per_second": trainer.step * SEQUENCES * LENGTH / elapsed})
        print("{precision} {compile} {tokens_per_second:.0f} tokens/s".format(**rates[-1]), file=sys.stderr, flush=True)
    return {"torch": torch.__version__, "modes": rates}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=float)
    budget.add_argument("--tokens", type=int)
    budget.add_argument("--modes", type=float, metavar="S")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=6e-3)
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="the whole result on stdout")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    result = measure_modes(a) if a.modes else train(a)
    if a.json:
        print(json.dumps(result))
    elif a.modes is None:
        print("{parameters} parameters, {tokens_per_second:.0f} tokens/s, {bits_per_byte:.4f} bits per byte".format(**result))


if __name__ == "__main__":
    main()
