#!/usr/bin/env python3
"""Writes tests/golden/models/: tiny models with what `transformers` computes with them.

    python3 tools/make_golden.py [FOLDER]

Each model's folder gets what save_pretrained() writes and golden.safetensors: `ids` (two windows of
token ids), `logits` and `loss` of predicting each token's successor, and `gradient.NAME` of the loss
for each parameter. All in f32. Needs torch, transformers and safetensors; docs/golden.md says more.
"""

import copy
import itertools
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config,
                          DeepseekV3ForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

SEQUENCES, LENGTH = 2, 11
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32, beta_slow=1, mscale=1.0,
            mscale_all_dim=0.7, original_max_position_embeddings=64)

V3 = dict(vocab_size=53, hidden_size=24, intermediate_size=32, moe_intermediate_size=16,
          num_hidden_layers=2, first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=None,
          n_routed_experts=6, n_shared_experts=1, num_experts_per_tok=2, n_group=3, topk_group=2,
          q_lora_rank=20, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8,
          norm_topk_prob=True, routed_scaling_factor=2.5, max_position_embeddings=256,
          num_nextn_predict_layers=0)
V2 = {key: value for key, value in V3.items() if key != "num_nextn_predict_layers"}
V2 |= dict(topk_method="greedy", norm_topk_prob=False, n_shared_experts=2)

# Three query heads for each key head, heads wider than hidden_size / num_attention_heads.
DENSE = dict(vocab_size=53, hidden_size=24, intermediate_size=44, num_hidden_layers=2,
             num_attention_heads=6, num_key_value_heads=2, head_dim=14, max_position_embeddings=256)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
PLAIN_YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=64)

CLASSES = {"v2": (DeepseekV2Config, DeepseekV2ForCausalLM, V2),
           "v3": (DeepseekV3Config, DeepseekV3ForCausalLM, V3),
           "llama": (LlamaConfig, LlamaForCausalLM, DENSE),
           "qwen2": (Qwen2Config, Qwen2ForCausalLM, DENSE),
           "qwen3": (Qwen3Config, Qwen3ForCausalLM, DENSE)}

CASES = {
    "v3": dict(num_hidden_layers=3, n_routed_experts=8, num_experts_per_tok=3, n_group=4),
    "v3_yarn": dict(rope_parameters=YARN),
    "v3_three_heads": dict(num_attention_heads=3, v_head_dim=12),
    "v3_odd_widths": dict(hidden_size=28, moe_intermediate_size=20, intermediate_size=44,
                          qk_nope_head_dim=10, qk_rope_head_dim=6, v_head_dim=14),
    "v3_no_q_lora": dict(q_lora_rank=None, n_shared_experts=2),
    "v3_one_group": dict(n_group=1, topk_group=1, n_routed_experts=7),
    "v3_tied": dict(tie_word_embeddings=True, norm_topk_prob=False),
    "v2_greedy": dict(q_lora_rank=None, routed_scaling_factor=1.0, n_group=1, topk_group=1),
    "v2_groups_yarn": dict(topk_method="group_limited_greedy", routed_scaling_factor=16.0,
                           rope_parameters=YARN),
    "llama": dict(rope_parameters=LLAMA3),
    "llama_tied_biases": dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
                              num_key_value_heads=6),
    "qwen2": dict(num_attention_heads=4, num_key_value_heads=1, head_dim=6),
    "qwen2_tied": dict(tie_word_embeddings=True, num_attention_heads=3, num_key_value_heads=3,
                       head_dim=8),
    "qwen3_yarn": dict(rope_parameters=PLAIN_YARN),
    "qwen3_biases": dict(attention_bias=True, head_dim=20, num_key_value_heads=3),
}


def make_model(name, changes):
    make_config, make, base = CLASSES[name.partition("_")[0]]
    model = make(make_config(**{**base, **changes}))
    if name.startswith("v"):
        model.set_experts_implementation("eager")  # the others want widths that are multiples of 8
    return model.float().train()


@torch.no_grad()
def initialize(model):
    """Random values under which every layer matters. The router's bias is positive: older versions of
    transformers mask the groups that lose with 0 where DeepSeek uses minus infinity."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_(0.0, 0.3)
        elif parameter.dim() == 1:
            parameter.uniform_(0.6, 1.4)
        else:
            gain = 2.0 if name.endswith("gate.weight") else 1.0
            parameter.normal_(0.0, gain * parameter.shape[-1] ** -0.5)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.uniform_(0.05, 0.25)


@torch.no_grad()
def chosen_experts(model, ids):
    found = []
    hooks = [layer.mlp.gate.register_forward_hook(lambda gate, x, y: found.append(y[2].sort().values))
             for layer in model.model.layers if hasattr(layer.mlp, "gate")]
    model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return torch.cat(found) if found else torch.empty(0)


@torch.no_grad()
def choices_are_clear(model, ids):
    """Whether every token keeps its experts when all weights change by about 0.4 %: only then can other
    arithmetic, bf16 above all, be compared closely."""
    expected = chosen_experts(model, ids)
    for _ in range(4):
        other = copy.deepcopy(model)
        for parameter in other.parameters():
            parameter.mul_(1 + 0.004 * torch.randn_like(parameter))
        if not chosen_experts(other, ids).equal(expected):
            return False
    return True


def gradients(model):
    """By the names of the files, where every expert is a matrix of its own."""
    found = {}
    for name, parameter in model.named_parameters():
        for part, gradient in file_tensors(name, parameter.grad):
            found["gradient." + part] = gradient.contiguous()
    return found


def file_tensors(name, tensor):
    prefix, _, last = name.rpartition(".")
    if not prefix.endswith("mlp.experts"):
        yield name, tensor
        return
    for expert, matrix in enumerate(tensor):
        parts = {"gate_proj": 0, "up_proj": 1} if last == "gate_up_proj" else {"down_proj": 0}
        for part, index in parts.items():
            yield f"{prefix}.{expert}.{part}.weight", matrix.chunk(len(parts))[index]


def clear_model(name, changes):
    """The first model and windows, by seed, whose choices of experts are clear."""
    for seed in itertools.count():
        torch.manual_seed(seed)
        model = make_model(name, changes)
        initialize(model)
        ids = torch.randint(model.config.vocab_size, (SEQUENCES, LENGTH + 1))
        if choices_are_clear(model, ids[:, :-1]):
            return model, ids, seed


def run(model, ids):
    """Logits, loss and gradients, by name."""
    model.zero_grad()
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    return {"logits": logits.detach().contiguous(), "loss": loss.detach().reshape(1), **gradients(model)}


def bf16_deviation(model, ids, expected):
    """How far transformers itself is off in bf16: logits by the largest, the worst gradient's norm."""
    actual = run(copy.deepcopy(model).bfloat16(), ids)
    logits = (actual["logits"] - expected["logits"]).abs().max() / expected["logits"].abs().max()
    worst = max((actual[key] - expected[key]).norm() / expected[key].norm()
                for key in expected if key.startswith("gradient."))
    return f"in bf16 off by {logits:.3f}, a gradient by {worst:.3f}"


def write(folder, name, changes):
    model, ids, seed = clear_model(name, changes)
    results = run(model, ids)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    save_file({"ids": ids.int(), **results}, folder / "golden.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name}: seed {seed}, {size} parameters, loss {results['loss'].item():.4f}, "
          + bf16_deviation(model, ids, results))


def main():
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    root = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/models"
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root
    for name, changes in CASES.items():
        write(root / name, name, changes)


if __name__ == "__main__":
    main()
