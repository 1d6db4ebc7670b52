for (const player of document.querySelectorAll(".player")) {
  const { frames, columns, width, height } = Object.fromEntries(Object.entries(player.dataset).map(([key, value]) => [key, Number(value)]));
  const [back, play, on] = ["back", "play", "on"].map(name => player.querySelector("." + name));
  const range = player.querySelector("input"), output = player.querySelector("output"), speed = player.querySelector("select");
  const chart = player.parentElement.querySelector(".chart svg"), now = chart.querySelector(".now");
  const tiles = [...player.querySelectorAll("canvas")].map(canvas => ({ canvas, sheet: new Image() }));
  let frame = 0, timer = null;

  const draw = ({ canvas, sheet }) => canvas.getContext("2d").drawImage(
    sheet, width * (frame % columns), height * Math.floor(frame / columns), width, height, 0, 0, width, height);
  const show = number => {
    frame = (number + frames) % frames;
    for (const tile of tiles) if (tile.sheet.complete) draw(tile);
    range.value = frame;
    output.value = `frame ${frame} of ${frames}`;
    for (const end of ["x1", "x2"]) now.setAttribute(end, chart.dataset.step * frame);
    player.dataset.shown = frame;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  const start = () => {
    timer = setInterval(() => show(frame + 1), 1000 / speed.value);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  };
  play.addEventListener("click", () => timer === null ? start() : stop());
  back.addEventListener("click", () => { stop(); show(frame - 1); });
  on.addEventListener("click", () => { stop(); show(frame + 1); });
  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  speed.addEventListener("change", () => { if (timer !== null) { stop(); start(); } });

  // Sheets are decoded when the clip comes into view, so that a page of many clips opens at once.
  new IntersectionObserver((entries, observer) => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    observer.disconnect();
    Promise.all(tiles.map(async tile => {
      tile.sheet.src = tile.canvas.dataset.sheet;
      await tile.sheet.decode();
      draw(tile);
    })).then(() => { player.dataset.ready = "yes"; });
  }, { rootMargin: "400px" }).observe(player);
}
