#!/usr/bin/env python3
"""Whether `transformers` and Minke read each other's models and compute the same logits.

    python3 tools/check_transformers.py MINKE [MODEL...]

First models that transformers writes (f32, bf16, and one whose config.json claims an MTP module that the
file lacks) go through `minke score`. Then each MODEL, a directory that Minke wrote, is loaded by
transformers: no tensor may be missing, only those of the MTP modules may be left over, and the logits
must agree. Prints the largest deviation in units of the largest logit. Needs torch, transformers and
safetensors.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from make_golden import CASES, clear_model

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.06}
MTP_LEFT_OVER = re.compile(r"^model\.layers\.(\d+)\.")


@torch.no_grad()
def check_logits(minke, folder, model, ids, what):
    """The model in f32 with the weights as stored against `minke score`, in f32 or bf16 as stored."""
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "logits.safetensors"
        subprocess.run([minke, "score", folder, "--quiet", "--ids", ",".join(map(str, ids)), "--logits",
                        file], check=True, stdout=subprocess.DEVNULL)
        actual = load_file(file)["logits"]
    dtype = model.dtype
    expected = model.float()(input_ids=torch.tensor([ids])).logits[0]
    deviation = ((actual - expected).abs().max() / expected.abs().max()).item()
    print(f"{what}, {dtype}: {deviation:.1e}")
    if not deviation <= TOLERANCE[dtype]:
        raise SystemExit(f"{what}: the logits differ")


def check_written_by_transformers(minke, folder):
    for name, changes in CASES.items():
        for dtype in (torch.float32, torch.bfloat16):
            model, ids, _ = clear_model(name, changes)
            model.to(dtype).save_pretrained(folder)
            check_logits(minke, folder, model, ids[0].tolist(), name)
            if name == "v3":
                claim_mtp(folder)
                check_logits(minke, folder, model.to(dtype), ids[1].tolist(), "v3 that claims MTP")


def claim_mtp(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"num_nextn_predict_layers": 1}))


def check_written_by_minke(minke, folder):
    config = json.loads((folder / "config.json").read_text())
    model, report = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    def is_mtp(name):
        layer = MTP_LEFT_OVER.match(name)
        return layer and int(layer[1]) >= config["num_hidden_layers"]
    wrong = {kind: names for kind, names in report.items()
             if names and not (kind == "unexpected_keys" and all(map(is_mtp, names)))}
    if wrong:
        raise SystemExit(f"{folder}: transformers reports {wrong}")
    left_over = len(report["unexpected_keys"])
    print(f"{folder}: {type(model).__name__}, {left_over} tensors of MTP modules left over")
    ids = torch.randint(config["vocab_size"], (40,), generator=torch.Generator().manual_seed(0))
    check_logits(minke, folder, model, ids.tolist(), str(folder))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("minke")
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check_written_by_transformers(arguments.minke, pathlib.Path(folder))
    for model in arguments.models:
        check_written_by_minke(arguments.minke, model)


if __name__ == "__main__":
    main()
