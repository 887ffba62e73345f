"use strict";
// The reader chooses an order, a budget and rules; everything shown follows from that choice. Points of the front are solved already.
const orders = [...new Set(data.front.map((point) => point.max_order))].sort((a, b) => a - b);
const lineColours = ["#009E73", "#E69F00", "#CC79A7", "#0072B2", "#D55E00", "#56B4E9"];
const symbols = ["circle", "square", "diamond", "triangle-up", "cross", "star"], dashes = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const printing = matchMedia("print"), phone = matchMedia("(max-width: 640px)"), dark = matchMedia("(prefers-color-scheme: dark)");
let shown;

const pointsOf = (order) => data.front.filter((point) => point.max_order === order);

function nearest(order, budget) {
  const points = pointsOf(order);
  return points.filter((point) => point.budget <= budget + 1e-9).at(-1) ?? points[0];
}

function element(name, attributes = {}, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Whether a transfer loses to training from scratch on most images: to the target's whole network, where that was measured, else to a shallow one.
const isWorse = ([, , gain, , scratch]) => (scratch ?? gain ?? 1) < 0.5;
const worseWords = ([, , , , scratch]) => `worse than ${scratch === null ? "a shallow network " : ""}from scratch`;
const widest = (names, least) => Math.max(least, 30 + 7.4 * Math.max(...names.map((name) => titleOf(name).length)));

// Words on lines of at most so many letters; a longer word has a line of its own.
const wrapped = (text, longest) => text.split(" ").reduce((lines, word) => (lines.length && `${lines.at(-1)} ${word}`.length <= longest
  ? [...lines.slice(0, -1), `${lines.at(-1)} ${word}`] : [...lines, word]), []);

// Everything is as wide as the longest name needs: none is cut. A phone shows names on several lines, and gain and quality in the table alone.
function drawGraph(point) {
  const names = Object.keys(data.tasks), inOrder = (one, other) => names.indexOf(one) - names.indexOf(other);
  const transfers = [...point.transfers].sort((a, b) => inOrder(a[0], b[0]));
  const sources = [...point.sources].sort(inOrder);
  const narrow = phone.matches, lines = (name) => (narrow ? wrapped(titleOf(name), 20) : [titleOf(name)]);
  const most = narrow ? Math.max(...[...sources, ...transfers.map(([target]) => target)].map((name) => lines(name).length)) : 1;
  const rowHeight = narrow ? 8 + 10 * Math.max(2, most) : 25, top = 34, barWidth = 118, sourceX = narrow ? 126 : widest(sources, 235), targetX = sourceX + (narrow ? 92 : 295);
  const barX = targetX + widest(transfers.map(([target]) => target), 242), wordsX = barX + 2 * barWidth + 62, longest = Math.max(0, ...transfers.filter(isWorse).map((row) => worseWords(row).length));
  const width = narrow ? targetX + 126 : wordsX + (longest ? 10 + 6.8 * longest : 0), half = (targetX - sourceX) / 2;
  const height = top + rowHeight * Math.max(transfers.length, sources.length) + 8;
  const svg = byId("graph");
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.style.minWidth = narrow ? "" : `${0.75 * width}px`;
  svg.classList.toggle("narrow", narrow);
  const targetY = new Map(transfers.map(([target], row) => [target, top + rowHeight * (row + 0.5)]));
  const spread = (rowHeight * transfers.length) / Math.max(sources.length, 1);
  const sourceY = new Map(sources.map((name, row) => [name, top + Math.max(spread, rowHeight) * (row + 0.5)]));
  const heading = (x, text, anchor = "start") => svg.append(element("text", { x, y: 16, class: "soft", "text-anchor": anchor }, text));
  const others = sources.filter((name) => asItIs(name)).length, full = sources.length - others - point.free.length;
  heading(sourceX, `${full} labelled in full${point.free.length ? `, ${point.free.length} free` : ""}${others ? `, ${others} as they are` : ""}`, "end");
  heading(targetX, `${transfers.length} targets`);
  if (!narrow) { heading(barX, "gain"); heading(barX + barWidth + 40, "quality"); }

  const focus = (chosen) => {
    svg.classList.toggle("focus", chosen !== null);
    for (const line of svg.querySelectorAll(".link")) line.classList.toggle("on", line.dataset.source === chosen || line.dataset.target === chosen);
  };
  const node = (name, x, y, anchor, hover) => {
    const group = element("g", { class: "node", tabindex: 0, role: "img", "aria-label": hover });
    group.append(element("text", { x, y: y + 5, "text-anchor": "middle", style: `fill:${colourOf(name)};font-size:15px` }, marks(name)));
    lines(name).forEach((line, index, all) => {
      const lower = 10 * (index - (all.length - 1) / 2);
      group.append(element("text", { x: anchor === "end" ? x - 12 : x + 12, y: y + (narrow ? 3.5 : 4.5) + lower, "text-anchor": anchor }, line));
    });
    group.append(element("title", {}, hover));
    for (const event of ["mouseenter", "focus"]) group.addEventListener(event, () => focus(name));
    for (const event of ["mouseleave", "blur"]) group.addEventListener(event, () => focus(null));
    svg.append(group);
  };
  for (const [target, from] of transfers) {
    for (const written of from) {
      const source = written === "self" ? target : plain(written);
      const [y0, y1] = [sourceY.get(source), targetY.get(target)];
      const line = element("path", {
        class: "link", stroke: colourOf(source), "stroke-dasharray": written === "self" ? "2 4" : "none",
        d: `M${sourceX + 7} ${y0} C${sourceX + half} ${y0} ${targetX - half} ${y1} ${targetX - 7} ${y1}`,
      });
      line.dataset.source = source; line.dataset.target = target;
      svg.append(line);
    }
  }
  for (const name of sources) node(name, sourceX, sourceY.get(name), "end", `${titleOf(name)}: feeds ${transfers.filter(([t, from]) => from.map(plain).includes(name) || (from[0] === "self" && t === name)).length} targets`);
  for (const row of transfers) {
    const [target, from, gain, quality, scratch] = row;
    const y = targetY.get(target), worse = isWorse(row) ? `, ${worseWords(row)}` : "";
    node(target, targetX, y, "start", `${titleOf(target)} from ${fromWords(from)}\ngain ${number(gain, 3)}, quality ${number(quality, 3)}${scratch === null ? "" : `, beats scratch ${number(scratch, 3)}`}${worse}`);
    if (narrow) continue;
    if (worse) svg.append(element("text", { x: wordsX, y: y + 4, class: "worse" }, worseWords(row)));
    [[gain, barX], [quality, barX + barWidth + 40]].forEach(([value, x]) => {
      svg.append(element("rect", { x, y: y - 5, width: barWidth - 30, height: 10, rx: 3, fill: "var(--line)" }));
      if (value !== null) svg.append(element("rect", { x, y: y - 5, width: (barWidth - 30) * value, height: 10, rx: 3, fill: colourOf(target) }));
      svg.append(element("line", { x1: x + (barWidth - 30) / 2, x2: x + (barWidth - 30) / 2, y1: y - 8, y2: y + 8, stroke: "var(--soft)" }));
      svg.append(element("text", { x: x + barWidth - 24, y: y + 4, class: "soft" }, number(value)));
    });
  }
}

const fromWords = (from) => (from[0] === "self" ? "its own fully supervised network" : from.map(howOf).join(" + "));

// The same as the graph, for reading and for those who see no graph.
function tabulate(point) {
  const names = Object.keys(data.tasks), scratch = point.transfers.some((row) => row[4] !== null);
  const rows = [...point.transfers].sort((a, b) => names.indexOf(a[0]) - names.indexOf(b[0]));
  const cell = (kind, text) => { const made = document.createElement(kind); made.textContent = text; if (kind === "th") made.scope = "row"; return made; };
  byId("routes").querySelector("tbody").replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    const head = cell("th", titleOf(row[0]));
    if (isWorse(row)) { const mark = cell("small", worseWords(row)); mark.className = "worse"; head.append(" ", mark); }
    line.append(head, cell("td", fromWords(row[1])), cell("td", number(row[2])), ...(scratch ? [cell("td", number(row[4]))] : []), cell("td", number(row[3])));
    return line;
  }));
  byId("routes-scratch").hidden = !scratch;
  const lost = rows.filter(isWorse).map((row) => titleOf(row[0]));
  byId("worse").hidden = !lost.length;
  byId("worse").textContent = `${lost.length} of ${rows.length} targets ${lost.length === 1 ? "does" : "do"} worse than training from scratch: ${lost.join(", ")}.`;
}

