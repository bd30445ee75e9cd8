// Pointing at a square tells which code it is and how often it occurs.
for (const figure of document.querySelectorAll("#__ID__:not([data-ready])")) {
  figure.dataset.ready = "";
  const panels = JSON.parse(figure.querySelector(".jb-data").textContent);
  const picture = figure.querySelector("svg");
  const mark = figure.querySelector(".jb-mark");
  const output = figure.querySelector("output");

  const hint = () => {
    output.textContent = "Point at a square to read its count.";
    mark.setAttribute("width", 0);
  };
  picture.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    for (const { name, left, top, cell, columns, counts } of panels) {
      const [column, row] = [Math.floor((at.x - left) / cell), Math.floor((at.y - top) / cell)];
      const code = row * columns + column;
      if (0 > column || column >= columns || 0 > row || code >= counts.length) continue;
      const total = counts.reduce((sum, count) => sum + count, 0);
      const share = total > 0 ? ((100 * counts[code]) / total).toFixed(2) : "0";
      const times = counts[code] > 0 ? `${counts[code]} ×, ${share} % of all` : "never";
      output.textContent = `${name ? `${name} · ` : ""}code ${code}: ${times}`;
      mark.setAttribute("x", left + column * cell);
      mark.setAttribute("y", top + row * cell);
      mark.setAttribute("width", cell + 1);
      mark.setAttribute("height", cell + 1);
      return;
    }
    hint();
  });
  picture.addEventListener("pointerleave", hint);
  hint();
}
