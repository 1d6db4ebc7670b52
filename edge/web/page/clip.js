"use strict";
// A short recording of both halves: the device makes it while the button counts, then the browser keeps it as a file.

const CLIP_SECONDS = 5;
const CLIP_WORDS = byId("clip").textContent;
const CLIP_MS = 90000; // for the recording and its way to here

function clipCount(begun) {
  const left = Math.ceil(CLIP_SECONDS - (performance.now() - begun) / 1000);
  byId("clip").textContent = left > 0 ? `Recording, ${left} s left` : "Recording is fetched …";
}

function clipKeep(content, head) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = (/filename="([^"]+)"/.exec(head || "") || [])[1] || "quietcam.mp4";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // a phone may ask first
}

byId("clip").addEventListener("click", async () => {
  const begun = performance.now(), ticks = setInterval(clipCount, 250, begun);
  byId("clip").disabled = true;
  clipCount(begun);
  let says = "";
  try {
    const answer = await fetch(`/clip.mp4?seconds=${CLIP_SECONDS}`, { signal: AbortSignal.timeout(CLIP_MS) });
    if (answer.ok) clipKeep(await answer.blob(), answer.headers.get("Content-Disposition"));
    else says = (await answer.text()).trim();
  } catch { says = "the device does not answer"; }
  clearInterval(ticks);
  byId("clip").textContent = CLIP_WORDS;
  byId("clip").disabled = false;
  byId("clip-says").textContent = says;
});
