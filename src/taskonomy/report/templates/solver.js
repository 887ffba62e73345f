"use strict";
// The Boolean program of the supervision policy, solved and proved in the page: branch and bound over sets of sources, as taskonomy.policy.search.
//
// Numbers are taken as written (0.1 is a tenth). Bounds are sums of doubles, and a branch is left out only where it is worse by more than their
// rounding errors; choices are compared exactly, as whole numbers.

const policySolver = (() => {
  const MOST_SOURCES = 30; // sets of sources are the bits of a 32-bit number
  const MOST_NODES = 200000;
  const ROUNDING = 1e-12; // share of the largest objective; a sum of 1,000 doubles errs by less

  // The decimal that a double is written as: [digits, exponent], digits * 10^exponent.
  function decimal(value) {
    const [, sign, whole, part = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(value));
    return [BigInt(sign + whole + part), Number(exponent) - part.length];
  }

  // Some doubles as written, all times the same power of ten: whole numbers.
  function whole(values, least = Math.min(0, ...values.map((value) => decimal(value)[1]))) {
    return values.map((value) => { const [digits, exponent] = decimal(value); return digits * 10n ** BigInt(exponent - least); });
  }

  // Whether the sum of some amounts, as written, is at most another.
  function atMost(amounts, most) {
    const counts = whole([...amounts, most]);
    return counts.slice(0, -1).reduce((sum, one) => sum + one, 0n) <= counts.at(-1);
  }

  // A whole number of units of 10^-scale, as a double.
  const shown = (count, scale) => Number(`${count}e-${scale}`);

  const least = (values) => Math.min(0, ...values.map((value) => decimal(value)[1]));
  const greatest = (values) => values.reduce((one, other) => (other > one ? other : one));
  const common = (one, other) => { let [a, b] = [one, other]; while (b) [a, b] = [b, a % b]; return a; };

  // What each transfer is worth, exactly: importance * affinity / scale of its target, times one common denominator.
  function worths(targets, rows, importance, balance) {
    const affinities = whole(rows.map((row) => row.affinity));
    const weights = whole(targets.map((target) => importance[target] ?? 1));
    const scales = targets.map((target) => {
      const own = affinities.filter((_, index) => rows[index].target === target);
      const scale = balance === "sum" ? own.reduce((sum, one) => sum + one, 0n) : balance === "peak" ? greatest(own) : 1n;
      return scale || 1n;
    });
    const unit = scales.reduce((all, scale) => (all / common(all, scale)) * scale, 1n);
    const place = new Map(targets.map((target, index) => [target, index]));
    return affinities.map((affinity, index) => {
      const at = place.get(rows[index].target);
      return weights[at] * affinity * (unit / scales[at]);
    });
  }

  const bitsOf = (mask) => { const bits = []; for (let rest = mask; rest; rest &= rest - 1) bits.push(rest & -rest); return bits; };

  // The problem in whole numbers. `setting`: {transfers: [{target, sources, needs, affinity}], cost, fixed, budget,
  // importance, required, balance}, and where encoders have a bound inference and most_inference; numbers are doubles, or decimals as strings.
  function exact(setting) {
    const rows = [...setting.transfers].sort((a, b) => byName(a.target, b.target) || a.sources.length - b.sources.length || byNames(a.sources, b.sources));
    const targets = [...new Set(rows.map((row) => row.target))];
    const sources = [...new Set(rows.flatMap((row) => row.needs))].sort(byName);
    if (sources.length > MOST_SOURCES) return { tooLarge: `${sources.length} sources` };
    const bits = new Map(sources.map((name, index) => [name, 1 << (sources.length - 1 - index)]));
    const written = sources.map((name) => setting.cost[name] ?? 1);
    const fixed = setting.fixed ?? 0;
    const power = least([...written, setting.budget, fixed]);
    const costs = whole(written, power);
    const exactWorths = worths(targets, rows, setting.importance, setting.balance);
    const into = targets.map(() => []);
    const place = new Map(targets.map((target, index) => [target, index]));
    const largest = greatest(exactWorths) || 1n;
    const share = (worth) => Number((worth << 60n) / largest) / 2 ** 60; // of the largest; the whole numbers may exceed any double
    rows.forEach((row, index) => {
      const need = row.needs.reduce((mask, name) => mask | bits.get(name), 0);
      into[place.get(row.target)].push({ need, worth: exactWorths[index], value: share(exactWorths[index]), affinity: row.affinity, index, row, place: place.get(row.target) });
    });
    for (const edges of into) edges.sort((a, b) => (a.worth < b.worth ? 1 : a.worth > b.worth ? -1 : b.affinity - a.affinity || a.index - b.index));
    const costOf = new Map(sources.map((name, index) => [bits.get(name), costs[index]]));
    const bounded = setting.most_inference !== undefined && setting.most_inference !== null;
    const loads = bounded ? whole([...sources.map((name) => setting.inference[name]), setting.most_inference]) : [];
    const loadOf = new Map(sources.map((name, index) => [bits.get(name), bounded ? loads[index] : 0n]));
    const mostLoad = bounded ? loads[sources.length] : 0n;
    const load = (mask) => bitsOf(mask).reduce((total, bit) => total + loadOf.get(bit), 0n);
    return {
      targets, sources, bits, into, costOf, loadOf, mostLoad, load,
      uses: new Map([...bits.values()].map((bit) => [bit, into.flat().filter((edge) => edge.need & bit)])),
      fixed: whole([fixed], power)[0],
      limit: whole([setting.budget], power)[0] - whole([fixed], power)[0],
      required: setting.required.reduce((mask, name) => mask | bits.get(name), 0),
      all: [...bits.values()].reduce((mask, bit) => mask | bit, 0),
      scale: -power,
      names: (mask) => sources.filter((name) => mask & bits.get(name)),
      sum: (mask) => bitsOf(mask).reduce((total, bit) => total + costOf.get(bit), 0n),
      most: into.reduce((total, edges) => total + edges[0].value, 0),
    };
  }

  // By code points, as Python sorts.
  function byName(a, b) {
    const [one, other] = [[...a], [...b]];
    for (let index = 0; index < Math.min(one.length, other.length); index += 1) {
      const difference = one[index].codePointAt(0) - other[index].codePointAt(0);
      if (difference) return difference;
    }
    return one.length - other.length;
  }

  function byNames(a, b) {
    const [one, other] = [[...a].sort(byName), [...b].sort(byName)];
    for (let index = 0; index < one.length; index += 1) {
      const order = byName(one[index], other[index]);
      if (order) return order;
    }
    return 0;
  }

  // Whether a choice is better: worth more, else cheaper, else with sources that come first by name.
  const better = (one, other) => other === null || one.worth > other.worth
    || (one.worth === other.worth && (one.cost < other.cost || (one.cost === other.cost && one.mask > other.mask)));

  // The best choice whose transfers need exactly these sources; null where there is none that is worth at least `floor`.
  function covering(problem, mask, floor) {
    const options = problem.into.map((edges) => edges.filter((edge) => !(edge.need & ~mask)));
    if (options.some((edges) => !edges.length)) return null;
    const total = options.reduce((sum, edges) => sum + edges[0].worth, 0n);
    if (floor !== null && total < floor) return null;
    // For each target from the last on: the sets of sources that it and those after it can use, and what that loses at least.
    const ends = [new Map([[0, 0n]])];
    for (let at = options.length - 1; at >= 0; at -= 1) {
      const longer = new Map();
      for (const [covered, before] of ends[0]) {
        for (const edge of options[at]) {
          const both = covered | edge.need, lost = before + options[at][0].worth - edge.worth;
          if (floor !== null && total - lost < floor) continue;
          if (!longer.has(both) || lost < longer.get(both)) longer.set(both, lost);
        }
      }
      ends.unshift(longer);
    }
    const lost = ends[0].get(mask);
    if (lost === undefined) return null;
    // Of the choices that lose this little, the first by ranks, target by target.
    const edges = [];
    let covered = 0, left = lost;
    for (let at = 0; at < options.length; at += 1) {
      const edge = options[at].find((one) => {
        const rest = left - (options[at][0].worth - one.worth);
        return [...ends[at + 1]].some(([end, loss]) => loss === rest && (covered | one.need | end) === mask);
      });
      left -= options[at][0].worth - edge.worth;
      covered |= edge.need;
      edges.push(edge);
    }
    return { mask, worth: total - lost, cost: problem.sum(mask), edges };
  }

  // Solve a setting. Returns {status: optimal | infeasible | too large, sources, transfers, cost, nodes}.
  function solve(setting) {
    const problem = exact(setting);
    if (problem.tooLarge) return { status: "too large", why: problem.tooLarge };
    const { into, costOf, loadOf, limit, mostLoad, uses } = problem;
    const slack = ROUNDING * Math.max(1, problem.most);
    let best = null, bestValue = -Infinity, nodes = 0;
    const runs = (mask) => problem.load(mask) <= mostLoad; // the bound on what encoders take
    const offer = (mask) => { if (runs(mask)) take(covering(problem, mask, best && best.worth)); };
    const take = (choice) => {
      if (choice !== null && better(choice, best)) { best = choice; bestValue = choice.edges.reduce((sum, edge) => sum + edge.value, 0); }
    };
    // Whether no choice below a node is better than the best so far: worth less, or as much at a higher cost, or with sources later by name.
    const hopeless = (node, loss = 0, exactLoss = () => 0n) => {
      if (best === null || node.value - loss > bestValue + slack) return false;
      if (node.value - loss < bestValue - slack) return true;
      const worth = node.places.reduce((sum, edge) => sum + edge.worth, 0n) - exactLoss();
      if (worth !== best.worth) return worth < best.worth;
      return node.spent > best.cost || (node.spent === best.cost && node.may <= best.mask);
    };
    const share = new Map([...costOf.keys()].map((bit) => [bit, 0]));
    for (const edges of into) {
      for (const bit of bitsOf(edges[0].need)) share.set(bit, share.get(bit) + edges[0].value - (edges.find((edge) => !(edge.need & bit))?.value ?? 0));
    }
    const order = [...costOf.keys()].sort((a, b) => share.get(b) - share.get(a) || b - a);

    const without = (node, out) => {
      if (!out) return node;
      const may = node.may & ~out, places = [...node.places];
      let value = node.value;
      for (let place = 0; place < places.length; place += 1) {
        if (!(places[place].need & out)) continue;
        const edge = into[place].find((one) => !(one.need & ~may));
        if (edge === undefined) return null;
        value += edge.value - places[place].value;
        places[place] = edge;
      }
      const half = { ...node, may, value, places };
      return hopeless(half) ? null : half;
    };
    const within = (node) => {
      const left = limit - node.spent, room = mostLoad - problem.load(node.inside);
      return without(node, bitsOf(node.may & ~node.inside).reduce((mask, bit) => (costOf.get(bit) > left || loadOf.get(bit) > room ? mask | bit : mask), 0));
    };
    const withBit = (node, bit) => within({ ...node, inside: node.inside | bit, spent: node.spent + costOf.get(bit) });
    // What the targets lose at least to use each of these sources, which none of their best transfers uses; null: one cannot be used.
    const lossOf = (idle, node, measure, zero) => {
      let most = zero;
      for (const bit of bitsOf(idle)) {
        let fewest = null;
        for (const edge of uses.get(bit)) {
          if (edge.need & ~node.may) continue;
          const loss = node.places[edge.place][measure] - edge[measure];
          if (fewest === null || loss < fewest) fewest = loss;
        }
        if (fewest === null) return null;
        if (fewest > most) most = fewest;
      }
      return most;
    };

    const spent = problem.sum(problem.required);
    const places = into.map((edges) => edges[0]);
    const start = spent > limit || !runs(problem.required) ? null : within({ inside: problem.required, may: problem.all, spent, places, value: problem.most });
    const stack = start === null ? [] : [start];
    while (stack.length) {
      if (nodes === MOST_NODES) return { status: "too large", why: `no proof after ${MOST_NODES.toLocaleString("en")} sets of sources` };
      nodes += 1;
      const node = stack.pop();
      if (hopeless(node)) continue;
      const used = node.places.reduce((mask, edge) => mask | edge.need, 0), idle = node.inside & ~used, free = node.may & ~node.inside;
      if (idle) {
        const loss = lossOf(idle, node, "value", 0);
        if (loss === null || hopeless(node, loss, () => lossOf(idle, node, "worth", 0n))) continue;
        if (!free) offer(node.inside);
      } else if (node.spent + problem.sum(used & ~node.inside) <= limit && runs(used)) {
        take({ mask: used, worth: node.places.reduce((sum, edge) => sum + edge.worth, 0n), cost: problem.sum(used), edges: node.places });
      }
      if (!free) continue;
      const bit = order.find((one) => one & (used & free || free));
      const halves = bit & used ? [without(node, bit), withBit(node, bit)] : [withBit(node, bit), without(node, bit)];
      for (const half of halves) if (half !== null) stack.push(half);
    }
    if (best === null) return { status: "infeasible", nodes };
    return {
      status: "optimal", nodes, sources: problem.names(best.mask), cost: shown(best.cost + problem.fixed, problem.scale),
      transfers: best.edges.map((edge) => edge.row),
    };
  }

  return { solve, decimal, atMost, MOST_SOURCES };
})();
if (typeof module !== "undefined") module.exports = policySolver;
