"use strict";
// What the spool and the recordings hold: a list that is asked for when it is opened, and links that download.

const KINDS = { untouched: "not denoised", cut: "its end is missing", recording: "is being recorded" };

function storedWords(file) {
  const found = /^\d{10}_(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)(?:\.\d+)?Z(?:_([a-z]+))?/.exec(file.entry);
  if (!found) return file.entry;
  const when = clock(Date.parse(`${found[1]}T${found[2]}:${found[3]}:${found[4]}Z`) / 1000);
  const what = file.part || file.entry.split(".").pop();
  const note = KINDS[found[5]] ? `, ${KINDS[found[5]]}` : "";
  return `${when} · ${what}${note}`;
}

function storedSize(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

function storedRow(sink, file) {
  const row = document.createElement("li"), link = document.createElement("a"), size = document.createElement("span");
  link.href = "/stored/" + [sink, file.entry, ...(file.part ? [file.part] : [])].map(encodeURIComponent).join("/");
  link.download = "";
  link.textContent = storedWords(file);
  size.textContent = storedSize(file.size);
  row.append(link, size);
  return row;
}

async function storedMore(sink, list, more, before) {
  more.disabled = true;
  try {
    const older = before ? `&before=${encodeURIComponent(before)}` : "";
    const answer = await fetch(`/stored.json?sink=${sink}${older}`, { signal: AbortSignal.timeout(15000) });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const found = await answer.json();
    list.append(...found.files.map((file) => storedRow(sink, file)));
    const last = found.files.at(-1);
    more.hidden = !(found.older && last);
    more.textContent = "older ones";
    more.onclick = () => storedMore(sink, list, more, last.entry);
    if (!list.children.length) list.append(Object.assign(document.createElement("li"), { textContent: "nothing yet" }));
  } catch (error) { // the button tries again
    more.hidden = false;
    more.textContent = `try again (${error.name === "Error" ? error.message : "the device does not answer"})`;
    more.onclick = () => storedMore(sink, list, more, before);
  }
  more.disabled = false;
}

// Each opening begins anew, with the newest.
function storedShow(names) {
  byId("shelves").replaceChildren(...names.map((name, sink) => {
    const part = document.createElement("section"), head = document.createElement("h2");
    const list = document.createElement("ul"), more = document.createElement("button");
    head.textContent = name;
    more.hidden = true;
    part.append(head, list, more);
    storedMore(sink, list, more, "");
    return part;
  }));
}

let storedNames = [];
byId("stored").addEventListener("toggle", () => { if (byId("stored").open) storedShow(storedNames); });
(async () => {
  try {
    const answer = await fetch("/stored.json");
    if (answer.ok) storedNames = (await answer.json()).sinks;
  } catch { /* the page says that the device does not answer */ }
  byId("stored").hidden = !storedNames.length;
})();
