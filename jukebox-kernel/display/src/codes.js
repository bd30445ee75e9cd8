// Pointing at a moment tells the codes of all levels there and marks how long each lasts.
for (const figure of document.querySelectorAll("#__ID__:not([data-ready])")) {
  figure.dataset.ready = "";
  const data = JSON.parse(figure.querySelector(".jb-data").textContent);
  const picture = figure.querySelector("svg");
  const marks = figure.querySelectorAll(".jb-mark");
  const output = figure.querySelector("output");
  const xOf = (seconds) => data.left + ((seconds - data.from) / (data.to - data.from)) * (data.right - data.left);
  let time = data.from;

  const hint = () => {
    output.textContent = "Point at a moment, or use the arrow keys, to read its codes.";
    for (const mark of marks) mark.setAttribute("width", 0);
  };
  const tell = () => {
    const words = data.levels.map((level, place) => {
      const shown = Math.floor(time / level.period + 1e-6) - level.first;
      const mark = marks[place];
      mark.setAttribute("width", 0);
      if (0 > shown || shown >= level.count) return `${level.name}: none`;
      // One code a pixel is drawn where there are more codes than pixels.
      const column = Math.floor(((shown + 0.5) * level.codes.length) / level.count);
      const index = level.first + Math.floor(((2 * column + 1) * level.count) / (2 * level.codes.length));
      const left = Math.max(xOf(index * level.period), data.left);
      const right = Math.min(xOf((index + 1) * level.period), data.right);
      mark.setAttribute("x", left - 1);
      mark.setAttribute("y", level.top - 3);
      mark.setAttribute("width", Math.max(right - left, 1) + 2);
      mark.setAttribute("height", level.height + 6);
      return `${level.name}: ${level.codes[column]}`;
    });
    output.textContent = `${time.toFixed(3)} s · ${words.join(" · ")}`;
  };

  picture.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    if (data.left > at.x || at.x >= data.right) return hint();
    time = data.from + ((at.x - data.left) / (data.right - data.left)) * (data.to - data.from);
    tell();
  });
  picture.addEventListener("pointerleave", hint);
  picture.addEventListener("keydown", (event) => {
    const step = Math.max(...data.levels.map((level) => level.period));
    const moves = { ArrowRight: step, ArrowLeft: -step };
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    time = Math.min(Math.max(time + moves[event.key], data.from), data.to - 1e-4);
    tell();
  });
  picture.setAttribute("tabindex", "0");
  picture.setAttribute("data-lm-suppress-shortcuts", "true");
  hint();
}
