"use strict";

/* A method's curves are hidden and shown in all drawings of its group, which then fit what is left. */
for (const card of document.querySelectorAll(".curves")) {
  const fit = plot => {
    const svg = plot.querySelector("svg"), [high, low] = plot.querySelectorAll("span > span");
    const boxes = [...svg.querySelectorAll("path:not(.off)")].map(path => path.getBBox()).filter(box => box.width || box.height);
    if (!boxes.length) return;
    const top = Math.min(...boxes.map(box => box.y)), height = Math.max(...boxes.map(box => box.y + box.height)) - top;
    svg.setAttribute("viewBox", `0 ${top} 320 ${height || 1}`);
    const value = y => svg.dataset.high - (y / 84) * (svg.dataset.high - svg.dataset.low);
    high.textContent = value(top).toFixed(card.dataset.decimals);
    low.textContent = value(top + height).toFixed(card.dataset.decimals);
  };
  card.querySelectorAll("legend ~ label input").forEach((input, i) => {
    input.addEventListener("change", () => {
      for (const path of card.querySelectorAll(`[data-curve="${i}"]`)) path.classList.toggle("off", !input.checked);
      card.querySelectorAll(".plot").forEach(fit);
    });
  });
}

/* The first click sorts the best first, the next one turns the order; no value always comes last. */
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort"), rising = sorted ? sorted === "descending" : head.dataset.first === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const key = row => row.cells[column].dataset.sort, text = head.dataset.type === "text";
      const compare = (a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
        const order = text ? key(a).localeCompare(key(b), undefined, { numeric: true }) : key(a) - key(b);
        return rising ? order : -order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
