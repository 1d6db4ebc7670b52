"use strict";
// The live picture: one stream of both halves, camera left and denoised right, drawn so that the slider divides them.

const byId = (id) => document.getElementById(id);
const canvas = byId("picture");
const context = canvas.getContext("2d");
let split = 0.5;
let bitmap = null; // the newest frame, both halves
let lastFrame = 0; // when it came, performance.now()
let streamSays = ""; // why there is no stream, as the server says it
let stopped = null; // AbortController of the running stream
let changing = 0; // until this time, by performance.now(), the user moves the strength slider

const STALL_MS = 3000;
const MOST_BYTES = 64 << 20; // of one frame; a larger one is not from quietcam

function draw() {
  if (!bitmap) return;
  const width = bitmap.width >> 1, height = bitmap.height;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.setProperty("--ratio", width / height); // a full screen is as wide as the height allows
  }
  const edge = Math.round(split * width);
  context.drawImage(bitmap, width, 0, width, height, 0, 0, width, height);
  if (edge > 0) context.drawImage(bitmap, 0, 0, edge, height, 0, 0, edge, height);
  context.fillStyle = "#ffffffcc";
  context.fillRect(edge - Math.max(1, width / 640), 0, Math.max(2, width / 320), height);
}

function setSplit(share) {
  split = Math.min(1, Math.max(0, share));
  byId("split").value = Math.round(split * 1000);
  draw();
}

// A browser that cannot show a part of a page on the full screen, as on an iPhone, fills its window with it.
function fill(full) {
  byId("view").classList.toggle("full", full);
  byId("fill").setAttribute("aria-pressed", full);
  byId("fill").textContent = full ? "Leave full screen" : "Full screen";
}
byId("fill").addEventListener("click", async () => {
  const full = !byId("view").classList.contains("full");
  fill(full);
  try {
    if (full) await byId("view").requestFullscreen();
    else if (document.fullscreenElement) await document.exitFullscreen();
  } catch { /* the window is filled */ }
});
document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement) fill(false); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !document.fullscreenElement) fill(false); });

byId("split").addEventListener("input", (event) => setSplit(event.target.value / 1000));
const drag = (event) => {
  const box = canvas.getBoundingClientRect();
  setSplit((event.clientX - box.left) / box.width);
};
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); drag(event); });
canvas.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });

// What was done to the frame that is shown, as its header says: the words beside the divider describe this frame.
let work = null; // { share, words }
function workOf(head) {
  const share = /x-share: *([\d.]+)/i.exec(head), words = /x-work: *(.+)\r/i.exec(head);
  return share && words ? { share: Number(share[1]), words: words[1] } : null;
}
function label() {
  const tag = byId("done");
  tag.textContent = !work ? "" : work.share === 0 ? "not denoised" : work.words;
  tag.hidden = !work;
  tag.classList.toggle("less", Boolean(work) && work.words !== "denoised");
}

let decoding = false, waiting = null; // while one frame is decoded the newest waits
async function show(bytes, about) {
  if (decoding) { waiting = [bytes, about]; return; }
  decoding = true;
  try {
    const next = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    if (bitmap) bitmap.close();
    bitmap = next;
    lastFrame = performance.now();
    work = about;
    draw();
    label();
    document.body.dataset.frames = Number(document.body.dataset.frames || 0) + 1;
  } catch { /* a torn frame: the next one comes */ }
  decoding = false;
  if (waiting) { const next = waiting; waiting = null; show(...next); }
}

function headEnd(bytes, from, to) {
  for (let i = from; i + 3 < to; i++) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i + 4;
  }
  return -1;
}

// Splits the stream into frames. The buffer grows to the size of one frame and is kept.
async function read(body) {
  const reader = body.getReader(), text = new TextDecoder();
  let buffer = new Uint8Array(1 << 20), length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (length + value.length > MOST_BYTES) throw new Error("not a stream of frames");
    if (length + value.length > buffer.length) {
      const larger = new Uint8Array(2 * (length + value.length));
      larger.set(buffer.subarray(0, length));
      buffer = larger;
    }
    buffer.set(value, length);
    length += value.length;
    let start = 0;
    for (;;) {
      const body = headEnd(buffer, start, length);
      if (body < 0) break;
      const head = text.decode(buffer.subarray(start, body)), size = /content-length: *(\d+)/i.exec(head);
      const end = body + (size ? Number(size[1]) : 0);
      if (end > length) break;
      if (size) show(buffer.slice(body, end), workOf(head));
      start = end;
    }
    buffer.copyWithin(0, start, length);
    length -= start;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function stream() {
  for (;;) {
    if (document.hidden) { await pause(300); continue; } // nobody watches, so the device need not encode
    stopped = new AbortController();
    try {
      const answer = await fetch("/stream.mjpg?view=both", { signal: stopped.signal });
      if (answer.ok) {
        streamSays = "";
        await read(answer.body);
      } else {
        streamSays = (await answer.text()).trim();
      }
    } catch { streamSays = ""; }
    await pause(1000);
  }
}
document.addEventListener("visibilitychange", () => { if (document.hidden && stopped) stopped.abort(); });

const number = (value, digits, unit) => (typeof value === "number" ? value.toFixed(digits) + unit : "–");
const clock = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });

