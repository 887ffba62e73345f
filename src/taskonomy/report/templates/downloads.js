"use strict";
// Every figure can be taken along: its numbers as CSV, and as a PNG what is seen. All of it is made here; nothing is asked of anybody.
(() => {
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const asCsv = (columns, rows) => [columns, ...rows].map((row) => row.map((value) => quoted(value === null ? "" : String(value))).join(",")).join("\n") + "\n";

  // Numbers that follow the reader's choice, or are those of the points of the front.
  const ofChoice = {
    graph: () => [["target", "sources", "gain", "quality", "gain_scratch", "worse_than_from_scratch"],
      shown.transfers.map((row) => [row[0], row[1].join("+"), row[2], row[3], row[4], isWorse(row)])],
    ...Object.fromEntries(["gain", "quality"].map((name) => [`front-${name}`, () => [["order", "budget", "cost", name, `${name}_low`, `${name}_high`],
      data.front.map((point) => [point.max_order, point.budget, point.cost, ...point[name]])]])),
  };

  const numbersOf = (id) => (ofChoice[id] ? asCsv(...ofChoice[id]()) : asCsv(data.numbers[id].columns, data.numbers[id].rows));

  const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor"];

  // A copy of a drawing that needs no style sheet.
  function alone(svg) {
    const copy = svg.cloneNode(true), from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
    from.forEach((one, index) => { for (const name of KEPT) to[index].style.setProperty(name, getComputedStyle(one).getPropertyValue(name)); });
    const [, , width, height] = svg.getAttribute("viewBox").split(" ");
    copy.setAttribute("width", width); copy.setAttribute("height", height);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    return copy;
  }

  // The small drawings of the training curves as one, each below its title.
  function panels() {
    const wide = 240, high = 150, across = 4, items = [...document.querySelectorAll("#training li")];
    const whole = element("svg", { viewBox: `0 0 ${across * wide} ${Math.ceil(items.length / across) * high}`, xmlns: "http://www.w3.org/2000/svg" });
    items.forEach((item, index) => {
      const place = element("g", { transform: `translate(${(index % across) * wide + 8} ${Math.floor(index / across) * high})` });
      const text = { "font-family": "system-ui, sans-serif", "font-size": 12, fill: css("--ink") };
      const drawing = alone(item.querySelector("svg"));
      for (const [name, value] of Object.entries({ y: 22, width: wide - 24, height: 100 })) drawing.setAttribute(name, value);
      place.append(element("text", { ...text, y: 16 }, item.querySelector("h3").textContent), drawing, element("text", { ...text, y: 138, "font-size": 11 }, item.querySelector("small").textContent));
      whole.append(place);
    });
    whole.setAttribute("width", across * wide); whole.setAttribute("height", Math.ceil(items.length / across) * high);
    return whole;
  }

  async function picture(svg) {
    const image = new Image(), canvas = document.createElement("canvas"), scale = 2;
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
    await image.decode();
    canvas.width = scale * svg.getAttribute("width"); canvas.height = scale * svg.getAttribute("height");
    const paper = canvas.getContext("2d");
    paper.fillStyle = css("--card");
    paper.fillRect(0, 0, canvas.width, canvas.height);
    paper.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/png");
  }

  function pictureOf(id) {
    const drawn = byId(id);
    if (id === "graph") return picture(alone(drawn));
    if (id === "training") return picture(panels());
    const layout = { ...drawn.layout, paper_bgcolor: css("--card") };
    return Plotly.toImage({ data: drawn.data, layout }, { format: "png", scale: 2, width: drawn.clientWidth, height: drawn.clientHeight });
  }

  function take(name, address) {
    const link = document.createElement("a");
    link.href = address; link.download = name;
    link.click();
  }

  const makers = {
    CSV: (id) => { const address = URL.createObjectURL(new Blob([numbersOf(id)], { type: "text/csv" })); take(`${id}.csv`, address); setTimeout(() => URL.revokeObjectURL(address), 10000); },
    PNG: async (id) => take(`${id}.png`, await pictureOf(id)),
  };

  for (const figure of document.querySelectorAll("#graph, #training, .js-plotly-plot")) {
    const bar = document.createElement("div");
    bar.className = "take";
    for (const [kind, make] of Object.entries(makers)) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = kind;
      button.setAttribute("aria-label", `${kind} of ${figure.getAttribute("aria-label")}`);
      button.addEventListener("click", () => make(figure.id));
      bar.append(button);
    }
    const frame = figure.closest(".scroll") ?? figure, cell = document.createElement("div");
    frame.replaceWith(cell); // one cell of the grid for both
    cell.append(frame, bar);
  }
})();
