#!/usr/bin/env python3
"""The peer of `minke bench train`: the same model and batch in PyTorch with transformers' DeepseekV3.

    python3 tools/bench_train_pytorch.py [--preset 12m|107m] [--steps N] [--threads N] [--compile]
                                         [--minke PROGRAM]

Random tokens, 8 sequences of 256 a step, cross-entropy of the next token, gradients clipped to norm 1,
fused AdamW. Modes: f32 and autocast to bf16, experts one after the other and as grouped products;
--compile adds torch.compile of each, which takes minutes. The modes take turns step by step, so that
other work on the machine disturbs all alike; one that takes four times the best after two steps is given
up. Needs transformers 5. Prints one line of JSON with the best step of each; with
--minke a table of these beside Minke, which is measured before and after.
"""

import argparse
import itertools
import json
import os
import subprocess
import time

import torch
import transformers

SEQUENCES, LENGTH, WARM_UP_STEPS = 8, 256, 2
GIVE_UP_RATIO = 4

SHARED = dict(n_shared_experts=1, num_experts_per_tok=4, n_group=4, topk_group=2, norm_topk_prob=True,
              routed_scaling_factor=2.5, first_k_dense_replace=1, qk_nope_head_dim=64,
              qk_rope_head_dim=32, v_head_dim=64, tie_word_embeddings=False, num_key_value_heads=None,
              num_nextn_predict_layers=0, use_cache=False)
PRESETS = {
    "12m": dict(vocab_size=4096, hidden_size=256, num_hidden_layers=6, num_attention_heads=4,
                intermediate_size=688, moe_intermediate_size=128, n_routed_experts=16, q_lora_rank=96,
                kv_lora_rank=64),
    "107m": dict(vocab_size=8192, hidden_size=512, num_hidden_layers=8, num_attention_heads=8,
                 intermediate_size=1408, moe_intermediate_size=256, n_routed_experts=32, q_lora_rank=192,
                 kv_lora_rank=128),
}


class Mode:
    def __init__(self, model, precision, experts, compiled):
        self.name = f"{precision}, {experts}" + (", compiled" if compiled else "")
        self.model, self.bf16, self.experts = model, precision == "bf16", experts
        self.forward = torch.compile(model) if compiled else model
        self.seconds, self.error = [], None

    def step(self, optimizer, ids):
        self.model.set_experts_implementation(self.experts)
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.forward(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()
        self.seconds.append(time.perf_counter() - start)

    def best(self):
        return min(self.seconds[WARM_UP_STEPS:], default=None)


def drop_slow(modes):
    """Gives up modes that are far from the best, as bf16 is without instructions for it: minutes a step."""
    second_steps = {mode: mode.seconds[1] for mode in modes if mode.error is None}
    for mode, seconds in second_steps.items():
        if seconds > GIVE_UP_RATIO * min(second_steps.values()):
            mode.error, mode.seconds = f"{seconds:.1f} s a step", []


def measure(preset, steps, with_compile):
    torch.manual_seed(0)
    config = transformers.DeepseekV3Config(**SHARED, **PRESETS[preset])
    model = transformers.DeepseekV3ForCausalLM(config).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1,
                                  fused=True)
    ids = torch.randint(config.vocab_size, (SEQUENCES, LENGTH + 1))
    modes = [Mode(model, *choice) for choice in itertools.product(
        ("f32", "bf16"), ("eager", "grouped_mm"), (False, True) if with_compile else (False,))]
    for step in range(WARM_UP_STEPS + steps):
        for mode in modes:
            if mode.error is None:
                try:
                    mode.step(optimizer, ids)
                except (RuntimeError, NotImplementedError) as error:
                    mode.error, mode.seconds = str(error).splitlines()[0], []
        if step == 1:
            drop_slow(modes)
    return sum(parameter.numel() for parameter in model.parameters()), modes


def measure_pytorch(arguments):
    torch.set_num_threads(arguments.threads)
    parameters, modes = measure(arguments.preset, arguments.steps, arguments.compile)
    speeds = {mode.name: SEQUENCES * LENGTH / mode.best() for mode in modes if mode.best()}
    return {"torch": torch.__version__, "transformers": transformers.__version__,
            "threads": arguments.threads, "preset": arguments.preset, "parameters": parameters,
            "steps": arguments.steps, "tokens_per_second": speeds,
            "failed": {mode.name: mode.error for mode in modes if mode.error},
            "best_mode": max(speeds, key=speeds.get), "best_tokens_per_second": max(speeds.values())}


def measure_minke(arguments):
    command = [arguments.minke, "--threads", str(arguments.threads), "bench", "train", "--json",
               "--preset", arguments.preset, "--steps", str(arguments.steps)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def print_table(minke, pytorch):
    peer = pytorch["best_tokens_per_second"]
    print(f"{pytorch['preset']}: {minke['parameters'] / 1e6:.1f} M parameters, {minke['cpu']}, "
          f"{minke['threads']} threads, best of {pytorch['steps']} steps")
    rows = {f"PyTorch {pytorch['torch']} {name}": speed
            for name, speed in pytorch["tokens_per_second"].items()}
    rows[f"Minke {minke['isa']}"] = minke["tokens_per_second"]
    flops_per_token = minke["model_flops"] / minke["tokens_per_second"]
    for name, speed in rows.items():
        print(f"  {name:40} {speed:8.0f} tokens/s  {speed * flops_per_token / minke['peak_flops']:6.1%} "
              f"of the bf16 peak  {speed / peer:5.2f} x PyTorch's best")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=PRESETS, default="12m")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--minke")
    arguments = parser.parse_args()
    before = measure_minke(arguments) if arguments.minke else None
    pytorch = measure_pytorch(arguments)
    if not arguments.minke:
        print(json.dumps(pytorch))
        return
    print_table(max(before, measure_minke(arguments), key=lambda run: run["tokens_per_second"]), pytorch)


if __name__ == "__main__":
    main()
