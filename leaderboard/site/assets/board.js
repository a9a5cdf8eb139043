// The table: sorting, filtering, cost units, ties; and what the chart is told to show.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const own = data.units[0].name;
  const colours = Array.from({ length: 8 }, (_, i) => `var(--s${i})`);
  const routers = data.rows.filter((row) => row.kind === "router");
  const state = { unit: own, sort: "gain", down: true, words: [], kinds: new Set(["router", "reference", "bound"]), ticked: new Map() };
  routers.slice(0, 5).forEach((row, i) => state.ticked.set(row.name, colours[i]));

  const percent = (value, digits = 1) => (100 * value).toFixed(digits);
  const signed = (value) => `${value >= 0 ? "+" : "−"}${percent(Math.abs(value))}`;
  const plain = (value) => (typeof value === "string" ? value : value.toFixed(2).replace("-", "−"));
  const at = (row) => row.units[state.unit];
  const rankText = ([best, worst]) => (best === null ? "" : best === worst ? `${best}` : `${best}–${worst}`);
  const number = (value) => (value === null ? NaN : value === "unreached" ? Infinity : value);

  const raw = (value) => {
    const unit = { flops: "FLOP", large_tokens: "tokens", dollars: "$", latency: "s" }[state.unit];
    return `${Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : value.toFixed(2)} ${unit}`;
  };

  // name, label, meaning, sort key (NaN goes last), hidden on phones, better when larger
  const columns = [
    { name: "rank", label: "Rank", meaning: "ranks that the intervals allow", key: (row) => at(row).rank[0] ?? NaN, down: false },
    { name: "title", label: "Router", meaning: "name", key: (row) => row.title.toLowerCase(), down: false },
    { name: "gain", label: "Gain, points", meaning: "accuracy above mixing the constant models at equal cost", key: (row) => number(at(row).gain[0]), down: true },
    { name: "accuracy", label: "Accuracy, %", meaning: "share of right answers", key: (row) => row.accuracy[0], down: true },
    { name: "cost", label: "Cost", meaning: "mean cost, always-largest is 1", key: (row) => at(row).cost[0], down: false },
    { name: "harm", label: "Harm, %", meaning: "right with always-largest, wrong with the router", key: (row) => row.harm[0], down: false, wide: true },
    { name: "apgr", label: "APGR", meaning: "area under the performance gap recovered", key: (row) => number(at(row).apgr?.[0] ?? null), down: true, wide: true },
    { name: "cpt95", label: "CPT 95", meaning: "least cost share that recovers 95 % of the gap", key: (row) => number(at(row).cpt95?.[0] ?? null), down: false, wide: true },
    { name: "runs", label: "Runs", meaning: "trained routers behind the row", key: (row) => row.runs, down: true, wide: true },
    { name: "check", label: "Run again", meaning: "whether the board ran the router again", key: (row) => (row.rerun === "done" ? 1 : 0), down: true, wide: true },
  ];

  const element = (name, properties = {}, ...children) => { const made = Object.assign(document.createElement(name), properties); made.append(...children); return made; };
  const cell = (text, small, wide) => element("td", { className: `num${wide ? " wide" : ""}` }, text, ...(small ? [element("small", { textContent: small })] : []));
  const interval = (values, format, wide) => (values === null ? cell("–", "", wide) : cell(format(values[0]), values[0] === values[1] && values[0] === values[2] ? "" : `${format(values[1])} to ${format(values[2])}`, wide));

  const forest = (gain, low, high) => {
    const place = (value) => `${2 + 96 * (value - low) / (high - low || 1)}%`;
    const mark = (className, left, width) => { const made = element("i", { className }); made.style.left = left; if (width) made.style.width = width; return made; };
    const drawn = element("div", { className: "forest" }, mark("zero", place(0)), mark("bar", place(gain[1]), `${96 * (gain[2] - gain[1]) / (high - low || 1)}%`), mark("dot", place(gain[0])));
    drawn.setAttribute("aria-hidden", "true");
    return drawn;
  };

  let touched = false, selected = null;
  const body = document.querySelector("#table tbody");
  const shown = () => data.rows.filter((row) => state.kinds.has(row.kind) && state.words.every((word) => `${row.title} ${row.name} ${row.authors} ${row.description}`.toLowerCase().includes(word)));

  const markTies = (row) => {
    for (const line of body.rows) {
      const tied = row !== null && at(row).tied.includes(line.dataset.name);
      line.classList.toggle("tied", tied);
      line.classList.toggle("selected", row !== null && line.dataset.name === row.name && row.name === selected);
      line.querySelector(".approx").hidden = !tied;
    }
  };
  // What a finger has chosen stays until another row is.
  const chosen = () => data.rows.find((row) => row.name === selected) ?? null;
  const select = (name) => { selected = name; markTies(chosen()); };

  const line = (row, low, high) => {
    const unit = at(row), tick = element("input", { type: "checkbox", checked: state.ticked.has(row.name), ariaLabel: `colour ${row.title} in the picture` });
    tick.style.accentColor = state.ticked.get(row.name) ?? "";
    tick.addEventListener("change", () => {
      if (tick.checked) state.ticked.set(row.name, colours.find((colour) => ![...state.ticked.values()].includes(colour)) ?? colours[0]);
      else state.ticked.delete(row.name);
      tick.style.accentColor = state.ticked.get(row.name) ?? "";
      drawChart();
    });
    const link = element("a", { href: `entries/${row.name}.html`, textContent: row.title });
    link.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; });
    link.addEventListener("click", (event) => { if (touched && selected !== row.name) { event.preventDefault(); select(row.name); } });
    const name = element("th", { scope: "row" }, element("span", { className: "approx", textContent: "≈ ", title: "cannot be told apart from the row that is pointed at", hidden: true }), link);
    if (row.kind !== "router") name.append(" ", element("span", { className: "badge", textContent: row.kind }));
    if (row.rerun !== "done") name.append(" ", element("span", { className: "badge warn", textContent: "not re-run", title: "decisions replayed only: that they are the router's is its authors' word, so it has no rank" }));
    name.append(element("small", { textContent: row.authors }));
    const gain = element("td", {}, element("div", { className: "gain" }, element("span", {}, signed(unit.gain[0]), element("small", { textContent: `${signed(unit.gain[1])} to ${signed(unit.gain[2])}` })), forest(unit.gain, low, high)));
    const done = row.rerun === "done";
    const made = element("tr", {}, element("td", { className: "box" }, tick), element("td", { className: "num", textContent: rankText(unit.rank) }), name, gain,
      interval(row.accuracy, percent), interval(unit.cost, plain), interval(row.harm, percent, true), interval(unit.apgr, plain, true), interval(unit.cpt95, plain, true), cell(`${row.runs}`, "", true),
      element("td", { className: "wide", title: done ? "the board ran the router again" : "decisions replayed only" }, element("span", { className: done ? "yes" : "dim", textContent: done ? "✓" : "○", ariaLabel: done ? "yes" : "no" })));
    made.dataset.name = row.name;
    made.dataset.kind = row.kind;
    made.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") markTies(row); });
    made.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") markTies(chosen()); });
    made.addEventListener("pointerup", (event) => { if (event.pointerType === "touch" && !event.target.closest("a, input")) select(row.name); });
    made.addEventListener("focusin", () => { if (!touched) markTies(row); });
    made.addEventListener("focusout", () => { if (!touched) markTies(chosen()); });
    return made;
  };

  const drawTable = () => {
    const column = columns.find((candidate) => candidate.name === state.sort);
    const sign = state.down ? -1 : 1;
    // By default what was not run again stands below all that was, as in board.json: its gain is its authors' word.
    const unchecked = (row) => Number(state.sort === "gain" && row.rerun !== "done");
    const rows = shown().map((row) => [column.key(row), row]).sort(([a, p], [b, q]) => {
      if (unchecked(p) !== unchecked(q)) return unchecked(p) - unchecked(q);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || at(q).gain[0] - at(p).gain[0];
      return (a < b ? -sign : a > b ? sign : 0) || at(q).gain[0] - at(p).gain[0] || p.name.localeCompare(q.name);
    });
    const gains = data.rows.flatMap((row) => at(row).gain);
    body.replaceChildren(...rows.map(([, row]) => line(row, Math.min(0, ...gains), Math.max(0, ...gains))));
    document.getElementById("empty").hidden = rows.length > 0;
    markTies(chosen());
    for (const header of document.querySelectorAll("#table thead th[data-name]")) {
      if (header.dataset.name === state.sort) header.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
  };

  const facts = (row) => {
    const unit = at(row);
    return [["accuracy", `${percent(row.accuracy[0])} % (${percent(row.accuracy[1])} to ${percent(row.accuracy[2])})`], ["cost", `${plain(unit.cost[0])} (${plain(unit.cost[1])} to ${plain(unit.cost[2])})`], ["", raw(unit.raw_cost)],
      ["gain", `${signed(unit.gain[0])} points (${signed(unit.gain[1])} to ${signed(unit.gain[2])})`], ...(row.threshold === null ? (row.own_threshold ? [["threshold", "the author's own"]] : []) : [["threshold", row.threshold.toFixed(3)]]), ...(rankText(unit.rank) ? [["rank", rankText(unit.rank)]] : [["", row.kind === "router" ? "not re-run, no rank" : row.kind]])];
  };
  const chart = new Chart(document.getElementById("chart"), data, facts);
  chart.onselect = (row) => select(row.name);
  const drawChart = () => chart.draw({ unit: state.unit, column: data.units.findIndex((unit) => unit.name === state.unit), rows: shown(), ticked: state.ticked });

  const drawVerdict = () => {
    const seen = routers.filter((row) => row.rerun === "done"), better = seen.filter((row) => at(row).gain[1] > 1e-9);
    const { label: name } = data.units.find((unit) => unit.name === state.unit), label = name === "FLOPs" ? name : name.toLowerCase();
    const text = seen.length === 0 ? (routers.length ? "No router was run again for this build, so none has a rank." : "") : better.length === 0
      ? `In ${label}, no router here gains beyond doubt over mixing the constant models at random.`
      : `In ${label}, ${better.length} of ${seen.length} routers gain beyond doubt over mixing the constant models at random: ${better.map((row) => row.title).join(", ")}.`;
    document.getElementById("verdict").textContent = text;
  };
  const draw = () => { drawTable(); drawChart(); drawVerdict(); };

  const header = element("tr", {}, element("th", { className: "box" }, element("span", { className: "hidden", textContent: "in the picture" })));
  for (const column of columns) {
    const button = element("button", { type: "button", textContent: column.label, title: column.meaning });
    button.addEventListener("click", () => {
      state.down = state.sort === column.name ? !state.down : column.down;
      state.sort = column.name;
      drawTable();
    });
    const th = element("th", { scope: "col", className: `${["title", "gain", "check"].includes(column.name) ? "" : "num"}${column.wide ? " wide" : ""}` }, button);
    th.dataset.name = column.name;
    header.append(th);
  }
  document.querySelector("#table thead").append(header);
  for (const input of document.querySelectorAll("input[name=unit]")) input.addEventListener("change", () => { state.unit = input.value; draw(); });
  for (const input of document.querySelectorAll("input[name=kind]")) input.addEventListener("change", () => { state.kinds[input.checked ? "add" : "delete"](input.value); drawTable(); drawChart(); });
  document.getElementById("filter").addEventListener("input", (event) => { state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); drawTable(); drawChart(); });
  draw();
})();
