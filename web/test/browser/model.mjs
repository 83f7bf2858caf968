// A folder with a run of a tiny model, trained by minke for a few steps, and a made-up run of reinforcement learning.
import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const recipe = `output = "runs/tiny"
total_tokens = 4096
[model]
vocab_size = 1000
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_hidden_layers = 3
first_k_dense_replace = 1
num_attention_heads = 2
n_routed_experts = 8
num_experts_per_tok = 2
n_group = 2
topk_group = 1
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 8
max_position_embeddings = 32768
[data]
path = "data"
sequence_length = 16
[batch]
sequences = 4
micro_batch = 4
[validation]
every_tokens = 1024
max_tokens = 64
`;

export function makeModel(minke, source, folder) {
  const run = (...args) =>
    execFileSync(minke, ["--quiet", "--threads", "1", ...args], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  cpSync(join(source, "tests/golden/tokenizer_small"), join(folder, "tokenizer"), { recursive: true });
  const texts = Array.from({ length: 200 }, (_, i) => ({ text: `${i} ships and ${3 * i} whales in the sea, ${i % 7} seen` }));
  writeFileSync(join(folder, "corpus.jsonl"), texts.map((t) => JSON.stringify(t) + "\n").join(""));
  writeFileSync(join(folder, "recipe.toml"), recipe);
  const options = ["--validation-fraction", "0.1", "--near-duplicates", "off"];
  run("data", "prepare", "--input", "corpus.jsonl", "--tokenizer", "tokenizer", "--output", "data", ...options);
  run("train", "recipe.toml");
  makeLearningRun(join(folder, "runs/r1-zero"));
}

function makeLearningRun(folder) {
  mkdirSync(folder, { recursive: true });
  for (let step = 1; step <= 60; ++step) addStep(folder, step);
  const samples = [20, 40, 60].map((step) => ({
    step, task: "countdown", reward: step / 60, prompt: "Reach 82 with 3, 5, 7 and 25.",
    answer: "<think>25 * 3 = 75, and 7 more is 82</think> 25 * 3 + 7 <script>alert(1)</script>",
  }));
  writeFileSync(join(folder, "samples.jsonl"), samples.map((s) => JSON.stringify(s) + "\n").join(""));
}

export function addStep(folder, step) {
  const wave = Math.sin(step) / 20;
  const line = { step, reward: 1 - Math.exp(-step / 25) + wave, length: 40 + 2 * step + 90 * wave, cost: step * 2e-4 };
  appendFileSync(join(folder, "metrics.jsonl"), JSON.stringify(line) + "\n");
}