const bounds = ([, low, high], digits = 3) => (low === null ? "" : `, ${low.toFixed(digits)} to ${high.toFixed(digits)}`);

const tasksWords = (count) => `${count} ${count === 1 ? "task" : "tasks"}`;

function headlineOf({ sources, free, transfers }) {
  const full = sources.filter((name) => !asItIs(name) && !free.includes(name)), others = sources.filter((name) => asItIs(name));
  const parts = [...(full.length || !(free.length || others.length) ? [`label ${tasksWords(full.length)} in full`] : []),
    ...(free.length ? [`train ${tasksWords(free.length)} whose labels are free`] : []),
    ...(others.length ? [`use ${others.map(titleOf).join(", ")} as ${others.length === 1 ? "it is" : "they are"}`] : [])];
  const text = `${parts.join(", ")}${parts.length > 1 ? "," : ""} and transfer to the other ${transfers.filter(([target]) => !sources.includes(target)).length} of ${transfers.length} targets.`;
  return text[0].toUpperCase() + text.slice(1);
}

function words(point) {
  byId("headline").textContent = point.headline ?? headlineOf(point);
  byId("details").textContent = point.details;
  byId("sources").replaceChildren(...[...point.sources.filter((name) => !point.free.includes(name)), ...point.free].map((name) => {
    const chip = document.createElement("span"), mark = document.createElement("span");
    chip.className = "source"; mark.className = "mark"; mark.textContent = marks(name); mark.style.color = colourOf(name);
    chip.append(mark, titleOf(name) + (asItIs(name) ? ` (as it is: ${asItIs(name)})` : point.free.includes(name) ? " (free)" : ""));
    return chip;
  }));
  byId("feeds").textContent = point.see;
  const more = point.one_more_label;
  const tiles = [
    [number(point.gain[0], 3), `mean gain${bounds(point.gain)}`],
    ...(point.gain_scratch[0] === null ? [] : [[number(point.gain_scratch[0], 3), `mean gain against scratch${bounds(point.gain_scratch)}`]]),
    [number(point.quality[0], 3), `mean quality${bounds(point.quality)}`],
    ...(point.labels === null ? [] : [[`${(100 * point.labels).toFixed(0)}\u00a0%`, "of the labels of full supervision"]]),
    ...(point.objective === null ? [[+point.cost.toFixed(6), "cost of its labels"]] : [[number(point.objective, 4), `objective, ${point.status}`]]),
    ...(point.here ? [] : [[more.cost === null ? "0" : `${more.quality >= 0 ? "+" : ""}${number(more.quality, 3)}`, more.cost === null ? "gain from more labels" : `quality for ${+more.cost.toFixed(6)} more`]]),
  ];
  byId("tiles").replaceChildren(...tiles.map(([value, text]) => {
    const tile = document.createElement("div"), strong = document.createElement("b"), label = document.createElement("span");
    tile.className = "tile"; strong.textContent = value; label.textContent = text;
    tile.append(strong, label);
    return tile;
  }));
}

