#!/usr/bin/env python3
"""The peer of a step of `minke grpo`: the same model, problems and sampling in PyTorch with transformers.

    python3 tools/bench_grpo_pytorch.py MODEL [--prompts 16] [--group 16] [--max-tokens 48] [--steps 3]
                                        [--threads N] [--minke PROGRAM]

MODEL is the folder of a model, or of a run that `minke train` left, whose text has three-digit additions
(docs/grpo.md). A step samples `group` answers to each of `prompts` problems with generate(), checks the sums,
and makes one GRPO update from them (group advantages, clip 0.2/0.28, divided by all tokens, AdamW). PyTorch
runs in f32 and with autocast to bf16; the faster one counts. With --minke the same step by Minke, before and
after. Prints one line of JSON.
"""
import argparse
import json
import os
import random
import re
import subprocess
import tempfile
import time

import torch
import transformers

CLIP_LOW, CLIP_HIGH = 0.2, 0.28


def newest_model(folder):
    if os.path.exists(f"{folder}/config.json"):
        return folder
    steps = [int(name[5:]) for name in os.listdir(f"{folder}/checkpoints") if re.fullmatch(r"step-\d+", name)]
    return f"{folder}/checkpoints/step-{max(steps)}/model"


def problems(generator, count):
    pairs = [(generator.randint(100, 999), generator.randint(100, 999)) for _ in range(count)]
    return [f"{a:03d}+{b:03d}=" for a, b in pairs], [a + b for a, b in pairs]


def reward(text, total):
    answer = re.fullmatch(r"\d+", text.split("</think>")[-1].strip())
    return float(answer is not None and int(answer[0]) == total)


def log_probabilities(model, sequences, prompt):
    logits = model(input_ids=sequences[:, :-1]).logits[:, prompt - 1 :].float()
    targets = sequences[:, prompt:]
    return torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0]


class Loop:
    def __init__(self, model, tokenizer, arguments, bf16):
        self.model, self.tokenizer, self.arguments, self.bf16 = model, tokenizer, arguments, bf16
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
        self.generator = random.Random(1)
        self.seconds = []

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16)

    def sample(self, ids):
        end = self.tokenizer.eos_token_id
        with torch.no_grad(), self.autocast():
            sequences = self.model.generate(
                ids.repeat_interleave(self.arguments.group, 0), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=self.arguments.max_tokens, eos_token_id=end, pad_token_id=end, use_cache=True)
        answers = sequences[:, ids.shape[1] :]
        ended = (answers == end).cumsum(1)
        return sequences, ((ended == 0) | ((ended == 1) & (answers == end))).float()

    def step(self):
        start = time.perf_counter()
        texts, totals = problems(self.generator, self.arguments.prompts)
        ids = torch.tensor([self.tokenizer.encode(text) for text in texts])
        self.model.eval()
        sequences, mask = self.sample(ids)
        answers = self.tokenizer.batch_decode(
            [row[: int(n)] for row, n in zip(sequences[:, ids.shape[1] :].tolist(), mask.sum(1))])
        end = self.tokenizer.eos_token
        rewards = torch.tensor([reward(text.replace(end, ""), totals[i // self.arguments.group])
                                for i, text in enumerate(answers)]).view(-1, self.arguments.group)
        advantages = (rewards - rewards.mean(1, True)) / (rewards.std(1, keepdim=True) + 1e-6)
        self.model.train()
        with torch.no_grad(), self.autocast():
            old = log_probabilities(self.model, sequences, ids.shape[1])
        with self.autocast():
            log_pi = log_probabilities(self.model, sequences, ids.shape[1])
        ratio, advantage = torch.exp(log_pi - old), advantages.view(-1, 1)
        clipped = ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
        loss = -(torch.minimum(ratio * advantage, clipped * advantage) * mask).sum() / mask.sum()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        return mask.sum().item()


def minke_seconds(arguments, model):
    with tempfile.TemporaryDirectory() as folder:
        settings = {"output": f"{folder}/run", "model": model, "steps": arguments.steps + 1,
                    "rollout.prompts": arguments.prompts, "rollout.group": arguments.group,
                    "rollout.max_prompt_tokens": 16, "rollout.max_tokens": arguments.max_tokens,
                    "rollout.sequences": 256, "loss.clip_high": CLIP_HIGH, "loss.normalization": "token",
                    "optimizer.learning_rate": 1e-6, "evaluation.problems": 1, "evaluation.every_steps": 0}
        recipe = f"{folder}/recipe.toml"
        with open(recipe, "w") as file:
            for key, value in settings.items():
                file.write(f"{key} = {json.dumps(value)}\n")
        subprocess.run([arguments.minke, "--quiet", "--threads", str(arguments.threads), "grpo", recipe], check=True)
        with open(f"{folder}/run/metrics.jsonl") as file:
            lines = [json.loads(line) for line in file]
    steps = [line for line in lines if "rollout_seconds" in line][1:]  # the first one warms up
    return [line["rollout_seconds"] + line["judge_seconds"] + line["training_seconds"] for line in steps]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--group", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--minke")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    folder = newest_model(arguments.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = minke_seconds(arguments, folder) if arguments.minke else []
    result, tokens = {}, 0
    for name, bf16 in (("f32", False), ("bf16", True)):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        loop = Loop(model, tokenizer, arguments, bf16)
        for _ in range(arguments.steps + 1):
            tokens = loop.step()
        result[name] = min(loop.seconds[1:])
    ours += minke_seconds(arguments, folder) if arguments.minke else []
    report = {"answers": arguments.prompts * arguments.group, "tokens_per_answer": tokens / arguments.prompts / arguments.group,
              "pytorch_seconds": result}
    if ours:
        report["minke_seconds"] = min(ours)
        report["ratio"] = min(result.values()) / min(ours)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
