#!/usr/bin/env python3
"""Golden values of the GRPO loss by PyTorch's autograd: tests/golden/grpo.json.

The form is that of TRL's GRPOTrainer (huggingface/trl, trl/trainer/grpo_trainer.py, _compute_loss):
ratios from masked [batch, tokens] tensors, torch.min of the two surrogates, the correction of the
rollout's probabilities on the policy term, then the k3 term, then the reduction by `loss_type`.

    python3 tools/make_grpo_golden.py > tests/golden/grpo.json
"""

import json

import torch

CASES = [
    dict(name="paper", loss_type="grpo", clip=(0.2, 0.2), beta=0.04),
    dict(name="dapo", loss_type="dapo", clip=(0.2, 0.28), beta=0.0),
    dict(name="dr_grpo", loss_type="dr_grpo", clip=(0.2, 0.2), beta=0.001),
    dict(name="unbiased_kl", loss_type="grpo", clip=(0.2, 0.2), beta=0.1, unbiased=True),
    dict(name="corrected", loss_type="dapo", clip=(0.2, 0.28), beta=0.0, cap=1.1),
    dict(name="masked", loss_type="grpo", clip=(0.2, 0.2), beta=0.04, delta=0.05),
    dict(name="filtered", loss_type="dapo", clip=(0.2, 0.28), beta=0.04, filtered=[1]),
]


def loss_of(case, logps, old, ref, rollout, advantages, mask, max_length):
    ratio = torch.exp(logps - old)
    clipped = torch.clamp(ratio, 1 - case["clip"][0], 1 + case["clip"][1])
    advantages = advantages.unsqueeze(1)
    token_loss = -torch.min(ratio * advantages, clipped * advantages)
    if "delta" in case:
        drift = ((old - logps).detach() * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
        token_loss = token_loss * ~((advantages < 0) & (drift > case["delta"]))
    if "cap" in case:
        token_loss = token_loss * torch.clamp(torch.exp(old - rollout), max=case["cap"])
    if case["beta"]:
        kl = torch.exp(ref - logps) - (ref - logps) - 1
        token_loss = token_loss + case["beta"] * (kl * ratio if case.get("unbiased") else kl)
    if case["loss_type"] == "grpo":
        return ((token_loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()
    if case["loss_type"] == "dapo":
        return (token_loss * mask).sum() / mask.sum().clamp(min=1.0)
    return (token_loss * mask).sum() / (token_loss.size(0) * max_length)


def main():
    torch.manual_seed(2)
    lengths, max_length = [7, 4, 1, 5], 8
    rewards = torch.tensor([1.0, 0.0, 1.0, 0.5], dtype=torch.float64)
    advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-6)
    full = torch.tensor([[t < n for t in range(max(lengths))] for n in lengths])
    old = torch.randn(4, 7) * 0.5 - 1.5
    logps = old + torch.randn(4, 7) * 0.25
    ref, rollout = old + torch.randn(4, 7) * 0.3, old + torch.randn(4, 7) * 0.1
    rows = lambda x: [row[:n].tolist() for row, n in zip(x, lengths)]
    out = dict(rewards=rewards.tolist(), advantages=advantages.tolist(), constant_length=max_length, old=rows(old),
               log_pi=rows(logps), reference=rows(ref), rollout=rows(rollout), cases=[])
    for case in CASES:
        mask = full.clone()
        mask[case.get("filtered", [])] = False
        x = logps.double().requires_grad_(True)
        loss = loss_of(case, x, old.double(), ref.double(), rollout.double(), advantages, mask, max_length)
        loss.backward()
        out["cases"].append(dict(case, loss=loss.item(), gradient=rows(x.grad)))
    print(json.dumps(out, indent=1))


main()
