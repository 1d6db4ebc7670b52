for (const slider of document.querySelectorAll(".slider")) {
  const input = slider.querySelector("input");
  const show = () => slider.style.setProperty("--at", input.value + "%");
  input.addEventListener("input", show);
  show();
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, table = head.closest("table"), column = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.value ?? "";
    const order = (a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");   // what has no value stays below, either way
      const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? difference : -difference;
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(order));
  });
}
