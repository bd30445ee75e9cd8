// The playhead follows the sound; a click, a drag or the arrow keys move it. Without this script the figure is the
// browser's own player under a still picture.
for (const figure of document.querySelectorAll("#__ID__:not([data-ready])")) {
  figure.dataset.ready = "";
  const audio = figure.querySelector("audio");
  const wave = figure.querySelector("svg");
  const head = figure.querySelector(".jb-head");
  const rest = figure.querySelector(".jb-rest");
  const length = () => (Number.isFinite(audio.duration) ? audio.duration : Number(figure.querySelector("[data-seconds]").dataset.seconds));
  const width = wave.viewBox.baseVal.width;

  const draw = () => {
    const x = length() > 0 ? (Math.min(audio.currentTime / length(), 1) * width) : 0;
    head.setAttribute("transform", `translate(${x})`);
    rest.setAttribute("x", x);
    rest.setAttribute("width", x > 0 ? width - x : 0);
    wave.setAttribute("aria-valuenow", audio.currentTime.toFixed(2));
    wave.setAttribute("aria-valuetext", `${audio.currentTime.toFixed(1)} of ${length().toFixed(1)} seconds`);
  };
  const follow = () => {
    draw();
    if (!audio.paused) requestAnimationFrame(follow);
  };
  const seek = (seconds) => {
    audio.currentTime = Math.max(0, Math.min(seconds, length()));
    draw();
  };
  const toggle = () => (audio.paused ? audio.play() : audio.pause());
  const seekTo = (event) => {
    const box = wave.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * length());
  };

  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("figure[data-jukebox=player] audio")) {
      if (other !== audio) other.pause();
    }
    follow();
  });
  for (const name of ["timeupdate", "seeking", "loadedmetadata", "ended"]) audio.addEventListener(name, draw);

  wave.addEventListener("pointerdown", (event) => {
    wave.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  wave.addEventListener("pointermove", (event) => {
    if (wave.hasPointerCapture(event.pointerId)) seekTo(event);
  });
  wave.addEventListener("keydown", (event) => {
    const step = length() > 20 ? 1 : length() / 20;
    const keys = {
      ArrowRight: () => seek(audio.currentTime + step),
      ArrowLeft: () => seek(audio.currentTime - step),
      PageUp: () => seek(audio.currentTime + length() / 5),
      PageDown: () => seek(audio.currentTime - length() / 5),
      Home: () => seek(0),
      End: () => seek(length()),
      " ": toggle,
      Enter: toggle,
    };
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  });

  wave.setAttribute("tabindex", "0");
  wave.setAttribute("role", "slider");
  wave.setAttribute("aria-label", "Playing position");
  wave.setAttribute("aria-valuemin", "0");
  wave.setAttribute("aria-valuemax", length().toFixed(2));
  draw();
}
