"use strict";
(() => {
  const sounds = JSON.parse(document.getElementById("sounds").textContent);
  const player = new Audio();
  let button = null;
  let queue = [];

  const head = () => button && button.closest(".pair") && button.closest(".pair").querySelector(".head");

  function stop() {
    player.pause();
    queue = [];
    if (!button) return;
    button.setAttribute("aria-pressed", "false");
    if (head()) head().style.visibility = "hidden";
    button = null;
  }

  function next() {
    if (!queue.length) return stop();
    player.src = sounds[queue.shift()];
    // Another press may take the player before it starts; that one's sound is then the one to hear.
    player.play().catch((error) => { if (error.name !== "AbortError") stop(); });
  }

  function press(target) {
    const again = target === button;
    stop();
    if (again) return;
    button = target;
    button.setAttribute("aria-pressed", "true");
    queue = button.dataset.sound.split(" ").map(Number);
    next();
    requestAnimationFrame(follow);
  }

  // The line in the spectrogram goes with the sound, and a long picture scrolls along.
  function follow() {
    const line = head();
    if (!line) return;
    const x = player.currentTime * Number(line.ownerSVGElement.dataset.scale);
    line.setAttribute("transform", `translate(${x} 0)`);
    line.style.visibility = "visible";
    const roll = line.ownerSVGElement.parentElement;
    if (x < roll.scrollLeft || x > roll.scrollLeft + roll.clientWidth - 20) roll.scrollLeft = x - 40;
    requestAnimationFrame(follow);
  }

  function sort(heading) {
    const table = heading.closest("table");
    const body = table.tBodies[0];
    const column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.v;
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      return numbers ? Number(x) - Number(y) : x.localeCompare(y);
    };
    const rows = Array.from(body.rows).sort(order);
    body.append(...(down ? rows.reverse() : rows));
  }

  player.addEventListener("ended", next);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  document.addEventListener("click", (event) => {
    const play = event.target.closest("button.play");
    if (play) press(play);
    const order = event.target.closest("button.sort");
    if (order) sort(order.closest("th"));
  });
})();
