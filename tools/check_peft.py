#!/usr/bin/env python3
"""Whether PEFT and Minke read each other's adapters and compute the same logits.

    python3 tools/check_peft.py MINKE [ADAPTER BASE MODEL]

Small models of several families that transformers writes are fine-tuned by `minke sft` with LoRA. PEFT puts the
adapter that it leaves on the base; the logits must be those of the merged model beside it, as `minke score`
computes them. Then an adapter that PEFT writes is where `minke sft` starts, with a learning rate of 0, and the
model that it saves must compute what PEFT computes. With three folders those are checked instead. Prints the
largest deviation in units of the largest logit. Needs torch, transformers, safetensors and peft.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (AutoModelForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, LlamaConfig,
                          LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM)

TOLERANCE = 1e-4
RANK, ALPHA = 3, 7
DENSE = dict(vocab_size=331, hidden_size=24, intermediate_size=44, num_hidden_layers=2, num_attention_heads=6,
             num_key_value_heads=2, max_position_embeddings=256)
CASES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**DENSE, attention_bias=True, mlp_bias=True, head_dim=10)),
    "llama_tied": lambda: LlamaForCausalLM(LlamaConfig(**DENSE, tie_word_embeddings=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**DENSE)),
    "deepseek_v3": lambda: DeepseekV3ForCausalLM(DeepseekV3Config(
        vocab_size=331, hidden_size=24, intermediate_size=32, moe_intermediate_size=16, num_hidden_layers=2,
        first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4, n_routed_experts=6,
        n_shared_experts=1, num_experts_per_tok=2, n_group=3, topk_group=2, q_lora_rank=20, kv_lora_rank=16,
        qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8, max_position_embeddings=256)),
}


def run(minke, *arguments):
    subprocess.run([minke, *map(str, arguments), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def minke_logits(minke, model, ids):
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "logits.safetensors"
        run(minke, "score", model, "--ids", ",".join(map(str, ids)), "--logits", file, "--compute", "f32")
        return load_file(file)["logits"]


@torch.no_grad()
def compare(minke, peft_model, model, what, tolerance=TOLERANCE):
    vocab = peft_model.config.vocab_size
    ids = torch.randint(vocab, (40,), generator=torch.Generator().manual_seed(0)).tolist()
    expected = peft_model.eval()(input_ids=torch.tensor([ids])).logits[0]
    deviation = ((minke_logits(minke, model, ids) - expected).abs().max() / expected.abs().max()).item()
    print(f"{what}: {deviation:.1e}")
    if not deviation <= tolerance:
        raise SystemExit(f"{what}: the logits differ")


def load(adapter, base):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    result = PeftModel.from_pretrained(model, adapter)
    names = set(load_file(pathlib.Path(adapter) / "adapter_model.safetensors"))
    wanted = {name.replace(".default", "") for name in result.state_dict() if "lora_" in name}
    if names != wanted:
        raise SystemExit(f"{adapter}: {sorted(names ^ wanted)} are in the file or in PEFT's model alone")
    return result


@torch.no_grad()
def randomize(model, what):
    for name, parameter in model.named_parameters():
        if what in name:
            parameter.normal_(0.0, 0.3 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5)


def fine_tune(minke, folder, base, run_name, *settings):
    recipe = folder / "recipe.toml"
    recipe.write_text(f'model = "{base}"\noutput = "{folder / run_name}"\ncompute = "f32"\nepochs = 20\n'
                      f'[data]\ntrain = "{folder / "sums.jsonl"}"\nmax_tokens = 32\n'
                      "[batch]\ntokens = 24\nmicro_batch_tokens = 32\n[optimizer]\nlearning_rate = 0.02\n"
                      f"[lora]\nrank = {RANK}\nalpha = {ALPHA}\n")
    run(minke, "sft", recipe, *[x for s in settings for x in ("--set", s)])
    return max((folder / run_name / "checkpoints").iterdir(), key=lambda p: int(p.name.split("-")[1]))


def check_family(minke, folder, name, make):
    folder.mkdir()
    torch.manual_seed(1)
    base = folder / "base"
    model = make().float()
    randomize(model, "")
    model.save_pretrained(base)
    (folder / "text.txt").write_text("the whale and the sea and the ship and the storm\n" * 9)
    run(minke, "tokenizer", "train", "--input", folder / "text.txt", "--vocab-size", 280, "--output", base)
    (folder / "sums.jsonl").write_text("".join(
        json.dumps({"prompt": f"{i}+1=", "completion": f"{i + 1}!"}) + "\n" for i in range(1, 8)))

    step = fine_tune(minke, folder, base, "tuned")
    compare(minke, load(step / "adapter", base), step / "model", f"{name}, Minke's adapter")

    theirs = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"))
    randomize(theirs, "lora_")
    theirs.save_pretrained(folder / "theirs")
    step = fine_tune(minke, folder, base, "continued", "optimizer.learning_rate=0.0", "epochs=1",
                     f'lora.adapter="{folder / "theirs"}"')
    compare(minke, theirs, step / "model", f"{name}, PEFT's adapter")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("minke")
    parser.add_argument("folders", nargs="*", help="an adapter, its base, and the merged model")
    arguments = parser.parse_args()
    if arguments.folders:
        adapter, base, merged = arguments.folders
        bf16 = 0.06  # the merged model's weights are rounded where it was trained in bf16
        compare(arguments.minke, load(adapter, base), merged, adapter, bf16)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, make in CASES.items():
            check_family(arguments.minke, pathlib.Path(folder) / name, name, make)


if __name__ == "__main__":
    main()