function styled(layout) {
  const axis = { gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line") };
  const axes = ["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d+$/.test(key))]; // of every panel
  return { ...layout, font: { ...layout.font, color: css("--ink") }, ...Object.fromEntries(axes.map((key) => [key, { ...axis, ...layout[key] }])) };
}

// Paper has another width than the screen, and plotly draws in pixels: with a view box its drawings shrink with the page.
function draw(id, traces, layout) {
  const div = byId(id);
  Plotly.react(div, traces, styled(layout), { responsive: true, displayModeBar: false });
  if (div.dataset.fits) return;
  div.dataset.fits = "yes";
  const fit = () => {
    for (const svg of div.querySelectorAll("svg.main-svg")) svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
    const svg = div.querySelector("svg.main-svg");
    if (svg) div.style.setProperty("--ratio", `${svg.getAttribute("width")} / ${svg.getAttribute("height")}`);
  };
  div.on("plotly_afterplot", fit);
  fit();
}

function drawFront(id, field, title) {
  const traces = orders.map((order, index) => ({
    x: pointsOf(order).map((point) => point.budget), y: pointsOf(order).map((point) => point[field][0]), name: `order ≤ ${order}`,
    mode: "lines+markers", line: { color: lineColours[index % lineColours.length], dash: dashes[index % dashes.length] },
    marker: { size: 6, symbol: symbols[index % symbols.length] }, customdata: pointsOf(order).map(() => order),
  }));
  const band = pointsOf(shown.max_order).filter((point) => point[field][1] !== null);
  if (band.length > 1) {
    traces.unshift({
      x: [...band, ...[...band].reverse()].map((point) => point.budget), y: [...band.map((point) => point[field][2]), ...[...band].reverse().map((point) => point[field][1])],
      fill: "toself", mode: "lines", line: { width: 0 }, fillcolor: "rgba(0,114,178,.14)", name: "interval", hoverinfo: "skip",
    });
  }
  traces.push({ x: [shown.budget], y: [shown[field][0]], mode: "markers", name: "shown", marker: { size: 15, symbol: "circle-open", line: { width: 3 }, color: css("--ink") }, hoverinfo: "skip" });
  const layout = { height: 330, margin: { l: 50, r: 10, t: 26, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12 },
    title: { text: title, font: { size: 14 } }, xaxis: { title: { text: "supervision budget" } }, yaxis: { title: { text: "" } }, legend: { orientation: "h", y: -0.32, yanchor: "top" } };
  const drawn = byId(id);
  draw(id, traces, layout);
  if (!drawn.dataset.listening) {
    drawn.dataset.listening = "yes";
    drawn.on("plotly_click", (event) => { const hit = event.points[0]; if (hit.customdata) choose(hit.customdata, hit.x); });
  }
}

// The point of an order and a budget: of the front, or solved here where the front has none or the rules are others; a text where there is none.
function pointAt(order, budget) {
  const known = pointsOf(order).find((point) => point.budget === budget);
  if (known && !rules?.changed()) return known;
  if (rules) return rules.solve(order, budget);
  return nearest(orders.includes(order) ? order : orders[0], budget);
}

function choose(order, budget) {
  const found = pointAt(order, budget);
  asked = { order, budget };
  rules?.fill();
  byId("said").hidden = typeof found !== "string";
  if (typeof found === "string") byId("said").textContent = found;
  else shown = found;
  const points = pointsOf(nearestOrder(order));
  const slider = byId("budget");
  slider.max = points.length - 1;
  slider.value = points.indexOf(nearest(nearestOrder(order), budget));
  byId("budget-value").value = +budget.toFixed(6);
  for (const input of byId("orders").querySelectorAll("input")) input.checked = Number(input.value) === order;
  if (rules) history.replaceState(null, "", isGiven(order, budget) ? location.pathname + location.search : rules.link(order, budget));
  words(shown);
  drawGraph(shown);
  tabulate(shown);
  drawFront("front-gain", "gain", "Mean gain");
  drawFront("front-quality", "quality", "Mean quality");
}

const start = data.front[data.chosen];
const isGiven = (order, budget) => !rules.changed() && order === start.max_order && budget === start.budget;
const nearestOrder = (order) => orders.filter((one) => one <= order && pointsOf(one).length).at(-1) ?? orders[0];
let asked = { order: start.max_order, budget: start.budget };

for (const order of orders) {
  const label = document.createElement("label"), input = document.createElement("input");
  label.className = "chip"; input.type = "radio"; input.name = "order"; input.value = order;
  input.addEventListener("change", () => choose(order, asked.budget));
  label.append(input, String(order));
  byId("orders").append(label);
}
byId("budget").addEventListener("input", (event) => choose(asked.order, pointsOf(nearestOrder(asked.order))[event.target.value].budget));
byId("budget-value").addEventListener("change", (event) => {
  const budget = event.target.valueAsNumber;
  if (budget >= 0) choose(asked.order, rules ? budget : nearest(asked.order, budget).budget);
  else event.target.value = asked.budget;
});
// On a phone a matrix fits without scrolling: names of rows on several lines, those of columns upright, the scale above it. Of more columns than these a
// name would be wider than its column: the matrix then keeps its width, and is scrolled.
const MOST_ON_PHONE = 27;
function fitted(id, { data: traces, layout }) {
  const [matrix] = traces, div = byId(id), fits = matrix.type === "heatmap" && matrix.x.length <= MOST_ON_PHONE && phone.matches;
  if (matrix.type === "heatmap") {
    div.dataset.width ??= div.style.minWidth;
    div.style.minWidth = fits ? "0" : div.dataset.width;
  }
  if (!fits) return { data: traces, layout };
  const names = layout.yaxis.ticktext.map((name) => wrapped(name, 17)), lines = Math.max(...names.map((one) => one.length)), small = { size: 9 };
  const bar = { ...matrix.colorbar, orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom", title: { ...matrix.colorbar.title, side: "top" } };
  const upright = { ...layout.xaxis, tickangle: -90, tickfont: small }, several = { ...layout.yaxis, ticktext: names.map((one) => one.join("<br>")), tickfont: small };
  const height = (4 + 10 * lines) * names.length + 6 * Math.max(...layout.xaxis.ticktext.map((name) => name.length)) + 90;
  return { data: [{ ...matrix, colorbar: bar }, ...traces.slice(1)], layout: { ...layout, height, margin: { ...layout.margin, t: 10 }, xaxis: upright, yaxis: several } };
}

function drawFigures() {
  for (const [id, figure] of Object.entries(data.figures)) {
    if (!byId(id)) continue;
    const { data: traces, layout } = fitted(id, figure);
    draw(id, traces, layout);
  }
}

for (const input of document.querySelectorAll("#views input")) {
  input.addEventListener("change", () => {
    for (const one of document.querySelectorAll("#answers .view")) one.classList.toggle("shown", one.dataset.view === input.value);
  });
}
drawFigures();
function begin() {
  const linked = rules && location.hash.includes("=") ? rules.follow(location.hash) : null;
  if (linked) choose(linked.order, linked.budget);
  else choose(start.max_order, start.budget);
}
if (rules) {
  rules.build(() => choose(asked.order, asked.budget));
  addEventListener("hashchange", begin);
}
begin();
byId("routes").open = phone.matches;
for (const medium of [printing, dark, phone]) medium.addEventListener("change", () => { drawFigures(); choose(asked.order, asked.budget); });