function showNumbers(status) {
  const latency = status.latency_ms || {}, now = status.work || {};
  byId("share").textContent = typeof now.share === "number" ? number(100 * now.share, 0, " %") : "–";
  byId("past").hidden = !(status.history && status.history.on);
  byId("history").textContent = number(now.history, 0, "");
  byId("fps").textContent = number(status.fps, 1, "");
  byId("network").textContent = number((latency.denoise || {}).p50, 1, " ms");
  byId("latency").textContent = number((latency.end_to_end || {}).p50, 1, " ms");
  byId("dropped").textContent = number(status.dropped, 0, "");
  byId("noise").textContent = number(status.noise_sigma, 1, "");
  byId("temperature").textContent = number(status.temperature_c, 0, " °C");
}

// The models that may be chosen, and the one that runs, or is being loaded.
let chosen = null; // by a person, until the device has taken it up or refused it
function showChoice(status) {
  const choice = byId("choice"), names = status.models || [], running = (status.model || {}).name;
  if (!status.loading) chosen = null;
  choice.disabled = !names.length;
  const known = running && !names.includes(running) ? [...names, running] : names;
  if (document.activeElement === choice && !chosen) return; // a person looks at the list
  choice.replaceChildren(...known.map((name) => new Option(name, name)));
  choice.value = chosen || running;
  byId("loading").textContent = status.loading ? "is being tried …" : "";
}

function showStatus(status) {
  showNumbers(status);
  byId("source").textContent = status.source || "";
  const strength = byId("strength");
  strength.disabled = typeof status.strength !== "number";
  if (performance.now() > changing && !strength.disabled) {
    strength.value = Math.round(status.strength * 100);
    byId("strength-value").textContent = strength.value + " %";
  }
  showChoice(status);
  const model = status.model || {};
  byId("model-name").textContent = model.name || "";
  const now = status.work || {};
  const runs = now.model ? now.model + (now.size === "half" ? ", on frames of half size" : "") : "none";
  byId("model").replaceChildren(...Object.entries({ "running now": runs, ...model }).filter(([, value]) => value !== null).map(([key, value]) => {
    const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
    head.textContent = key.replaceAll("_", " ");
    cell.textContent = typeof value === "object" ? JSON.stringify(value) : String(value);
    row.append(head, cell);
    return row;
  }));
  const notes = [];
  const health = status.health || {};
  if (health.state === "degraded") notes.push(health.reason + (health.since ? `, since ${clock(health.since)}` : ""));
  else if (status.live && now.share === 0) notes.push(now.words);
  if (status.reload && status.reload.error) notes.push(`reload failed: ${status.reload.error}`);
  for (const sink of status.sinks || []) {
    if (sink.waiting || sink.error) notes.push(`${sink.name}: ${sink.waiting || sink.error}`);
  }
  byId("notice").textContent = notes.join(" · ");
}

let status = null, reachable = false, lastReached = Date.now() / 1000;
async function poll() {
  for (;;) {
    if (!document.hidden) {
      try {
        const answer = await fetch("/status.json", { signal: AbortSignal.timeout(4000) });
        if (answer.status === 401) { location.reload(); return; }
        reachable = answer.ok;
        if (answer.ok) { status = await answer.json(); showStatus(status); lastReached = Date.now() / 1000; }
      } catch { reachable = false; }
      if (!reachable) { showNumbers({}); byId("notice").textContent = ""; } // old numbers would mislead
    }
    await pause(1000);
  }
}

// Says that the picture is old, whatever the cause: camera, server, network, or too many viewers.
function watch() {
  let says = "";
  if (!reachable || !status) says = status ? `No live video since ${clock(lastReached)}: the device does not answer` : "";
  else if (!status.live) says = `No live video since ${clock(status.health.since)}: ${status.health.reason}`;
  else if (streamSays) says = streamSays;
  else if (lastFrame && performance.now() - lastFrame > STALL_MS && !document.hidden) {
    says = `No live video since ${clock((Date.now() - performance.now() + lastFrame) / 1000)}: the stream has stopped`;
  }
  const gone = byId("gone"), badge = byId("badge");
  gone.hidden = !says;
  document.body.classList.toggle("stale", Boolean(says)); // the numbers are as old as the picture
  if (gone.textContent !== says) gone.textContent = says;
  const less = !says && lastFrame && status && status.degraded;
  const live = less ? (work && work.share === 0 ? "live, not denoised" : "live, degraded") : "live";
  badge.textContent = says ? "no live video" : lastFrame ? live : "connecting";
  badge.className = says ? "badge lost" : less ? "badge less" : lastFrame ? "badge live" : "badge";
}

byId("strength").addEventListener("input", (event) => {
  changing = performance.now() + 2000;
  byId("strength-value").textContent = event.target.value + " %";
});
async function change(values) {
  const body = JSON.stringify(values), headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch("/control", { method: "POST", headers, body });
    if (!answer.ok) byId("notice").textContent = (await answer.text()).trim();
    return answer.ok;
  } catch { byId("notice").textContent = "the device does not answer"; }
  return false;
}
byId("strength").addEventListener("change", (event) => change({ strength: event.target.value / 100 }));
byId("choice").addEventListener("change", async (event) => {
  const name = event.target.value;
  event.target.blur();
  chosen = name;
  if (!await change({ model: name })) chosen = null;
});

setInterval(watch, 300);
poll();
stream();
