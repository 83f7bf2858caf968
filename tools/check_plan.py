#!/usr/bin/env python3
"""Compares `minke plan` with what training and serving on this machine then really take.

    python3 tools/check_plan.py [--minke build/release/minke] [--threads N] [--seconds 4]

Calibrates once, with a recipe that is not among those that are checked; then trains each of the other
recipes for some seconds and prints predicted and measured step time and peak memory, and the same for
the prompt and the generated tokens of some of the models. The calibration goes to a temporary folder;
yours stays as it is. Run it on a quiet machine: a warning tells when other programs had the cores.
Exit status 1 if a step is more than 15 % off or memory more than 10 %.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
MOST_STEP, MOST_MEMORY = 0.15, 0.10

# Base of all: the 12m preset, 8 sequences of 256 tokens, AdamW, bf16.
CALIBRATION = ("12m", [])
CHECKED = {
    "sequences of 1,024": ["data.sequence_length=1024", "batch.sequences=4", "batch.micro_batch=2"],
    "recomputation, micro-batches": ["recompute=true", "batch.sequences=16", "batch.micro_batch=4"],
    "f32": ["compute=f32"],
    "8 layers of width 384": ["model.hidden_size=384", "model.num_hidden_layers=8",
                              "model.intermediate_size=1024"],
    "Muon": ["optimizer.kind=muon"],
    "dense Qwen3": ["model.preset=r1-0528-qwen3-8b", "model.vocab_size=8192", "model.hidden_size=384",
                    "model.intermediate_size=1024", "model.num_hidden_layers=8", "model.head_dim=64",
                    "model.num_attention_heads=6", "model.num_key_value_heads=2"],
    "preset 107m": ["model.preset=107m", "batch.sequences=4", "batch.micro_batch=4"],
}
SERVED = ["8 layers of width 384", "dense Qwen3", "preset 107m"]


class Checker:
    def __init__(self, arguments, folder):
        self.folder, self.seconds = folder, arguments.seconds
        self.program = [str(Path(arguments.minke).resolve()), "--threads", str(arguments.threads)]
        # The measured peaks are the user's, the calibration is ours.
        cache = Path(os.environ.get("MINKE_CACHE") or Path(os.environ.get(
            "XDG_CACHE_HOME", Path.home() / ".cache")) / "minke")
        own = folder / "cache"
        own.mkdir()
        for peaks in cache.glob("peaks-*"):
            shutil.copy(peaks, own)
        self.environment = os.environ | {"MINKE_CACHE": str(own)}

    def minke(self, *arguments):
        done = subprocess.run([*self.program, "--log-level", "warn", *map(str, arguments)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)
        for line in done.stderr.splitlines():
            if " warn " in line or done.returncode:
                print(line, file=sys.stderr)
        if done.returncode:
            sys.exit(f"error: minke {arguments[0]} failed")
        return done.stdout

    def prepare_data(self):
        choose = random.Random(1)
        words = ["".join(choose.choices("abcdefghijklmnopqrstuvwxyz", k=choose.randint(2, 9)))
                 for _ in range(3000)]
        with open(self.folder / "text.jsonl", "w") as file:
            for _ in range(700):
                print(json.dumps({"text": " ".join(choose.choices(words, k=400))}), file=file)
        self.minke("data", "prepare", "--input", self.folder / "text.jsonl", "--tokenizer",
                   SOURCE / "tests/golden/tokenizer_small", "--output", self.folder / "data",
                   "--near-duplicates", "off")

    def recipe(self, name, keys):
        path = self.folder / (name.replace(" ", "-").replace(",", "") + ".toml")
        preset = next((key.split("=")[1] for key in keys if key.startswith("model.preset")), "12m")
        path.write_text(f"""name = "{name}"
