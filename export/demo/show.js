// The page of `glrg serve`: shows what /v1/caption answered. Loaded before app.js.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, className = "", text = "") => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text; // never innerHTML: captions and labels come from files
  return node;
};

const VOCABULARIES = {
  long_range: ["Long range", "words the whole video suggests"],
  short_range: ["Short range", "actions of a second or two"],
  keyframe: ["Key frames", "things and scenes in single frames"],
};
const STAGES = {
  upload: ["upload", "hue-a"], receive: ["upload", "hue-a"], decode: ["decode", "hue-b"],
  encode: ["encoders", "hue-c"], caption: ["captioner", "hue-d"],
};
// === An answer ===
function render(answer) {
  const [best, ...others] = answer.captions;
  $("best-text").replaceChildren(...words(best));
  $("best-note").textContent = scores(best) + (best.token_log_probs ? "; the line under a word is its own probability" : "");
  $("copy").onclick = () => copy(best.text);
  $("others-box").hidden = !others.length;
  $("others").replaceChildren(...others.map((caption) => alternative(caption, best.score)));
  renderVocabularies(answer.vocabularies);
  renderTiming(answer.timing_ms, answer.video);
  renderSaliency(answer.saliency);
  $("empty").hidden = true;
  $("found").hidden = false;
  if ($("results").getBoundingClientRect().top > innerHeight - 120) $("results").scrollIntoView({ block: "start" });
}

// Words with a line as long as they are probable; plain text where words and probabilities do not match.
function words(caption) {
  const parts = caption.text.split(" ");
  const gained = caption.token_log_probs;
  const matching = gained && parts.length === caption.token_ids.length;
  return parts.flatMap((part, i) => {
    const word = make("span", part === "<unk>" ? "word unknown" : "word", part === "<unk>" ? "something" : part);
    if (matching) {
      const probability = Math.exp(gained[i]);
      word.title = `probability ${probability.toFixed(2)}`;
      const line = make("span", "line");
      line.append(filled(probability));
      line.setAttribute("aria-hidden", "true");
      word.append(line);
    }
    return [word, " "];
  });
}

// A captioner may rank by log-probability divided by length: then score and log-probability differ, and both are told.
function scores(caption) {
  const total = caption.token_log_probs?.reduce((sum, value) => sum + value, 0) ?? caption.score;
  const own = `log-probability ${total.toFixed(2)}`;
  return Math.abs(total - caption.score) < 0.01 ? own : `score ${caption.score.toFixed(2)}, ${own}`;
}

function alternative(caption, bestScore) {
  const item = make("li");
  const text = make("span");
  text.append(...caption.text.split(" ").flatMap((part) =>
    [part === "<unk>" ? make("span", "unknown", "something") : part, " "]));
  item.append(text, make("span", "score", caption.score.toFixed(2)), bar(Math.exp(caption.score - bestScore)));
  item.title = scores(caption);
  return item;
}

function renderVocabularies(vocabularies) {
  $("vocabularies").hidden = !vocabularies.length;
  $("vocabulary-list").replaceChildren(...vocabularies.map(({ name, top }, i) => {
    const [title, note] = VOCABULARIES[name] ?? [name.replaceAll("_", " "), ""];
    const card = make("article", `card hue${1 + (i % 3)}`);
    const unnamed = top.every(({ label }) => /^#\d+$/.test(label));
    card.append(make("h3", "", title), make("p", "quiet", unnamed ? "entries by number: their names are not in this captioner" : note));
    const list = make("ol");
    const most = Math.max(...top.map(({ value }) => value), 1e-9);
    for (const { label, value } of top) {
      const item = make("li");
      const label_ = make("span", "label", label);
      label_.title = label;
      item.append(label_, make("span", "value", value.toFixed(2)), bar(value / most));
      list.append(item);
    }
    card.append(list);
    return card;
  }));
}

function renderTiming(timing, video) {
  const stages = Object.keys(STAGES).filter((stage) => stage in timing);
  const total = stages.reduce((sum, stage) => sum + timing[stage], 0) || 1;
  $("timing").hidden = false;
  $("timing-bar").replaceChildren(...stages.map((stage) => {
    const part = make("i", STAGES[stage][1]);
    part.style.width = `${(100 * timing[stage]) / total}%`;
    return part;
  }));
  const rows = stages.map((stage) => entry(STAGES[stage][0], timing[stage], STAGES[stage][1]));
  $("timing-list").replaceChildren(...rows, entry("all", timing.total, ""));
  $("video-facts").textContent = video ? facts(video) : "";
}

function entry(name, milliseconds, hue) {
  const row = make("div", hue);
  row.append(make("dt", "", name), make("dd", "", duration(milliseconds)));
  return row;
}

function facts(video) {
  const parts = [];
  const { videoWidth, videoHeight, duration: seconds } = $("preview"); // where this browser can play it
  if (videoWidth) parts.push(`${videoWidth} × ${videoHeight}`);
  if (Number.isFinite(seconds)) parts.push(`${seconds.toFixed(1)} s`);
  parts.push(`${video.frames} frames, of which the encoders saw ${video.frames_used ?? "some"}`);
  if (video.note) parts.push(video.note);
  return parts.join(" · ");
}

// saliency: [{word, image}], image a data: URL of the frames with where the word looked; null where there is none.
function renderSaliency(saliency) {
  const shown = Array.isArray(saliency) ? saliency.filter(({ image }) => String(image).startsWith("data:image/")) : [];
  $("saliency").hidden = !shown.length;
  const buttons = shown.map(({ word, image }) => {
    const button = make("button", "", word);
    button.type = "button";
    button.onclick = () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      $("saliency-image").src = image;
      $("saliency-image").alt = `Where the word “${word}” looked`;
    };
    return button;
  });
  $("saliency-words").replaceChildren(...buttons);
  buttons[0]?.click();
}

function filled(share) {
  const inner = make("i");
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return inner;
}

function bar(share) {
  const outer = make("span", "bar");
  outer.append(filled(share));
  outer.setAttribute("aria-hidden", "true");
  return outer;
}

// === Words for numbers ===
const megabytes = (bytes) => (bytes < 1e5 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`);
const duration = (ms) => (ms < 100 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?)}\]]$/.test(text) ? "" : ".");
