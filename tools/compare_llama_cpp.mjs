// Compares Minke with llama.cpp on given text: at each token the most likely next one, and the log-probability of the
// token that comes.
//
//   node tools/compare_llama_cpp.mjs FOLDER_OF_NODE_MODULES MODEL.gguf IDS LOGITS.f32 SCORES.jsonl
//
// IDS: the token ids, separated by commas. SCORES: what `minke score MODEL --ids IDS --logits LOGITS` prints; LOGITS
// is the file that it writes. Needs node-llama-cpp, see bench_llama_cpp.mjs. Prints one line of JSON.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, model, ids, logitsFile] = process.argv.slice(2);
const entry = path.join(path.resolve(folder), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const tokens = ids.split(",").map(Number);

// Safetensors: eight bytes of length, a header, the numbers.
const file = fs.readFileSync(logitsFile);
const begin = 8 + Number(file.readBigUInt64LE(0));
const width = JSON.parse(file.subarray(8, begin).toString()).logits.shape[1];
const values = new Float32Array(file.buffer.slice(file.byteOffset + begin));
const row = (i) => values.subarray(i * width, (i + 1) * width);
const argmax = (x) => x.reduce((best, value, i) => (value > x[best] ? i : best), 0);
const logSum = (x) => {
  const top = x[argmax(x)];
  return top + Math.log(x.reduce((sum, value) => sum + Math.exp(value - top), 0));
};

const llama = await getLlama({ build: "never", gpu: false, logLevel: LlamaLogLevel.error });
const loaded = await llama.loadModel({ modelPath: model });
const context = await loaded.createContext({ contextSize: tokens.length + 8, batchSize: 512 });
const sequence = context.getSequence();
const input = tokens.map((token) => [token, { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } }]);
const output = await sequence.controlledEvaluate(input);

let same = 0, positions = 0, theirs = 0, ours = 0;
for (let i = 0; i + 1 < tokens.length; ++i) {
  const probabilities = output[i].next.probabilities;  // falling
  const logits = row(i);
  positions += 1;
  same += [...probabilities.keys()][0] === argmax(logits);
  theirs -= Math.log(probabilities.get(tokens[i + 1]));
  ours -= logits[tokens[i + 1]] - logSum(logits);
}
const perplexity = (nats) => Math.exp(nats / positions);
console.log(JSON.stringify({ positions, same_argmax: same / positions, perplexity_minke: perplexity(ours),
  perplexity_llama_cpp: perplexity(theirs), ratio: perplexity(ours) / perplexity(theirs) }));
process.exit(0);
