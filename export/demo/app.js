// The page of `glrg serve`: sends a file to /v1/caption and hands the answer to show.js. No library, no request elsewhere.
"use strict";

const state = { info: null, file: null, request: null, token: "", previewUrl: null };

// === Talking to the server ===
function headers() {
  return state.token ? { Authorization: `Bearer ${state.token}` } : {};
}

async function connect() {
  try {
    const response = await fetch("/v1/info", { headers: headers() });
    if (response.status === 401) return askForToken();
    if (!response.ok) throw new Error();
    state.info = await response.json();
  } catch {
    setState("server not reachable", "bad");
    setTimeout(connect, 3000);
    return;
  }
  $("token-form").hidden = true;
  describe(state.info);
  await waitUntilReady();
}

async function waitUntilReady() {
  try {
    const response = await fetch("/readyz");
    if (response.ok) return setState("ready", "good");
    setState("warming up…", "");
  } catch {
    setState("server not reachable", "bad");
  }
  setTimeout(waitUntilReady, 1000);
}

// XMLHttpRequest, because fetch tells nothing about the progress of an upload.
function post(body, type, onProgress) {
  const request = new XMLHttpRequest();
  state.request = request;
  return new Promise((resolve, reject) => {
    request.open("POST", "/v1/caption");
    request.responseType = "text";
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    if (type) request.setRequestHeader("Content-Type", type);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error("network"));
    request.onabort = () => reject(new Error("cancelled"));
    request.send(body);
  });
}

// === One file ===
async function captionFile(file) {
  if (!file || !state.info) return;
  state.file = file;
  show(file);
  clearProblem();
  const isFeatures = /\.json$/i.test(file.name) || file.type === "application/json";
  const limit = isFeatures ? state.info.max_json_bytes : state.info.max_upload_bytes;
  if (file.size === 0) return problem("The file is empty.");
  if (file.size > limit) {
    return problem(`The file has ${megabytes(file.size)}, this server takes up to ${megabytes(limit)}.`);
  }
  if (!isFeatures && !state.info.accepts.includes("video")) {
    return problem("This captioner has no encoders, so it cannot read videos.",
      `Drop a JSON file {"features": [${state.info.feature_size} numbers]} instead.`);
  }
  state.request?.abort();
  busy(true);
  try {
    const request = isFeatures ? await sendFeatures(file) : await sendVideo(file);
    receive(request);
  } catch (error) {
    if (error.message === "cancelled") return;
    problem(error.message === "network" ? "The connection broke." : error.message,
      error.message === "network" ? "Is the server still running? The file may also have been refused while it was sent." : "");
  } finally {
    busy(false);
  }
}

async function sendFeatures(file) {
  let document_;
  try {
    document_ = JSON.parse(await file.text());
  } catch {
    throw new Error("The file is not JSON.");
  }
  if (Array.isArray(document_)) document_ = { features: document_ };
  if (document_ === null || typeof document_ !== "object") throw new Error("The file holds no features.");
  document_.n = Number($("count").value);
  return post(JSON.stringify(document_), "application/json", () => {});
}

function sendVideo(file) {
  const form = new FormData();
  form.append("n", $("count").value);
  if ($("explain").checked) form.append("explain", "1");
  form.append("video", file, "video");
  return post(form, "", (share) => {
    $("progress-bar").value = share;
    progress(share < 1 ? `sending ${Math.round(100 * share)} %` : "reading the video and writing captions…", share < 1);
  });
}

function receive(request) {
  let answer = {};
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    answer = { error: `The server answered ${request.status} without an explanation.` };
  }
  if (request.status === 200) return render(answer);
  if (request.status === 401) return askForToken();
  const remedy = request.status === 429 ? "Others are being served. Press “Caption again” in a moment." : answer.remedy;
  problem(sentence(answer.error), remedy ? sentence(remedy) : "");
}

// === State of the page ===
function describe(info) {
  const video = info.accepts.includes("video");
  $("file").accept = video ? "video/*,.json,application/json" : ".json,application/json";
  $("source-title").textContent = video ? "Video" : "Features";
  $("subtitle").textContent = video ? "Drop a video, read what it shows." : "This captioner reads features; videos need one with encoders.";
  $("drop-hint").textContent = video
    ? `any common video format, up to ${megabytes(info.max_upload_bytes)}; or a .json file of features`
    : `a .json file {"features": [${info.feature_size} numbers]}`;
  $("explain-choice").hidden = !info.explains;
  const count = $("count");
  count.replaceChildren();
  for (let n = 1; n <= info.captions; n++) count.append(new Option(String(n), String(n), false, n === Math.min(5, info.captions)));
}

function show(file) {
  if (state.previewUrl) URL.revokeObjectURL(state.previewUrl);
  state.previewUrl = file.size && file.type.startsWith("video/") ? URL.createObjectURL(file) : null;
  const preview = $("preview");
  preview.hidden = !state.previewUrl;
  if (state.previewUrl) preview.src = state.previewUrl;
  else preview.removeAttribute("src");
  $("drop").classList.add("small");
  $("file-name").hidden = false;
  $("file-name").textContent = `${file.name} · ${megabytes(file.size)}`;
}

function busy(on) {
  $("progress").hidden = !on;
  $("cancel").hidden = !on;
  $("again").disabled = on || !state.file;
  $("progress-bar").removeAttribute("value");
  if (on) progress("working…", false);
}

function progress(text, known) {
  $("progress-text").textContent = text;
  if (!known) $("progress-bar").removeAttribute("value");
}

function problem(what, remedy = "") {
  $("found").hidden = $("vocabularies").hidden = $("timing").hidden = $("saliency").hidden = true;
  $("empty").hidden = true;
  $("problem").hidden = false;
  $("problem-what").textContent = what;
  $("problem-remedy").textContent = remedy;
}

function clearProblem() {
  $("problem").hidden = true;
}

function askForToken() {
  setState("token needed", "bad");
  $("empty").hidden = true;
  $("token-form").hidden = false;
  $("token").focus();
}

function setState(text, kind) {
  $("state").textContent = text;
  $("state").className = `pill ${kind}`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    $("copy").textContent = "Copied";
  } catch {
    $("copy").textContent = "Not allowed";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

// === Events ===
$("file").addEventListener("change", () => {
  captionFile($("file").files[0]);
  $("file").value = ""; // the same file may be chosen again
});
$("again").addEventListener("click", () => captionFile(state.file));
$("cancel").addEventListener("click", () => state.request?.abort());
$("preview").addEventListener("error", () => {
  $("preview").hidden = true; // a codec this browser does not play; the server may well read it
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim(); // kept in memory only: gone when the page is closed
  $("token").value = "";
  $("empty").hidden = false;
  connect();
});
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
let depth = 0;
addEventListener("dragenter", () => $("drop").classList.toggle("over", ++depth > 0));
addEventListener("dragleave", () => $("drop").classList.toggle("over", --depth > 0));
addEventListener("drop", (event) => {
  depth = 0;
  $("drop").classList.remove("over");
  captionFile(event.dataTransfer?.files[0]);
});
connect();
