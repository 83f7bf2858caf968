#!/usr/bin/env python3
"""Cost to quality: how long Minke trains to reach the held-out bits per byte of a dense GPT in PyTorch.

    python3 tools/bench_quality.py [--minke PROGRAM] [--data DIR] [--seconds S] [--ablation-seconds S]
                                   [--threads N] [--output DIR] [--again] [--tune S]

One after the other on the same cores, with the same tokens and the same held-out tokens:
  1. the peer (tools/train_dense_gpt.py) in its fastest precision here, for --seconds (1,200);
  2. Minke with recipes/text.toml, once for a third and once for a fifth of that, and where neither is as good, for
     a half, then for the whole;
  3. the ablation: from the peer's model to that recipe, each step for --ablation-seconds (60).
Minke counts tokens, not seconds, so every run is preceded by some steps that say how many tokens its time is worth.
Seconds are those of training; measuring the held-out text is not part of them, neither here nor there.

Every finished run is kept in --output (cache/bench-quality) with its settings and is not repeated while these stay
the same, so a stop loses one run only; --again forgets them. The report is report.json, report.md and report.svg
there, and the Markdown also goes to stdout. --tune S instead compares the peer's sizes and learning rates.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
RECIPE, DENSE_RECIPE = SOURCE / "recipes/text.toml", SOURCE / "recipes/quality-dense.toml"
PROBE_TOKENS, PEER_MODE_SECONDS = 40_960, 4
CURVE_POINTS, ABLATION_POINTS = 16, 2
# Of the peer's time. The longer ones only where the shorter ones do not reach its quality.
SHARES = {"third": 3, "fifth": 5, "half": 2, "whole": 1}

# The peer's size and learning rate, as tuned (docs/bench.md has the table).
PEER = {"hidden": 128, "layers": 4, "heads": 4, "learning-rate": 6e-3}

TUNED = {"hidden and heads": [(96, 3), (128, 4), (192, 6)], "learning-rate": [3e-3, 6e-3, 1.2e-2, 2.4e-2]}

# The ablation takes parts out of the recipe until the dense model is left; AdamW has the peer's learning rate.
ADAMW = {"optimizer.kind": "adamw", "optimizer.learning_rate": PEER["learning-rate"], "batch.sequences": 8,
         "batch.micro_batch": 8}
NO_NGRAMS = {"model.ngram_vocab_size": 0}
ABLATION = {
    "kernels only (the peer's model in Minke)": (DENSE_RECIPE, ADAMW),
    "+ MLA": (RECIPE, {**ADAMW, **NO_NGRAMS, "model.first_k_dense_replace": 4}),
    "+ MoE, balanced by a loss": (RECIPE, {**ADAMW, **NO_NGRAMS, "balance.bias_update_speed": 0,
                                           "balance.sequence_balance_alpha": 0.01}),
    "+ MoE, balanced without one": (RECIPE, {**ADAMW, **NO_NGRAMS}),
    "+ MTP": (RECIPE, {**ADAMW, **NO_NGRAMS, "model.num_nextn_predict_layers": 1}),
    "+ Muon": (RECIPE, {**NO_NGRAMS, "model.num_nextn_predict_layers": 1}),
    "Muon without MTP": (RECIPE, NO_NGRAMS),
    "+ n-gram embeddings (the recipe)": (RECIPE, {}),
}


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, a):
        self.folder, self.data, self.threads = a.output.resolve(), a.data.resolve(), a.threads
        self.minke = [str(a.minke.resolve()), "--threads", str(a.threads), "--log-level", "warn"]
        if a.again:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_index = json.loads((self.data / "index.json").read_text())

    def cached(self, part, settings, run):
        """The result of run(), or the kept one of the same settings."""
        path = self.folder / f"{part}.json"
        settings = json.loads(json.dumps({**settings, "threads": self.threads, "data": self.data_index["splits"]}))
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["settings"] == settings:
                say(f"{part}: kept from an earlier run")
                return kept["result"]
        say(part)
        result = run()
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps({"settings": settings, "result": result}, indent=1) + "\n")
        partial.replace(path)
        return result

    def peer(self, part, options):
        command = [sys.executable, str(SOURCE / "tools/train_dense_gpt.py"), "--data", str(self.data), "--json",
                   "--threads", str(self.threads)]
        for key, value in options.items():
            command += [f"--{key}"] if value is True else [f"--{key}", str(value)] if value is not False else []
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        return self.cached(part, {"peer": options}, lambda: json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout))

    def train(self, recipe, overrides):
        """One run of Minke: its curve in seconds of training, tokens and bits per byte."""
        folder = self.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        sets = {"data.path": self.data, "output": folder, **overrides}
        command = [*self.minke, "train", str(recipe)]
        for key, value in sets.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        shutil.rmtree(folder)
        if not lines or lines[-1]["tokens"] < sets["total_tokens"]:
            sys.exit("error: Minke's training was interrupted; the same call goes on with the runs that are missing")
        return curve_of(lines)

    def minke_run(self, part, recipe, overrides, seconds, points):
        def run():
            probe = self.train(recipe, {**overrides, "total_tokens": PROBE_TOKENS, "log_every_steps": 5,
                                        "schedule.warmup_tokens": 0, "balance.bias_freeze_tokens": 0,
                                        "validation.every_tokens": 0, "validation.max_tokens": 256})
            tokens = max(PROBE_TOKENS, int(seconds * probe["best_tokens_per_second"]))
            return self.train(recipe, {**overrides, **budget(tokens, points)})
        settings = {"recipe": recipe.read_text(), "overrides": overrides, "seconds": seconds, "points": points}
        return self.cached(part, settings, run)


def budget(tokens, points):
    """What depends on a run's length: a warm-up of 100 steps as the peer's, but a tenth at most; fixed biases last."""
    return {"total_tokens": tokens, "log_every_steps": 10, "schedule.warmup_tokens": min(204_800, tokens // 10),
            "balance.bias_freeze_tokens": tokens // 20, "validation.every_tokens": tokens // points,
            "validation.max_tokens": 65_536}


def curve_of(lines):
    """From metrics.jsonl: rates of training between its lines give the seconds, which leave validation out."""
    marks, rates, seconds, tokens = {0: 0.0}, [], 0.0, 0
    for line in (line for line in lines if "loss" in line):
        rates.append(line["tokens_per_second"])
        seconds += (line["tokens"] - tokens) / rates[-1]
        tokens = line["tokens"]
        marks[tokens] = seconds
    curve = [{"seconds": seconds_at(marks, line["tokens"]), "tokens": line["tokens"],
              "bits_per_byte": line["bits_per_byte"]} for line in lines if "loss" not in line]
    return {"curve": curve, "tokens_per_second": tokens / seconds, "best_tokens_per_second": max(rates),
            "bits_per_byte": curve[-1]["bits_per_byte"]}


def seconds_at(marks, tokens):
    """Between the marks {tokens: seconds} around it, at their rate."""
    before = max(mark for mark in marks if mark <= tokens)
    after = min(mark for mark in marks if mark >= tokens)
    share = (tokens - before) / max(1, after - before)
    return marks[before] + share * (marks[after] - marks[before])


def time_to(curve, target):
    """Seconds of the first measured point that is as good as the target; None if there is none."""
    return next((point["seconds"] for point in curve if point["bits_per_byte"] <= target), None)


def run_all(bench, a):
    modes = bench.peer("peer-modes", {**PEER, "modes": PEER_MODE_SECONDS})
    best = max(modes["modes"], key=lambda mode: mode["tokens_per_second"])
    peer = {**PEER, "precision": best["precision"], "compile": best["compile"]}
    report = {"threads": a.threads, "cpu": cpu_name(), "torch": modes["torch"], "modes": modes["modes"],
              "peer_settings": peer, "peer": bench.peer("peer", {**peer, "seconds": a.seconds})}
    target = report["peer"]["bits_per_byte"]
    report["minke"] = {}
    for name, share in SHARES.items():
        if share <= 2 and any(time_to(run["curve"], target) for run in report["minke"].values()):
            continue
        report["minke"][name] = bench.minke_run(f"minke-{name}", RECIPE, {}, a.seconds / share, CURVE_POINTS)
    rows = {"peer (PyTorch)": bench.peer("ablation-peer", {**peer, "seconds": a.ablation_seconds})}
    for number, (name, (recipe, overrides)) in enumerate(ABLATION.items()):
        rows[name] = bench.minke_run(f"ablation-{number}", recipe, overrides, a.ablation_seconds, ABLATION_POINTS)
    report["ablation"] = rows
    times = [time_to(run["curve"], target) for run in report["minke"].values()]
    reached = min((seconds for seconds in times if seconds), default=None)
    report |= {"target": target, "seconds_to_target": reached,
               "ratio": reached and report["peer"]["curve"][-1]["seconds"] / reached}
    return report


def tune_peer(bench, seconds):
    """The peer's sizes and learning rates, each for the same time; the best goes into PEER by hand."""
    rows = []
    for hidden, heads in TUNED["hidden and heads"]:
        values = [bench.peer(f"tune-{hidden}-{rate}", {**PEER, "hidden": hidden, "heads": heads, "learning-rate": rate,
                                                       "seconds": seconds})["bits_per_byte"]
                  for rate in TUNED["learning-rate"]]
        rows.append([str(hidden), *(f"{value:.3f}" for value in values)])
    return table(["width", *map(str, TUNED["learning-rate"])], rows)


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def markdown(report):
    peer, settings = report["peer"], report["peer_settings"]
    mode = settings["precision"] + (" compiled" if settings["compile"] else "")
    text = f"""# Cost to quality

{report["cpu"]}, {report["threads"]} threads. Peer: dense GPT in PyTorch {report["torch"]} ({mode}), width \
{settings["hidden"]}, {settings["layers"]} layers, {peer["parameters"]:,} parameters, learning rate \
{settings["learning-rate"]}, {peer["tokens_per_second"]:,.0f} tokens/s.

The peer ends at **{report["target"]:.4f} bits per byte** after {peer["curve"][-1]["seconds"]:.0f} s of training. """
    if report["ratio"]:
        text += f'Minke is there after **{report["seconds_to_target"]:.0f} s**: **{report["ratio"]:.1f} times** sooner.'
    else:
        text += "Minke did not get there in that time."
    curves = [("peer", peer), *((f"Minke, a {name}", run) for name, run in report["minke"].items())]
    text += "\n\n" + table(["run", "seconds", "tokens", "bits per byte"], [
        [name, f'{point["seconds"]:.0f}', f'{point["tokens"]:,}', f'{point["bits_per_byte"]:.4f}']
        for name, run in curves for point in run["curve"]])
    text += "\n## The ablation\n\nEach for the same time of training.\n\n"
    text += table(["step", "tokens/s", "tokens", "bits per byte"], [
        [name, f'{run["tokens_per_second"]:,.0f}', f'{run["curve"][-1]["tokens"]:,}', f'{run["bits_per_byte"]:.4f}']
        for name, run in report["ablation"].items()])
    text += "\n## The peer's modes\n\n" + table(["precision", "compiled", "tokens/s"], [
        [row["precision"], "yes" if row["compile"] else "no", f'{row["tokens_per_second"]:,.0f}']
        for row in report["modes"]])
    return text


