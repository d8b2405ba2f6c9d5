// SPDX-License-Identifier: Apache-2.0
//
// node compare.mjs PACKAGES SCORES MODEL.gguf RMS [ADAPTER.gguf | ZEROQAT MODEL TOKENIZER]: reads what scores.cpp printed,
// tokenizes and scores the same with stock llama.cpp (the package node-llama-cpp in the folder PACKAGES), with an adapter
// if there is one, and says how far apart the two are. Fails where a document has other tokens, and where the logarithms
// of probabilities differ by more than RMS (root of the mean square). With the program ZEROQAT it also fails where the
// most likely tokens after a prompt are others, or where what `zeroqat generate` prints of MODEL is another text.
//
// Every position is scored, in one sequence for each chunk, without flash attention and with a cache in 32 bits.

import {execFileSync} from "node:child_process";
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const [packages, scores, file, tolerance, ...rest] = process.argv.slice(2);
const lora = rest.length === 1 ? rest[0] : undefined;
const [zeroqat, ownModel, ownTokenizer] = lora ? [] : rest;
const entry = join(packages, "node_modules", "node-llama-cpp", "dist", "index.js");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry).href);

const lines = readFileSync(scores, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const asked = zeroqat === undefined ? [] : lines.filter((line) => line.prompt !== undefined);
for (const line of asked)
  line.own = execFileSync(zeroqat, ["generate", "--model", ownModel, "--tokenizer", ownTokenizer, "--prompt", line.prompt,
    "--tokens", String(line.count), "--temperature", "0"], {encoding: "utf8", stdio: ["ignore", "pipe", "inherit"]}).trim();
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, progressLogs: false});
const model = await llama.loadModel({modelPath: file, useMmap: false});

let differing = 0, documents = 0;
for (const {document, tokens} of lines.filter((line) => line.document !== undefined)) {
  const found = [model.tokens.bos, ...model.tokenize(document)].filter((token) => token !== null);
  const same = found.length === tokens.length && found.every((token, i) => token === tokens[i]);
  if (!same && ++differing <= 3) console.log(`other tokens: ${JSON.stringify(document.slice(0, 60))}: ${found.slice(0, 20)} for ${tokens.slice(0, 20)}`);
  ++documents;
}

const chunks = lines.filter((line) => line.chunk !== undefined);
const context = await model.createContext({
  threads: 1, contextSize: Math.max(...chunks.map(({chunk}) => chunk.length)), flashAttention: false, lora,
  experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
const sequence = context.getSequence();
const options = {temperature: 1, topK: 0, topP: 1, minP: 0};
let squares = 0, most = 0, stock = 0, own = 0, positions = 0, equal = 0;
const first = [];  // in each chunk, the first position that is not equal
for (const {chunk, log_probabilities} of chunks) {
  await sequence.clearHistory();
  const input = chunk.slice(0, -1).map((token) => [token, {generateNext: {probabilities: true, options}}]);
  const output = await sequence.controlledEvaluate(input);
  first.push(log_probabilities.length);
  log_probabilities.forEach((expected, i) => {
    const found = Math.log(output[i].next.probabilities.get(chunk[i + 1]));
    squares += (found - expected) ** 2;
    most = Math.max(most, Math.abs(found - expected));
    stock -= found;
    own -= expected;
    ++positions;
    if (Math.abs(found - expected) <= 1e-5) ++equal;
    else first[first.length - 1] = Math.min(first[first.length - 1], i);
  });
}
let continued = 0, prompts = 0;
for (const {prompt, count, greedy, own} of asked) {
  await sequence.clearHistory();
  const start = [model.tokens.bos, ...model.tokenize(prompt)].filter((token) => token !== null), found = [];
  const ask = {generateNext: {token: true, options: {temperature: 0}}};
  for (let input = [...start.slice(0, -1), [start.at(-1), ask]]; found.length !== count;) {
    const {token} = (await sequence.controlledEvaluate(input)).at(-1).next;
    if (token === model.tokens.bos || token === model.tokens.eos) break;
    found.push(token);
    input = [[token, ask]];
  }
  const text = model.detokenize([...start, ...found]).trim();
  const same = found.length === greedy.length && found.every((token, i) => token === greedy[i]);
  if (same && text === own) ++continued;
  else console.log(`${JSON.stringify(prompt)} goes on otherwise: ${found} for ${greedy}\n${text}\nfor\n${own}`);
  ++prompts;
}
if (prompts > 0) console.log(`${continued} of ${prompts} prompts go on with the same tokens and the same text`);

const rms = Math.sqrt(squares / positions);
console.log(`${documents - differing} of ${documents} documents have the same tokens`);
console.log(`${positions} positions: perplexity ${Math.exp(stock / positions).toFixed(6)} by llama.cpp, ` +
  `${Math.exp(own / positions).toFixed(6)} by zoqat; rms ${rms.toExponential(2)}, greatest ${most.toExponential(2)}; ${equal} equal to 1e-5, the first that is not: ${first.join(", ")}`);
await model.dispose();
await llama.dispose();
process.exitCode = differing === 0 && continued === prompts && rms <= Number(tolerance) ? 0 : 1;
