"use strict";
// What needs no answer of the server: the address, the colours of the canvas, the picture, the buttons beside numbers.
(() => {
  window.dash_clientside = window.dash_clientside || {};
  const unchanged = () => window.dash_clientside.no_update; // Dash, which is loaded later, defines it with its first call
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const page = crypto.randomUUID();
  const narrow = window.matchMedia("(max-width: 720px)");
  const curve = { points: [], whole: true, solved: false };
  let first = true;
  let number = 0;
  let sliding = 0;
  let shows = false;

  dark.addEventListener("change", () => window.dash_clientside.set_props("dark", { data: dark.matches }));

  window.addEventListener("popstate", () => window.dash_clientside.set_props("address", { data: window.location.search }));

  // Both are the reader's own: a link that is loaded holds its own values.
  document.addEventListener("click", (event) => {
    const one = event.target.closest("[data-task]");
    if (!one) return;
    shows = true;
    window.dash_clientside.set_props("graph", { tapNodeData: null }); // else a second click on the same node is none
    window.dash_clientside.set_props("pointed", { data: one.dataset.task || null });
  });
  document.addEventListener("change", (event) => {
    if (!event.target.closest("#preset")) return;
    window.dash_clientside.set_props("self_edge", { value: event.target.value === "practice" ? "gold" : "transfer" });
  });

  const make = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };

  const LEFT = 28, RIGHT = 12, HIGH = 104, TOP = 6;

  // The mean gain and quality of the best policy of each budget, with the budget of the fields as a line.
  function draw(place, budget) {
    const wide = place.clientWidth, { points } = curve;
    const [low, high] = [points[0].budget, points.at(-1).budget];
    const x = (value) => LEFT + ((value - low) / (high - low || 1)) * (wide - LEFT - RIGHT), y = (value) => TOP + (1 - value) * HIGH;
    const svg = make("svg", { width: wide, height: HIGH + 26, role: "img", "aria-label": "Mean gain and mean quality of the best policy of each budget" });
    for (const tick of [0, 0.5, 1]) {
      svg.append(make("line", { x1: LEFT, x2: wide - RIGHT, y1: y(tick), y2: y(tick), class: "grid" }));
      svg.append(make("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
    }
    for (const what of ["gain", "quality"]) {
      const known = points.filter((one) => one[what] !== null);
      if (!known.length) continue;
      svg.append(make("polyline", { points: known.map((one) => `${x(one.budget)},${y(one[what])}`).join(" "), class: what }));
      svg.append(...known.map((one) => make("circle", { cx: x(one.budget), cy: y(one[what]), r: 2, class: what })));
      const last = known.at(-1)[what], other = points.at(-1)[what === "gain" ? "quality" : "gain"] ?? 2;
      const close = Math.abs(last - other) < 0.2, lower = close ? last < other || (last === other && what === "quality") : what === "gain" || last > 0.3;
      svg.append(make("text", { x: wide - RIGHT, y: y(last) + (lower ? 14 : -6), "text-anchor": "end", class: what }, `mean ${what}`));
    }
    svg.append(make("text", { x: LEFT, y: HIGH + 22 }, points[0].text));
    if (high > low) svg.append(make("text", { x: wide - RIGHT, y: HIGH + 22, "text-anchor": "end" }, points.at(-1).text));
    const now = Number(budget);
    if (now >= low && now <= high) svg.append(make("line", { x1: x(now), x2: x(now), y1: TOP, y2: TOP + HIGH, class: "now" }));
    svg.addEventListener("click", (event) => {
      const at = low + ((event.clientX - svg.getBoundingClientRect().left - LEFT) / (wide - LEFT - RIGHT)) * (high - low);
      go(nearest(at));
    });
    return svg;
  }

  const nearest = (budget) => curve.points.reduce((one, other) => (Math.abs(other.budget - budget) < Math.abs(one.budget - budget) ? other : one));

  function go(point) {
    window.clearTimeout(sliding); // a slider that moves asks ten times a second at most
    sliding = window.setTimeout(() => window.dash_clientside.set_props("budget", { value: String(point.budget) }), 100);
  }

  // The next budget of the curve, larger or smaller; where there is none, the same.
  function beside(budget, by) {
    const others = curve.points.filter((one) => (one.budget - budget) * by > 1e-9);
    return (by > 0 ? others[0] : others.at(-1)) ?? nearest(budget);
  }

  function slider() {
    const made = document.createElement("input");
    made.type = "range"; made.step = "any"; made.setAttribute("aria-label", "Budget, as a slider");
    made.style.marginLeft = `${LEFT - 8}px`; made.style.width = `calc(100% - ${LEFT + RIGHT - 16}px)`;
    made.addEventListener("input", () => go(nearest(Number(made.value))));
    made.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const point = beside(Number(made.value), by);
      made.value = point.budget;
      go(point);
    });
    return made;
  }

  function drawCurve(budget) {
    const place = document.getElementById("curve");
    const said = place.querySelector("output") ?? document.createElement("output");
    const moved = place.querySelector("input") ?? slider();
    if (!place.contains(said)) place.append(moved, said);
    place.querySelector("svg")?.remove();
    moved.disabled = curve.points.length < 2;
    if (!curve.points.length) { said.textContent = curve.solved ? "no budget serves every target" : "solving every budget …"; return; }
    place.prepend(draw(place, budget));
    moved.min = curve.points[0].budget; moved.max = curve.points.at(-1).budget;
    if (document.activeElement !== moved || !moved.matches(":active")) moved.value = budget;
    moved.setAttribute("aria-valuetext", nearest(Number(budget)).text);
    said.textContent = curve.whole ? "" : "the time limit ended: larger budgets are not drawn";
  }

  function fit() {
    const drawn = document.getElementById("graph")?._cyreg?.cy;
    if (drawn) { drawn.resize(); drawn.fit(undefined, 6); }
  }

  window.addEventListener("resize", () => {
    fit();
    const moved = document.querySelector("#curve input"); if (moved) drawCurve(moved.value);
  });

  window.dash_clientside.explorer = {
    curve(data, budget) {
      Object.assign(curve, data ?? { points: [], whole: true, solved: false });
      drawCurve(budget);
      return unchanged();
    },

    clicked(node) {
      if (!node) return unchanged();
      shows = true;
      return node.task;
    },

    // The detail of a task that was just clicked comes into view, if it is not.
    seen() {
      if (shows) document.getElementById("detail").scrollIntoView({ block: "nearest" });
      shows = false;
      return unchanged();
    },

    // The library fits the drawing before it knows how wide the names are.
    fit() {
      window.setTimeout(fit, 60);
      return unchanged();
    },

    // What a cost is where its field is empty.
    placeholders(preset, ofPresets) {
      return ofPresets[preset] ?? unchanged();
    },

    address() {
      return window.location.search;
    },

    // One question, and which it is: answers come in any order.
    ask(...fields) {
      return { page, number: ++number, fields: [fields.slice(0, -4), ...fields.slice(-4)] };
    },

    // Every policy has its address: Back undoes, a reload or a shared link gives the same.
    remember(query) {
      if (!query) return unchanged();
      const address = `?${query}`;
      if (address !== window.location.search) window.history[first ? "replaceState" : "pushState"](null, "", address);
      first = false;
      return unchanged();
    },

    style(isDark, pointed, styles, elements) {
      const rules = [...styles[(isDark ?? dark.matches) ? "dark" : "light"]];
      if (narrow.matches) rules.push({ selector: "node", style: { "font-size": 10, "text-max-width": "116px" } }); // whole names, on two lines
      const node = pointed && elements.find((one) => one.data.id === pointed.id);
      if (!node) return rules;
      const edges = elements.filter((one) => one.data.source === pointed.id || one.data.target === pointed.id);
      const near = new Set([pointed.id, ...edges.flatMap((one) => [one.data.source, one.data.target])]);
      const fade = elements.filter((one) => one.data.source === undefined && !near.has(one.data.id));
      rules.push({ selector: "edge", style: { opacity: 0.08 } });
      rules.push(...fade.map((one) => ({ selector: `#${one.data.id}`, style: { opacity: 0.25 } })));
      rules.push(...edges.map((one) => ({ selector: `edge[source = "${one.data.source}"][target = "${one.data.target}"]`, style: { opacity: 1, width: 2.6 } })));
      return rules;
    },

    png() {
      return { type: "png", action: "download", filename: "policy", options: { full: true, scale: 2, bg: css("--card") } };
    },

    // One less or one more; what is no number is left for the server to answer.
    step(less, more, value) {
      const number = Number(value);
      if (String(value ?? "").trim() === "" || !Number.isFinite(number)) return unchanged();
      const by = window.dash_clientside.callback_context.triggered_id.endsWith("-less") ? -1 : 1;
      return String(Math.max(0, Math.round((number + by) * 1e9) / 1e9));
    },
  };
})();
