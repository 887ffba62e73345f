"use strict";
// How many labelled images of which task a budget buys. Every budget is solved already; the reader chooses one.
(() => {
  const { budgets, choices, unit } = data.amounts;
  const clear = "rgba(0,0,0,0)", font = { family: "system-ui, sans-serif", size: 12 };
  const plainLayout = { paper_bgcolor: clear, plot_bgcolor: clear, font, margin: { l: 50, r: 10, t: 26, b: 40 } };
  let chosen = data.amounts.chosen;

  function drawBudgets(id, title, fields) {
    const traces = fields.filter(([field]) => budgets.some((one) => one[field] !== null)).map(([field, colour, symbol, dash]) => ({
      x: budgets.map((one) => one.cost), y: budgets.map((one) => one[field]), name: field, mode: "lines+markers",
      line: { color: colour, dash, shape: "hv" }, marker: { size: 6, symbol }, customdata: budgets.map((_, place) => place + 1),
    }));
    traces.push(...traces.map((one) => ({ x: [budgets[chosen].cost], y: [budgets[chosen][one.name]], mode: "markers", name: "shown", showlegend: one === traces[0], hoverinfo: "skip",
      marker: { size: 15, symbol: "circle-open", line: { width: 3 }, color: css("--ink") } })));
    draw(id, traces, { ...plainLayout, height: 320, title: { text: title, font: { size: 14 } }, xaxis: { title: { text: unit }, rangemode: "tozero" },
      legend: { orientation: "h", y: -0.32, yanchor: "top" } });
    const drawn = byId(id);
    if (drawn.dataset.listening) return;
    drawn.dataset.listening = "yes";
    drawn.on("plotly_click", (event) => { const hit = event.points[0].customdata; if (hit) chooseBudget(hit - 1); });
  }

  // A row for each task: its amounts to choose from as ticks, and the amount that the budget buys.
  function drawAmounts() {
    const { rows } = budgets[chosen], tasks = rows.map(([name]) => name), colour = (name) => colourOf(name);
    const least = Math.min(...Object.values(choices).flat(), ...rows.map((row) => row[1])), most = Math.max(...rows.map((row) => row[1]));
    const ticks = tasks.flatMap((name, place) => (choices[name] ?? []).map((images) => [images, place]));
    const bought = (full) => rows.map((row, place) => [...row, place]).filter((row) => row[2] === full);
    const trace = (full, name, symbol) => ({
      x: bought(full).map((row) => row[1]), y: bought(full).map((row) => row[4]), name, mode: "markers+text", cliponaxis: false,
      marker: { symbol, size: 11, color: bought(full).map((row) => colour(row[0])) }, textposition: phone.matches ? "top center" : "middle right", textfont: { color: css("--ink") },
      text: bought(full).map((row) => `${phone.matches ? "" : "  "}${row[1].toLocaleString("en")}`), hovertemplate: "%{x:,} images<extra></extra>",
    });
    const lines = rows.flatMap((row, place) => [[0.8 * least, place], [row[1], place], [null, null]]);
    const wide = !phone.matches, high = wide ? 21 : 34;
    const traces = [
      { x: lines.map(([x]) => x), y: lines.map(([, y]) => y), mode: "lines", line: { width: 1, color: css("--line") }, hoverinfo: "skip", showlegend: false },
      { x: ticks.map(([x]) => x), y: ticks.map(([, y]) => y), mode: "markers", name: "amounts measured", marker: { symbol: "line-ns-open", size: 9, color: css("--soft") }, hoverinfo: "skip" },
      trace(false, "labelled for a transfer, or its own network", "circle"), trace(true, "labelled in full", "square"),
      ...(wide ? [{ x: tasks.map(() => least), y: tasks.map((_, place) => place), yaxis: "y2", mode: "markers", marker: { opacity: 0 }, hoverinfo: "skip", showlegend: false }] : []),
    ];
    const places = tasks.map((_, place) => place), range = [tasks.length - 0.5, -0.5];
    const axis = { tickvals: places, range, showgrid: false, zeroline: false, automargin: true };
    const apart = wide ? 1.5 : 3.5; // ticks whose numbers do not run into one another
    const values = [...new Set([...Object.values(choices).flat(), most])].sort((a, b) => a - b).filter((one, place, all) => place === all.length - 1 || all[place + 1] >= apart * one);
    draw("amounts-policy", traces, {
      ...plainLayout, height: 120 + high * tasks.length, legend: { orientation: "h", y: -52 / (high * tasks.length), yanchor: "top" }, margin: { l: 10, r: 10, t: 6, b: 10 },
      xaxis: { type: "log", range: [Math.log10(0.8 * least), Math.log10(most * (wide ? 1.6 : 6))], tickvals: values, ticktext: values.map((one) => one.toLocaleString("en")), title: { text: "labelled images" }, automargin: true },
      yaxis: { ...axis, ticktext: tasks.map((name) => `${(wide ? [titleOf(name)] : wrapped(titleOf(name), 18)).map(escaped).join("<br>")} <span style="color:${colour(name)}">${marks(name)}</span>`) },
      ...(wide ? { yaxis2: { ...axis, overlaying: "y", side: "right", ticktext: rows.map((row) => ` ${escaped(row[3])}`), tickfont: { size: 11, color: css("--soft") } } } : {}),
    });
  }

  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function tabulateAmounts() {
    const { rows } = budgets[chosen];
    byId("amounts-routes").querySelector("tbody").replaceChildren(...rows.map(([name, images, full, from]) => {
      const line = document.createElement("tr"), cell = (kind, text) => { const made = document.createElement(kind); made.textContent = text; return made; };
      const head = cell("th", titleOf(name));
      head.scope = "row";
      line.append(head, cell("td", `${images.toLocaleString("en")}${full ? ", in full" : ""}`), cell("td", from || "only a source"));
      return line;
    }));
    data.numbers["amounts-policy"] = { columns: ["task", "images", "in_full", "solved_by"], rows };
  }

  function chooseBudget(place) {
    chosen = place;
    byId("amounts-budget").value = place;
    byId("amounts-said").textContent = budgets[chosen].said;
    drawBudgets("amounts-quality", "Mean gain and quality", [["gain", "#E69F00", "square", "dash"], ["quality", "#0072B2", "circle", "solid"]]);
    drawBudgets("amounts-objective", "Objective", [["objective", "#009E73", "diamond", "solid"]]);
    drawAmounts();
    tabulateAmounts();
  }

  byId("amounts-budget").addEventListener("change", (event) => chooseBudget(Number(event.target.value)));
  chooseBudget(chosen);
  for (const medium of [printing, dark, phone]) medium.addEventListener("change", () => chooseBudget(chosen));
})();
