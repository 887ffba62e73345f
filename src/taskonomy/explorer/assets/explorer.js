"use strict";
// What needs no answer of the server: the address, the colours of the canvas, the picture, the buttons beside numbers.
(() => {
  window.dash_clientside = window.dash_clientside || {};
  const unchanged = () => window.dash_clientside.no_update; // Dash, which is loaded later, defines it with its first call
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const page = crypto.randomUUID();
  let first = true;
  let number = 0;

  dark.addEventListener("change", () => window.dash_clientside.set_props("dark", { data: dark.matches }));

  window.addEventListener("popstate", () => window.dash_clientside.set_props("address", { data: window.location.search }));

  window.dash_clientside.explorer = {
    address() {
      return window.location.search;
    },

    // One question, and which it is: answers come in any order.
    ask(...fields) {
      return { page, number: ++number, fields: [fields.slice(0, -3), ...fields.slice(-3)] };
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