def svg(report):
    """Bits per byte against seconds, a line for each run."""
    width, height, left, bottom = 720, 420, 60, 40
    colours = iter(("#36c", "#393", "#93c", "#a60"))
    curves = [("PyTorch", "#c33", report["peer"]["curve"]),
              *((f"Minke, a {name}", next(colours), run["curve"]) for name, run in report["minke"].items())]
    longest = max(curve[-1]["seconds"] for _, _, curve in curves)
    values = [point["bits_per_byte"] for _, _, curve in curves for point in curve]
    low, high = min(values), max(values) + 1e-9

    def x(seconds):
        return left + (width - left - 10) * seconds / longest

    def y(value):
        return 10 + (height - bottom - 10) * (high - value) / (high - low)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>']
    for i in range(6):
        value, seconds = low + (high - low) * i / 5, longest * i / 5
        lines.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
                     f'<text x="{x(seconds):.1f}" y="{height - 22}" text-anchor="middle">{seconds:.0f}</text>')
    for i, (name, colour, curve) in enumerate(curves):
        points = " ".join(f'{x(p["seconds"]):.1f},{y(p["bits_per_byte"]):.1f}' for p in curve)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{width - 20}" y="{30 + 16 * i}" text-anchor="end" fill="{colour}">{name}</text>')
    lines.append(f'<text x="{width // 2}" y="{height - 5}" text-anchor="middle">seconds of training</text>'
                 f'<text x="{left + 5}" y="22">held-out bits per byte</text></svg>')
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", type=pathlib.Path, default=SOURCE / "build/release/minke")
    parser.add_argument("--data", type=pathlib.Path, default=SOURCE / "cache/demo/data")
    parser.add_argument("--seconds", type=float, default=1200.0, help="of the peer's training")
    parser.add_argument("--ablation-seconds", type=float, help="of each of its runs; default: a twentieth of --seconds")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=pathlib.Path, default=SOURCE / "cache/bench-quality")
    parser.add_argument("--tune", type=float, metavar="S", help="instead: the peer's sizes and learning rates, S s each")
    parser.add_argument("--again", action="store_true", help="repeat runs that are already there")
    a = parser.parse_args()
    a.ablation_seconds = a.ablation_seconds or a.seconds / 20
    bench = Bench(a)
    if a.tune:
        print(tune_peer(bench, a.tune))
        return
    report = run_all(bench, a)
    (bench.folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (bench.folder / "report.md").write_text(markdown(report))
    (bench.folder / "report.svg").write_text(svg(report))
    print(markdown(report))
    say(f"the report is {bench.folder}/report.json, report.md and report.svg")


if __name__ == "__main__":
    main()
