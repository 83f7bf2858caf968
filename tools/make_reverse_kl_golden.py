#!/usr/bin/env python3
"""Golden values of the reverse KL divergence by PyTorch's autograd: tests/golden/reverse_kl.json.

loss = scale · Σ_t w_t · KL(softmax(student_t / T) ‖ softmax(teacher_t / T)), in float64 from float32 logits.

    python3 tools/make_reverse_kl_golden.py > tests/golden/reverse_kl.json
"""

import json

import torch

# Vocabulary sizes beside the widths of vectors; logits far apart.
CASES = [
    dict(vocab=5, temperature=1.0, spread=1.0),
    dict(vocab=17, temperature=0.7, spread=2.0),
    dict(vocab=41, temperature=1.5, spread=3.0),
    dict(vocab=9, temperature=1.0, spread=40.0),
]


def main():
    torch.manual_seed(4)
    out = []
    for case in CASES:
        student = (torch.randn(3, case["vocab"]) * case["spread"]).requires_grad_()
        teacher = torch.randn(3, case["vocab"]) * case["spread"]
        weights = torch.tensor([1.0, 0.25, 2.0], dtype=torch.float64)
        log_p = torch.log_softmax(student.double() / case["temperature"], -1)
        log_q = torch.log_softmax(teacher.double() / case["temperature"], -1)
        losses = weights * (log_p.exp() * (log_p - log_q)).sum(-1)
        (0.5 * losses.sum()).backward()
        numbers = lambda x: [[float(f"{v:.7g}") for v in row] for row in x.tolist()]
        out.append(dict(temperature=case["temperature"], scale=0.5, weights=weights.tolist(), student=numbers(student),
                        teacher=numbers(teacher), losses=losses.tolist(), gradient=numbers(student.grad)))
    print(json.dumps(out))


main()
