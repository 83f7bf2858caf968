// Prefill and decode speed of llama.cpp on a GGUF file, for comparison with `minke bench`.
//
//   npm install --ignore-scripts node-llama-cpp @node-llama-cpp/linux-x64   (anywhere)
//   NODE_PATH=... node tools/bench_llama_cpp.mjs FOLDER_OF_NODE_MODULES MODEL [THREADS] [PROMPT] [STEPS]
//
// Reads a prompt of random tokens (512) three times and then writes tokens (48) after a short one.
// Prints one line of JSON with the best prefill, and decode as steps over the time of all.

import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, model, threads = "2", prompt = "512", steps = "48"] = process.argv.slice(2);
const entry = path.join(path.resolve(folder), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);

const seconds = () => Number(process.hrtime.bigint()) / 1e9;
let state = 1;
const random = (n) => (state = (state * 48271) % 2147483647) % n;

const llama = await getLlama({ build: "never", gpu: false, maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error });
const start = seconds();
const loaded = await llama.loadModel({ modelPath: model });
const loadSeconds = seconds() - start;
const vocabulary = [...loaded.iterateAllTokens()].length;
const context = await loaded.createContext({ contextSize: 1024, batchSize: 512, threads: Number(threads) });
const sequence = context.getSequence();
const tokens = (n) => Array.from({ length: n }, () => random(vocabulary - 10));

async function run(count) {
  const input = tokens(count);
  input.forEach((token, i) => (input[i] = i + 1 < count ? token : [token, { generateNext: { token: true } }]));
  await sequence.controlledEvaluate(input);
}

const prefill = [];
for (let i = 0; i < 4; ++i) {
  await sequence.clearHistory();
  const begin = seconds();
  await run(Number(prompt));
  prefill.push(seconds() - begin);
}
await sequence.clearHistory();
await run(4);
const decode = [];
for (let i = 0; i < Number(steps); ++i) {
  const begin = seconds();
  await run(1);
  decode.push(seconds() - begin);
}
decode.sort((a, b) => a - b);
console.log(JSON.stringify({
  program: "llama.cpp", model, threads: Number(threads), load_seconds: loadSeconds,
  prefill_tokens_per_second: Number(prompt) / Math.min(...prefill.slice(1)),
  decode_tokens_per_second: 1 / decode[decode.length >> 1],
  decode_best_tokens_per_second: 1 / decode[0],
}));
process.exit(0);
