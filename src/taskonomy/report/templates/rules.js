"use strict";
// The reader changes the rules, and the page solves them: roles, must-haves, costs, importances, licences, any budget and any order. The choice is in
// the link.
const rules = (() => {
  const given = data.rules;
  if (!given) return null;
  const names = Object.keys(data.tasks).filter((name) => Object.hasOwn(given.tasks, name)); // by family
  const own = () => Object.fromEntries(names.map((name) => [name, { ...given.tasks[name] }]));
  const ownLicences = () => new Map(given.licences.map((one) => [one.key, one.permitted]));
  const licenceOf = new Map(given.licences.flatMap((one) => one.sources.map((name) => [name, one.key])));
  let tasks = own(), selfEdge = given.policy.self_edge, licences = ownLicences();
  const highest = given.rows === null ? 1 : Math.max(...given.rows.map(([, sources]) => sources.length));

  const permits = (name) => licences.get(licenceOf.get(name)) ?? true;

  const changed = () => selfEdge !== given.policy.self_edge || given.licences.some(({ key, permitted }) => licences.get(key) !== permitted)
    || names.some((name) => Object.keys(given.tasks[name]).some((key) => String(tasks[name][key]) !== String(given.tasks[name][key])));

  const needs = (target, sources) => [...new Set(sources.map((one) => (one === "self" ? target : plain(one))))];

  // The transfers that the rules allow, as taskonomy.policy.problem.admissible.
  function allowed(order) {
    return given.rows.flatMap(([target, sources, affinity, gain, quality, gain_scratch]) => {
      const from = needs(target, sources), gold = sources[0] === "self";
      if (!tasks[target].solve || sources.length > order || from.some((name) => tasks[name].label === "no" || !permits(name))) return [];
      if (given.most_inference !== null && (sources.some((one) => one.includes("@")) || from.some((name) => given.inference[name] === undefined))) return [];
      if (given.most_inference !== null && !policySolver.atMost(from.map((name) => given.inference[name]), given.most_inference)) return [];
      if (gold ? selfEdge !== "gold" : from.includes(target) && selfEdge !== "transfer") return [];
      return [{ target, sources, needs: from, affinity, gain, quality, gain_scratch }];
    });
  }

  const encoders = () => `encoders that take at most ${given.most_inference} million multiply-adds an image together`;

  // What leaves transfers out beside the rules that the reader can change, as sentences.
  function limits() {
    const barred = names.filter((name) => tasks[name].label !== "no" && !permits(name));
    return (given.most_inference === null ? "" : ` Only ${encoders()} may be used (policy.max_inference).`)
      + (barred.length ? ` Not used for ${barred.length === 1 ? "its licence" : "their licences"}: ${barred.map(titleOf).join(", ")}.` : "");
  }

  // Why a problem has no policy: the budget, or the bound on what encoders take.
  function why(setting) {
    const feasible = (other) => policySolver.solve({ ...setting, ...other }).status === "optimal";
    const anyBudget = Object.values(setting.cost).reduce((sum, cost) => sum + Number(cost ?? 1), Number(setting.fixed) + 1);
    const bounded = setting.most_inference !== null && feasible({ most_inference: null });
    if (bounded && !feasible({ budget: anyBudget })) return `No ${encoders()} serve every task that must be solved, whatever the budget: raise policy.max_inference, or allow more sources.${limits()}`;
    return `No policy of budget ${setting.budget} serves every task that must be solved: raise the budget, or allow more sources.${limits()}`;
  }

  const mean = (values) => { const known = values.filter((one) => one !== null); return known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null; };

  // A point like those of the front, solved here; a text where there is none.
  function solve(order, budget) {
    if (given.rows === null) return "This table is too large for a page. Run: taskonomy explore";
    const transfers = allowed(order);
    const left = names.filter((name) => tasks[name].solve && !transfers.some((one) => one.target === name));
    if (left.length) return `No transfer is left for ${left.map(titleOf).join(", ")}: allow more sources, or more sources of one transfer.${limits()}`;
    if (!transfers.length) return "No task has to be solved.";
    const usable = new Set(transfers.flatMap((one) => one.needs));
    const required = names.filter((name) => tasks[name].label === "must");
    const unused = required.filter((name) => !usable.has(name));
    if (unused.length) return `No transfer uses ${unused.map(titleOf).join(", ")}, which must be used.${limits()}`;
    const field = (key) => Object.fromEntries(names.map((name) => [name, tasks[name][key]]));
    const setting = { transfers, cost: field("cost"), fixed: given.fixed, budget, importance: field("importance"), required, balance: given.policy.balance, inference: given.inference, most_inference: given.most_inference };
    const found = policySolver.solve(setting);
    if (found.status === "too large") return `This problem is too large to be solved in a page (${found.why}). Run: taskonomy explore`;
    if (found.status === "infeasible") return why(setting);
    const rows = [...found.transfers].sort((a, b) => (a.target < b.target ? -1 : 1));
    return {
      max_order: order, budget, cost: found.cost, objective: null, sources: found.sources, free: found.sources.filter((name) => !asItIs(name) && !Number(tasks[name].cost)), status: "optimal", here: true,
      one_more_label: { cost: null }, gain: [mean(rows.map((one) => one.gain)), null, null], quality: [mean(rows.map((one) => one.quality)), null, null],
      gain_scratch: [mean(rows.map((one) => one.gain_scratch)), null, null],
      labels: null, headline: null, details: "", see: "Solved in this page, and proved to be the best under these rules.",
      transfers: rows.map((one) => [one.target, one.sources, one.gain, one.quality, one.gain_scratch]),
    };
  }

  // The rules that differ, as the part of a link after #.
  function link(order, budget) {
    const parts = new URLSearchParams({ order, budget });
    if (selfEdge !== given.policy.self_edge) parts.set("self_edge", selfEdge);
    for (const { key, permitted } of given.licences) if (licences.get(key) !== permitted) parts.set(`licence.${key}`, licences.get(key) ? "yes" : "no");
    for (const name of names) {
      for (const key of Object.keys(tasks[name])) {
        if (String(tasks[name][key]) !== String(given.tasks[name][key])) parts.set(`${key}.${name}`, tasks[name][key]);
      }
    }
    return `#${parts}`;
  }

  const isNumber = (text) => /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);

  // Take the rules of a link; returns its order and budget, null where it has none. What is not understood is passed over.
  function follow(hash) {
    tasks = own();
    licences = ownLicences();
    const parts = new URLSearchParams(hash.slice(1)), edge = parts.get("self_edge");
    selfEdge = ["gold", "transfer", "none"].includes(edge) ? edge : given.policy.self_edge;
    for (const [key, value] of parts) {
      const dot = key.indexOf("."), field = key.slice(0, dot), name = key.slice(dot + 1);
      if (field === "licence" && licences.has(name) && ["yes", "no"].includes(value)) licences.set(name, value === "yes");
      if (!Object.hasOwn(given.tasks, name)) continue;
      if (field === "solve" && given.tasks[name].solve !== null && ["true", "false"].includes(value)) tasks[name].solve = value === "true";
      if (field === "label" && ["no", "may", "must"].includes(value)) tasks[name].label = value;
      if ((field === "cost" || field === "importance") && isNumber(value)) tasks[name][field] = value;
    }
    fill();
    const order = Number(parts.get("order")), budget = parts.get("budget") ?? "";
    return Number.isInteger(order) && order >= 1 && isNumber(budget) ? { order, budget: Number(budget) } : null;
  }

  const cells = new Map(), chips = new Map();

  // A box for each licence of encoders that others trained.
  function buildLicences(onChange) {
    for (const { key, title, sources } of given.licences) {
      const label = document.createElement("label"), box = input("checkbox");
      label.className = "chip";
      label.append(box, `${title}: ${sources.map(titleOf).join(", ")}`);
      box.addEventListener("change", () => { licences.set(key, box.checked); onChange(); });
      chips.set(key, box);
      byId("rules-licences").append(label);
    }
  }

  function build(onChange) {
    const body = byId("rules").querySelector("tbody");
    for (const name of names) {
      const row = document.createElement("tr"), head = document.createElement("th"), mark = document.createElement("span");
      mark.className = "mark"; mark.textContent = marks(name); mark.style.color = colourOf(name);
      head.scope = "row"; head.append(mark, titleOf(name));
      const inputs = { solve: input("checkbox"), label: select({ no: "no", may: "if it pays", must: "must be" }), cost: input("number"), importance: input("number") };
      const labels = { solve: "must be solved", label: asItIs(name) ? "used as it is" : "labelled in full", cost: "cost", importance: "importance" };
      if (given.tasks[name].solve === null) inputs.solve.disabled = true;
      if (given.currency !== null) inputs.solve.disabled = true; // which labels transfers take depends on it
      if (given.tasks[name].cost === null) inputs.label.disabled = inputs.cost.disabled = true; // it has no price
      row.append(head);
      for (const [key, one] of Object.entries(inputs)) {
        one.setAttribute("aria-label", `${titleOf(name)}: ${labels[key]}`);
        one.addEventListener("change", () => {
          if (one.type === "number" && !isNumber(one.value)) { fill(); return; }
          tasks[name][key] = one.type === "checkbox" ? one.checked : one.value;
          onChange();
        });
        const cell = document.createElement("td");
        cell.append(one); row.append(cell);
      }
      cells.set(name, inputs);
      body.append(row);
    }
    buildLicences(onChange);
    byId("rules-reset").addEventListener("click", () => { tasks = own(); licences = ownLicences(); selfEdge = given.policy.self_edge; fill(); onChange(); });
    if (given.currency === null) {
      byId("rules-paper").addEventListener("click", () => { preset("transfer", () => "1"); onChange(); });
      byId("rules-practice").addEventListener("click", () => { preset("gold", (name) => (given.tasks[name].free ? "0" : "1")); onChange(); });
    }
    fill();
  }

  // The costs and self-edges of a preset of taskonomy.config.policy_params.
  function preset(edge, costOf) {
    selfEdge = edge;
    for (const name of names) tasks[name].cost = costOf(name);
    fill();
  }

  function input(type) {
    const made = document.createElement("input");
    made.type = type;
    if (type === "number") { made.min = "0"; made.step = "any"; made.className = "amount"; }
    return made;
  }

  function select(options) {
    const made = document.createElement("select");
    for (const [value, text] of Object.entries(options)) made.append(new Option(text, value));
    return made;
  }

  function fill() {
    for (const [name, inputs] of cells) {
      inputs.solve.checked = Boolean(tasks[name].solve);
      for (const key of ["label", "cost", "importance"]) inputs[key].value = tasks[name][key];
    }
    for (const [key, box] of chips) box.checked = licences.get(key);
    byId("rules-reset").hidden = !changed();
  }

  return { changed, solve, link, follow, build, fill, highest };
})();