output = "{path.with_suffix('')}"
total_tokens = 1_000_000
log_every_steps = 1
[model]
preset = "{preset}"
[data]
path = "{self.folder / 'data'}"
[batch]
sequences = 8
micro_batch = 8
[validation]
max_tokens = 4096
""")
        keys = [key for key in keys if not key.startswith("model.preset")] + [
            "model.max_position_embeddings=1024"]
        return path, [part for key in keys for part in ("--set", key)]

    def plan(self, path, sets):
        return json.loads(self.minke("plan", path, *sets, "--json"))["this_machine"]

    # Steps for about so many seconds, at least twelve.
    def train(self, path, sets):
        plan = self.plan(path, sets)
        step_tokens = plan["tokens_per_second"] * plan["step_seconds"]
        steps = max(12, min(200, round(self.seconds / plan["step_seconds"])))
        self.minke("train", path, *sets, "--set", f"total_tokens={round(steps * step_tokens)}")
        return path.with_suffix("")

    def measured(self, run, plan):
        rates = sorted(json.loads(line)["tokens_per_second"]
                       for line in (run / "metrics.jsonl").read_text().splitlines()
                       if "tokens_per_second" in line)
        step_tokens = plan["tokens_per_second"] * plan["step_seconds"]
        ledger = json.loads((run / "ledger.json").read_text())
        # As in calibration: other programs can only slow a step.
        return step_tokens / rates[len(rates) - 1 - len(rates) // 4], ledger["peak_memory_bytes"]

    def generate(self, run):
        prompt = self.folder / "prompt.txt"
        prompt.write_text((self.folder / "text.jsonl").read_text()[10:700])
        out = self.folder / "generated.json"
        best = None  # of three: the first one reads the file, and others may use the machine
        for _ in range(3):
            text = self.minke("generate", run, "--prompt-file", prompt, "-n", 128, "--json",
                              "--temperature", 1)
            found = json.loads(text)
            if best is None or found["generation_seconds"] < best["generation_seconds"]:
                best = found
                out.write_text(text)
        return out, best

    def serving(self, run):
        _, found = self.generate(run)
        tokens = len(found["tokens"])
        plan = json.loads(self.minke("plan", run, "--machine", "this", "--json", "--prompt",
                                     found["prompt_tokens"], "--serving-context",
                                     found["prompt_tokens"] + tokens // 2))
        plan = plan["serving_on_this_machine"]
        return [(plan["prompt_tokens_per_second"], found["prompt_tokens"] / found["prompt_seconds"]),
                (plan["generation_tokens_per_second"], (tokens - 1) / found["generation_seconds"])]


def off(predicted, measured):
    return predicted / measured - 1


def calibrate(checker):
    checker.prepare_data()
    name, keys = CALIBRATION
    run = checker.train(*checker.recipe(name, keys))
    training = json.loads(checker.minke("plan", "--calibrate", run, "--json"))
    serving = json.loads(checker.minke("plan", "--calibrate", checker.generate(run)[0], "--json"))
    print(f"Calibrated once, with {name}, which is not among the recipes below: steps take "
          f"{training['step_factor']:.3f},\nmemory {training['memory_factor']:.3f}, prompts "
          f"{serving['prompt_factor']:.2f}, generation {serving['generation_factor']:.2f} times what the "
          "peaks say.\n", flush=True)


# Prints a row for each recipe as soon as it is measured; returns the rows about serving, and how many
# recipes were within the bounds.
def check(checker):
    print("| recipe | step predicted, s | measured, s | | memory predicted, MiB | measured, MiB | |\n"
          "|---|---|---|---|---|---|---|")
    served, good = [], 0
    for name, keys in CHECKED.items():
        path, sets = checker.recipe(name, keys)
        plan = checker.plan(path, sets)
        run = checker.train(path, sets)
        step, memory = checker.measured(run, plan)
        step_off, memory_off = off(plan["step_seconds"], step), off(plan["memory_bytes"], memory)
        good += abs(step_off) <= MOST_STEP and abs(memory_off) <= MOST_MEMORY
        print(f"| {name} | {plan['step_seconds']:.3f} | {step:.3f} | {step_off:+.0%} | "
              f"{plan['memory_bytes'] / 2**20:.0f} | {memory / 2**20:.0f} | {memory_off:+.1%} |", flush=True)
        if name in SERVED:
            row = "".join(f" {predicted:.0f} | {measured:.0f} | {off(predicted, measured):+.0%} |"
                          for predicted, measured in checker.serving(run))
            served.append(f"| {name} |{row}")
        shutil.rmtree(run)
    return served, good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", default=SOURCE / "build/release/minke")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=4, help="of training for each recipe, about")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="minke-check-plan-") as folder:
        checker = Checker(arguments, Path(folder))
        calibrate(checker)
        served, good = check(checker)
    print("\n| model | prompt predicted, tok/s | measured | | generation predicted, tok/s | measured | |\n"
          "|---|---|---|---|---|---|---|")
    print("\n".join(served))
    print(f"\n{good} of {len(CHECKED)} recipes are within 15 % of the step and 10 % of the memory.")
    sys.exit(0 if good == len(CHECKED) else 1)


if __name__ == "__main__":
    main()
