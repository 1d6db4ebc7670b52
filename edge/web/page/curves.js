"use strict";
// Noise and temperature of the last hour. Where nothing was measured there is no line, and an answer that is missing leaves none.

const CURVES = { noise: { name: "noise", unit: "", digits: 1 }, temperature: { name: "temperature", unit: " °C", digits: 0 } };
const CURVES_MS = 10000;

function curveRange(values) {
  const least = Math.min(...values), most = Math.max(...values), spare = Math.max(0.5, 0.1 * (most - least));
  return [least - spare, most + spare];
}

function drawCurve(name, values) {
  const canvas = byId(`curve-${name}`), { unit, digits } = CURVES[name], context = canvas.getContext("2d");
  const sharp = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.round(width * sharp);
  canvas.height = Math.round(height * sharp);
  context.scale(sharp, sharp);
  const known = values.filter((value) => value !== null), words = byId(`curve-${name}-words`);
  words.textContent = known.length
    ? `${CURVES[name].name}: ${number(Math.min(...known), digits, unit)} to ${number(Math.max(...known), digits, unit)}`
    : `${CURVES[name].name}: nothing was measured`;
  if (!known.length) return;
  const [low, high] = curveRange(known), step = width / values.length;
  const place = (index) => [(index + 0.5) * step, height * (1 - (values[index] - low) / (high - low))];
  const style = getComputedStyle(document.documentElement);
  context.strokeStyle = style.getPropertyValue("--line");
  for (const minutes of [15, 30, 45]) {
    context.beginPath();
    context.moveTo(width * minutes / 60, 0);
    context.lineTo(width * minutes / 60, height);
    context.stroke();
  }
  context.strokeStyle = context.fillStyle = style.getPropertyValue(name === "noise" ? "--good" : "--less");
  context.lineWidth = 1.5;
  context.beginPath();
  for (let index = 0; index < values.length; index++) {
    if (values[index] === null) continue;
    const [x, y] = place(index);
    if (index && values[index - 1] !== null) context.lineTo(x, y);
    else context.moveTo(x, y);
    const alone = (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
    if (alone) context.fillRect(x - 1, y - 1, 2, 2);
  }
  context.stroke();
}

async function drawCurves() {
  if (!byId("curves").open || document.hidden) return;
  let found = {};
  try {
    const answer = await fetch("/curves.json", { signal: AbortSignal.timeout(8000) });
    if (answer.ok) found = await answer.json();
  } catch { /* old curves would mislead */ }
  for (const name of Object.keys(CURVES)) drawCurve(name, found[name] || []);
  document.body.dataset.curves = Number(document.body.dataset.curves || 0) + 1;
}

byId("curves").addEventListener("toggle", drawCurves);
window.addEventListener("resize", drawCurves);
setInterval(drawCurves, CURVES_MS);
