/* Two pictures over each other: the range input says how much of the left one is seen. */
for (const box of document.querySelectorAll(".compare")) {
  const range = box.querySelector("input");
  const say = () => range.setAttribute("aria-valuetext", Math.round(range.value) + " % " + box.querySelector("span.left").textContent);
  range.addEventListener("input", () => {
    box.style.setProperty("--at", range.value + "%");
    say();
  });
  say();
}

/* What lies on either side, and the difference of the two. */
for (const card of document.querySelectorAll(".comparison")) {
  const box = card.querySelector(".compare"), layers = [...box.querySelectorAll(".layer")];
  for (const select of card.querySelectorAll("select")) {
    const side = select.dataset.side;
    select.addEventListener("change", () => {
      layers.forEach((layer, i) => layer.classList.toggle(side, i === select.selectedIndex));
      box.querySelector("span." + side).textContent = select.selectedOptions[0].textContent;
    });
  }
  card.querySelector("input[type=checkbox]").addEventListener("change", event => {
    box.classList.toggle("difference", event.target.checked);
    box.querySelector("input").disabled = event.target.checked;
  });
}

/* Clips play while they are in sight, unless the reader prefers less motion; all sides are one clock. */
const still = matchMedia("(prefers-reduced-motion: reduce)");
for (const card of document.querySelectorAll(".comparison:has(.film)")) {
  const film = card.querySelector(".film"), button = card.querySelector(".player button");
  const place = card.querySelector(".player input"), told = card.querySelector(".player output");
  const frames = Number(film.dataset.frames), columns = Number(film.dataset.columns);
  let wanted = !still.matches, seen = false, timer = 0;
  const show = () => {
    const frame = Number(place.value);
    film.style.setProperty("--column", frame % columns);
    film.style.setProperty("--row", Math.floor(frame / columns));
    told.textContent = frame + 1 + " / " + frames;
  };
  const step = () => {
    place.value = (Number(place.value) + 1) % frames;
    show();
  };
  const run = () => {
    clearInterval(timer);
    if (wanted && seen) timer = setInterval(step, 1000 / Number(film.dataset.fps));
    button.textContent = wanted ? "Pause" : "Play";
    button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^\w+/, wanted ? "pause" : "play"));
  };
  const ask = value => {
    wanted = value;
    run();
  };
  button.addEventListener("click", () => ask(!wanted));
  place.addEventListener("input", show);
  place.addEventListener("pointerdown", () => ask(false));
  place.addEventListener("keydown", event => {
    if (event.key !== "Tab") ask(false);
  });
  still.addEventListener("change", () => ask(!still.matches));
  new IntersectionObserver(entries => {
    seen = entries.at(-1).isIntersecting;
    run();
  }).observe(film);
}

/* The extreme frames of the chosen method, beside the truth or the input. */
for (const card of document.querySelectorAll(".extremes")) {
  const [method, side] = card.querySelectorAll("select");
  const choose = () => {
    for (const figure of card.querySelectorAll("figure")) {
      let found = false;
      for (const part of figure.querySelectorAll("[data-method]")) {
        const own = Number(part.dataset.method) === method.selectedIndex;
        part.hidden = !own;
        part.classList.toggle("left", own && part.classList.contains("layer"));
        if (own && part.dataset.order) figure.style.order = part.dataset.order;
        found ||= own;
      }
      figure.hidden = !found;
      const sides = [...figure.querySelectorAll("[data-side]")];
      const shown = sides.find(part => Number(part.dataset.side) === side.selectedIndex) || sides[0];
      for (const part of sides) {
        part.hidden = part !== shown;
        part.classList.toggle("right", part === shown);
      }
      figure.querySelector("span.right").textContent = side.options[shown.dataset.side].textContent;
    }
  };
  method.addEventListener("change", choose);
  side.addEventListener("change", choose);
}
