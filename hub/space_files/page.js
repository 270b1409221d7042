// Moves through the timeline with mouse, finger or keys, the clip with it, and has the verdict read out when it comes.
const show = place => {
  const strips = document.getElementById("strips");
  const chosen = JSON.parse(strips.dataset.windows)[place];
  const slider = strips.querySelector("input");
  slider.value = place;
  slider.setAttribute("aria-valuetext", chosen.said);
  document.getElementById("at").textContent = chosen.said;
  for (const line of strips.querySelectorAll(".now")) {
    line.setAttribute("x1", chosen.middle);
    line.setAttribute("x2", chosen.middle);
  }
  const player = document.querySelector("#clip video, #clip audio");
  if (player) player.currentTime = chosen.start;
};

document.addEventListener("input", event => {
  if (event.target.closest?.("#strips")) show(Number(event.target.value));
});

document.addEventListener("click", event => {
  const strip = event.target.closest?.("#strips svg");
  if (!strip) return;
  const box = strip.getBoundingClientRect();
  const windows = JSON.parse(document.getElementById("strips").dataset.windows);
  const first = windows[0].start, last = windows.at(-1).end;
  const second = first + (event.clientX - box.left) / box.width * (last - first);
  const away = windows.map(one => Math.abs(one.middle - second));
  show(away.indexOf(Math.min(...away)));
});

new MutationObserver(() => {
  for (const id of ["verdict", "at"]) document.getElementById(id)?.setAttribute("aria-live", "polite");
  for (const button of document.querySelectorAll("button.upload-container")) {  // whoever speaks to it says what stands there
    button.setAttribute("aria-label", button.innerText.replace(/\s+/g, " "));
  }
}).observe(document.documentElement, {childList: true, subtree: true});
