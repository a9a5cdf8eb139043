// Accuracy against cost as SVG: the constants' line, the oracle's, every entry with its interval, ticked sweeps.
"use strict";

const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

const ticks = (low, high, most) => {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i += 1) found.push(i * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
};

// eslint-disable-next-line no-unused-vars
class Chart {
  constructor(host, data, facts) {
    this.host = host;
    this.data = data;
    this.facts = facts; // row, unit -> [[label, text], ...] of the tooltip
    this.tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
    this.touched = false; // with a finger there is no hovering: the first tap shows, the second opens
    this.selected = null;
    new ResizeObserver(() => this.state && this.draw(this.state)).observe(host);
  }

  // state: {unit, column of the unit in sweeps, rows that are shown, ticked: Map name -> colour}
  draw(state) {
    this.state = state;
    const { unit, column, rows, ticked } = state;
    const lines = this.data.lines[unit];
    const width = Math.max(300, this.host.clientWidth);
    const height = Math.round(Math.min(470, Math.max(300, width * 0.46)));
    const margin = { left: 46, right: 16, top: 14, bottom: 40 };
    const value = (interval) => interval[0];
    const costs = [...lines.constants.map((c) => c[0]), ...rows.flatMap((row) => row.units[unit].cost)];
    const accuracies = [...lines.constants.map((c) => c[1]), ...(lines.oracle ?? []).map((p) => p[1]), ...rows.flatMap((row) => row.accuracy)];
    for (const row of rows) if (ticked.has(row.name)) for (const sweep of row.sweeps) for (const point of sweep) { costs.push(point[2 + column]); accuracies.push(point[1]); }
    const spread = (list, floor, ceiling) => { const low = Math.min(...list), high = Math.max(...list), pad = 0.05 * (high - low || 1); return [Math.max(floor, low - pad), Math.min(ceiling, high + pad)]; };
    const [x0, x1] = spread(costs, 0, Infinity), [y0, y1] = spread(accuracies, 0, 1);
    const x = (cost) => margin.left + (cost - x0) / (x1 - x0) * (width - margin.left - margin.right);
    const y = (accuracy) => height - margin.bottom - (accuracy - y0) / (y1 - y0) * (height - margin.top - margin.bottom);
    const label = this.data.units[column].label;

    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Accuracy against cost in ${label}` });
    const xs = ticks(x0, x1, width / 90), ys = ticks(y0, y1, height / 60);
    for (const tick of xs.found) root.append(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: margin.top, y2: height - margin.bottom }), svg("text", { x: x(tick), y: height - margin.bottom + 16, "text-anchor": "middle" }, tick.toFixed(xs.digits)));
    for (const tick of ys.found) root.append(svg("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: y(tick), y2: y(tick) }), svg("text", { x: margin.left - 7, y: y(tick) + 4, "text-anchor": "end" }, `${(100 * tick).toFixed(Math.max(0, ys.digits - 2))} %`));
    root.append(svg("text", { x: width - margin.right, y: height - 6, "text-anchor": "end" }, `mean cost in ${label.toLowerCase() === "flops" ? label : label.toLowerCase()} (always-largest = 1)`));
    root.append(svg("text", { x: 2, y: 9 }, "accuracy"));

    const clip = `clip-${unit}`;
    root.append(svg("clipPath", { id: clip }, svg("rect", { x: margin.left, y: margin.top - 6, width: width - margin.left - margin.right + 8, height: height - margin.top - margin.bottom + 10 })));
    const area = svg("g", { "clip-path": `url(#${clip})` });
    const path = (points, extra = []) => [...points.map(([c, a]) => [x(c), y(a)]), ...extra].map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
    const flat = (points) => [[width, y(points.at(-1)[1])]];
    if (lines.oracle) area.append(svg("path", { class: "oracle", d: path(lines.oracle, flat(lines.oracle)) }));
    area.append(svg("path", { class: "hull", d: path(lines.hull, flat(lines.hull)) }));
    for (const row of rows) {
      if (!ticked.has(row.name)) continue;
      for (const sweep of row.sweeps) {
        const ordered = sweep.map((point) => [point[2 + column], point[1]]);
        area.append(svg("path", { class: "sweep", d: path(ordered), style: `stroke:${ticked.get(row.name)}` }));
        for (const [i, [cost, accuracy]] of ordered.entries()) {
          const dot = svg("circle", { cx: x(cost), cy: y(accuracy), r: 2.6, style: `fill:${ticked.get(row.name)}` });
          this.explain(dot, row, [["threshold", sweep[i][0].toFixed(3)], ["accuracy", `${(100 * accuracy).toFixed(1)} %`], ["cost", cost.toFixed(3)], ["", "one point of the sweep"]], x(cost), y(accuracy), width);
          area.append(dot);
        }
      }
    }
    root.append(area);
    for (const [i, [cost, accuracy]] of lines.constants.entries()) {
      const mark = svg("rect", { class: "constant", x: x(cost) - 4, y: y(accuracy) - 4, width: 8, height: 8, tabindex: "0", role: "img", "aria-label": `${this.data.track.models[i]} alone` });
      this.explain(mark, { title: `${this.data.track.models[i]} alone` }, [["accuracy", `${(100 * accuracy).toFixed(1)} %`], ["cost", cost.toFixed(2)]], x(cost), y(accuracy), width);
      root.append(mark);
    }
    const roomy = width > 520; // on a phone the lines' names would lie on the points' names
    if (lines.oracle && roomy) { const at = lines.oracle[Math.floor(lines.oracle.length * 0.62)]; root.append(svg("text", { class: "linename oraclename", x: x(at[0]) - 8, y: y(at[1]) - 6, "text-anchor": "end" }, "oracle (bound)")); }
    if (lines.hull.length > 1 && roomy) {
      const parts = lines.hull.slice(1).map((end, i) => [lines.hull[i], end]); // the name goes along the longest part
      const [a, b] = parts.reduce((best, part) => (x(part[1][0]) - x(part[0][0]) > x(best[1][0]) - x(best[0][0]) ? part : best));
      const angle = Math.atan2(y(b[1]) - y(a[1]), x(b[0]) - x(a[0])) * 180 / Math.PI, mx = x(a[0] + 0.45 * (b[0] - a[0])), my = y(a[1] + 0.45 * (b[1] - a[1]));
      root.append(svg("text", { class: "linename", transform: `translate(${mx} ${my - 6}) rotate(${angle})`, "text-anchor": "middle" }, "mixing the constants"));
    }

    const points = []; // a finger is wider than a point: a tap beside one means the nearest
    root.addEventListener("pointerdown", (event) => { this.touched = event.pointerType === "touch"; });
    root.addEventListener("click", (event) => {
      if (!this.touched || event.target.closest(".point")) return;
      const place = root.getBoundingClientRect(), scale = width / place.width;
      const far = ([px, py]) => Math.hypot((event.clientX - place.left) * scale - px, (event.clientY - place.top) * scale - py);
      const nearest = points.reduce((best, point) => (far(point) < far(best) ? point : best), points[0]);
      if (nearest && far(nearest) < 30) { nearest[2].focus(); nearest[2].dispatchEvent(new MouseEvent("click")); }
    });
    const names = this.labels(rows, unit, x, y, width, height, margin);
    for (const row of [...rows].sort((p, q) => ticked.has(p.name) - ticked.has(q.name))) {
      const cost = row.units[unit].cost, px = x(value(cost)), py = y(value(row.accuracy));
      const colour = ticked.get(row.name) ?? "var(--dim)";
      const shape = { router: svg("circle", { cx: px, cy: py, r: 6.5 }), reference: svg("rect", { x: px - 5, y: py - 5, width: 10, height: 10 }), bound: svg("path", { d: `M${px} ${py - 7}l7 7l-7 7l-7 -7z` }) }[row.kind];
      shape.setAttribute("class", "point");
      shape.setAttribute("style", `fill:${row.kind === "bound" ? "var(--good)" : colour}`);
      shape.setAttribute("tabindex", "0");
      shape.setAttribute("role", "link");
      shape.setAttribute("aria-label", `${row.title}: accuracy ${(100 * value(row.accuracy)).toFixed(1)} percent at cost ${value(cost).toFixed(2)}`);
      shape.dataset.name = row.name;
      const cross = svg("g", { class: "cross", style: `stroke:${colour}`, visibility: "hidden" },
        svg("line", { x1: x(cost[1]), x2: x(cost[2]), y1: py, y2: py }), svg("line", { x1: px, x2: px, y1: y(row.accuracy[1]), y2: y(row.accuracy[2]) }));
      points.push([px, py, shape]);
      const open = () => { location.href = `entries/${row.name}.html`; };
      shape.addEventListener("click", () => { if (!this.touched || this.selected === row.name) open(); else { this.selected = row.name; this.onselect?.(row); } });
      shape.addEventListener("pointerdown", (event) => { this.touched = event.pointerType === "touch"; });
      shape.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
      this.explain(shape, row, this.facts(row, unit), px, py, width, cross);
      root.append(cross, shape);
    }
    for (const name of names) root.append(name);
    this.host.replaceChildren(root, this.tip);
    this.tip.hidden = true;
  }

  // Names of the entries beside their points, where there is room; the others are found by hovering.
  labels(rows, unit, x, y, width, height, margin) {
    const taken = rows.map((row) => { const px = x(row.units[unit].cost[0]), py = y(row.accuracy[0]); return [px - 8, py - 8, px + 8, py + 8]; });
    const placed = [];
    const gain = (row) => (row.kind === "router" && row.rerun === "done" ? row.units[unit].gain[0] : -Infinity);
    const winners = new Set([...rows].sort((p, q) => gain(q) - gain(p)).slice(0, 3).filter((row) => gain(row) > -Infinity).map((row) => row.name));
    const order = [...rows].sort((p, q) => winners.has(q.name) - winners.has(p.name) || (q.kind === "router") - (p.kind === "router"));
    for (const row of order) {
      const px = x(row.units[unit].cost[0]), py = y(row.accuracy[0]), length = 6.6 * row.title.length;
      // In a crowd a name could belong to any point; those are found by hovering.
      const near = rows.filter((other) => other !== row && Math.hypot(x(other.units[unit].cost[0]) - px, y(other.accuracy[0]) - py) < 22).length;
      const winner = winners.has(row.name); // has its name in a crowd, too: farther off, at the end of a line
      if (near > 1 && !winner) continue;
      const places = near > 1 ? [] : [[px + 10, py + 4, "start"], [px - 10, py + 4, "end"], [px, py - 11, "middle"], [px, py + 20, "middle"]];
      if (winner) for (let away = 24; away < height; away += 8) for (const ty of [py - away, py + away]) for (const [tx, anchor] of [[px, "middle"], [px - 6, "end"], [px + 6, "start"]]) places.push([tx, ty, anchor, ty + (ty < py ? 4 : -10)]);
      for (const [tx, ty, anchor, end] of places) {
        const left = anchor === "start" ? tx : anchor === "end" ? tx - length : tx - length / 2;
        const box = [left, ty - 11, left + length, ty + 3];
        const inside = box[0] > margin.left && box[2] < width && box[1] > 0 && box[3] < height - margin.bottom;
        if (inside && !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) {
          taken.push(box);
          if (end !== undefined) placed.push(svg("line", { class: "leader", x1: px, y1: py, x2: tx, y2: end, "pointer-events": "none" }));
          placed.push(svg("text", { class: "label", x: tx, y: ty, "text-anchor": anchor, "pointer-events": "none" }, row.title));
          break;
        }
      }
    }
    return placed;
  }

  explain(element, row, facts, px, py, width, cross) {
    const show = () => {
      const list = document.createElement("dl");
      for (const [term, text] of facts) { const dt = document.createElement("dt"), dd = document.createElement("dd"); dt.textContent = term; dd.textContent = text; list.append(dt, dd); }
      const title = document.createElement("b");
      title.textContent = row.title;
      this.tip.replaceChildren(title, list);
      this.tip.hidden = false;
      const scale = this.host.clientWidth / width;
      this.tip.style.left = `${Math.min(px * scale + 14, this.host.clientWidth - this.tip.offsetWidth - 2)}px`;
      const above = py * scale - this.tip.offsetHeight - 12;
      this.tip.style.top = `${above > -30 ? above : py * scale + 16}px`;
      cross?.setAttribute("visibility", "visible");
    };
    const hide = () => { this.tip.hidden = true; cross?.setAttribute("visibility", "hidden"); };
    element.addEventListener("pointerenter", show);
    element.addEventListener("pointerleave", hide);
    element.addEventListener("focus", show);
    element.addEventListener("blur", hide);
  }
}
