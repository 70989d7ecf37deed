// Captions from features with ONNX Runtime for Node.js.
//
//   npm install
//   glrg export runs/a --format onnx --out exported
//   node caption.mjs exported/captioner.onnx features.json 3
//
// features.json holds a list of lists, one row of D numbers a video. Prints the best captions of each video with their
// log-probabilities. In a browser the same code runs with `onnxruntime-web` and `fetch` in place of `readFile`.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import ort from "onnxruntime-node";

const [modelPath, featuresPath, count = "1"] = process.argv.slice(2);
if (!featuresPath) {
  console.error("usage: node caption.mjs MODEL.onnx FEATURES.json [CAPTIONS]");
  process.exit(2);
}

const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));

/** Words up to the first <end> (id 0), joined by blanks. */
function toText(ids, words) {
  const end = ids.indexOf(0);
  return Array.from(end < 0 ? ids : ids.subarray(0, end), (id) => words[id]).join(" ");
}

const features = await readJson(featuresPath);
const { words } = await readJson(join(dirname(modelPath), "vocabulary.json"));
const session = await ort.InferenceSession.create(modelPath);
const shape = [features.length, features[0].length];
const input = new ort.Tensor("float32", Float32Array.from(features.flat()), shape);
const { token_ids: tokens, scores } = await session.run({ features: input });

const [videos, beams, length] = tokens.dims;
for (let video = 0; video < videos; video++) {
  for (let rank = 0; rank < Math.min(Number(count), beams); rank++) {
    const row = video * beams + rank;
    const text = toText(tokens.data.subarray(row * length, (row + 1) * length), words);
    console.log(`${video}\t${scores.data[row].toFixed(3)}\t${text}`);
  }
}
