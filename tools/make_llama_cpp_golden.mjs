// Writes tests/golden/smollm2.json: what llama.cpp makes of SmolLM2-135M-Instruct, for tests/real_model_test.cc.
//
//   node tools/make_llama_cpp_golden.mjs FOLDER_OF_NODE_MODULES MODEL.gguf MODEL_F32.gguf TEXT STRINGS.json OUT.json
//
// MODEL_F32 is the same model with the same values as f32 (`minke quantize MODEL.gguf MODEL_F32.gguf --type f32`).
// llama.cpp rounds activations to integers for the one and computes in f32 for the other, so that the second says what
// the weights mean and the first how far llama.cpp's own rounding goes. TEXT: a file with the text that both are given,
// special tokens and all; the golden one is the model's own answers to five questions. STRINGS: a JSON array of
// strings to tokenize. Needs node-llama-cpp, see bench_llama_cpp.mjs.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, model, modelF32, textFile, stringsFile, out] = process.argv.slice(2);
const entry = path.join(path.resolve(folder), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ build: "never", gpu: false, logLevel: LlamaLogLevel.error });

// At each token the most likely next one, and Σ −log p of those that come.
async function evaluate(loaded, tokens) {
  const context = await loaded.createContext({ contextSize: tokens.length + 8, batchSize: 512 });
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const input = tokens.map((token) => [token, { generateNext: { probabilities: true, options } }]);
  const output = await context.getSequence().controlledEvaluate(input);
  const most_likely = [];
  let nats = 0;
  for (let i = 0; i + 1 < tokens.length; ++i) {
    const probabilities = output[i].next.probabilities;  // falling
    most_likely.push([...probabilities.keys()][0]);
    nats -= Math.log(probabilities.get(tokens[i + 1]));
  }
  return { most_likely, nats };
}

const quantized = await llama.loadModel({ modelPath: model });
const tokens = [...quantized.tokenize(fs.readFileSync(textFile, "utf8"), true)];
const strings = JSON.parse(fs.readFileSync(stringsFile, "utf8"))
  .map((text) => ({ text, ids: [...quantized.tokenize(text, true)] }));
const rounded = await evaluate(quantized, tokens);
const exact = await evaluate(await llama.loadModel({ modelPath: modelF32 }), tokens);
fs.writeFileSync(out, JSON.stringify({ tokens, f32: exact, q4_1: rounded, strings }) + "\n");
process.exit(0);
