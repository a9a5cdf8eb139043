// The trace viewer: one problem's routing tree, the path of a router through it, and what every router did.
"use strict";

// Chunks of data call traces.trees and traces.paths: script elements load from a file path, where fetch does not.
const traces = (() => {
  const index = JSON.parse(document.getElementById("index").textContent);
  const root = document.currentScript.dataset.root;
  const loaded = { trees: new Map(), paths: new Map() };
  const waiting = new Map();
  const state = { problem: 0, router: index.routers[0].name, which: "all" };
  const byId = (id) => document.getElementById(id);
  const colour = (model) => `var(--m${model % 7})`;

  const arrive = (kind) => (number, chunk) => { loaded[kind].set(number, chunk); waiting.get(`${kind}${number}`)?.(); };
  const load = (kind, number) => loaded[kind].has(number) ? Promise.resolve() : new Promise((resolve, reject) => {
    waiting.set(`${kind}${number}`, resolve);
    const script = document.createElement("script");
    script.src = kind === "trees" ? `${root}${index.trees}/${number}.js` : `paths/${number}.js`;
    script.onerror = () => reject(new Error(`${script.src} cannot be read`));
    document.head.append(script);
  });

  const svg = (name, attributes = {}, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const html = (name, properties = {}, ...children) => { const made = Object.assign(document.createElement(name), properties); made.append(...children); return made; };

  // Prefixes are shared in the bank; the picture unrolls them, one row a leaf. A larger model that begins afresh writes
  // the same wherever it begins: besides the start, that is drawn where the path has it only.
  const unroll = (tree, path) => {
    const nodes = [];
    let leaves = 0;
    const visit = (node, depth, decisions) => {
      const place = { node, depth, decisions, children: [] };
      nodes.push(place);
      tree.child[node].forEach((child, model) => { const again = tree.restart && node > 0 && model !== tree.model[node]; if (child >= 0 && !(again && !path.startsWith(decisions + model.toString(36)))) place.children.push(visit(child, depth + 1, decisions + model.toString(36))); });
      place.row = place.children.length ? (place.children[0].row + place.children.at(-1).row) / 2 : leaves++;
      return place;
    };
    visit(0, 0, "");
    return { nodes, leaves, depth: Math.max(...nodes.map((place) => place.depth)) };
  };

  const outcome = (tree, node) => (tree.right[node] ? "✓" : "✗");
  // A bank of numbers alone has neither texts nor answers, only whether they were right.
  const answer = (tree, node) => tree.end[node] || (tree.right[node] || !tree.text[node] ? "" : "no answer");

  // The answer of a task whose answers are programs is a digest; its first places tell one program from another.
  const PROGRAM = /^program ([0-9a-f]{4})[0-9a-f]{12}$/;
  const isCode = (tree) => tree.end.some((end) => PROGRAM.test(end));
  const brief = (tree, node) => answer(tree, node).replace(PROGRAM, "program $1");

  const called = (tree) => (tree.told ? "turn" : "step");
  // What a step says: its own text, or what the environment answered to it.
  const said = (tree, node) => tree.text[node] || tree.told?.[node] || "no text recorded";

  const drawLegend = (tree) => {
    const sizes = tree.sure.some((sure) => sure !== null);
    const notes = [...(sizes ? ["size of a node: probability of its least likely token"] : []), "thick: the router's path", ...(tree.restart ? ["where the colour changes, a larger model begins the task afresh"] : [])];
    byId("notes").replaceChildren(...notes.map((note) => html("span", { textContent: note })));
  };

  const drawTree = (tree, decisions) => {
    const { nodes, leaves, depth } = unroll(tree, decisions);
    const wide = Math.max(byId("tree").clientWidth < 520 ? 44 : 72, Math.min(210, (byId("tree").clientWidth - 150) / depth)), tall = 21, width = 30 + depth * wide + 120, height = leaves * tall + 16;
    const x = (place) => 14 + place.depth * wide, y = (place) => 14 + place.row * tall;
    const on = (place) => decisions.startsWith(place.decisions);
    const picture = svg("svg", { width, height, role: "group", "aria-label": `routing tree with ${leaves} ends` });
    const edges = [];
    for (const place of nodes) for (const child of place.children) {
      const mid = (x(place) + x(child)) / 2;
      edges.push([on(child), svg("path", { class: `edge${on(child) ? " on" : ""}`, d: `M${x(place)} ${y(place)}C${mid} ${y(place)} ${mid} ${y(child)} ${x(child)} ${y(child)}`, ...(on(child) ? { style: `stroke:${colour(tree.model[child.node])}` } : {}) })]);
    }
    picture.append(...edges.sort(([a], [b]) => a - b).map(([, edge]) => edge));
    for (const place of nodes) {
      const { node } = place, model = tree.model[node], end = tree.end[node] !== null, sure = tree.sure[node];
      const who = model < 0 ? "start" : `${called(tree)} ${place.depth} by ${index.models[model]}`;
      const group = svg("g", { class: `node${on(place) ? "" : " off"}`, tabindex: "-1", role: "button", "aria-label": `${who}${end ? `, ends ${tree.right[node] ? "right" : "wrong"}` : ""}` },
        svg("title", {}, model < 0 ? "start" : `${who}\n${said(tree, node)}`),
        svg("circle", { cx: x(place), cy: y(place), r: model < 0 ? 5 : 4 + 4 * (sure ?? 0.5), style: `fill:${model < 0 ? "var(--dim)" : colour(model)}` }));
      if (end) group.append(svg("text", { class: `leaf ${tree.right[node] ? "yes" : "no"}`, x: x(place) + 14, y: y(place) + 4 }, outcome(tree, node)), svg("text", { class: "answer", x: x(place) + 30, y: y(place) + 4 }, brief(tree, node).slice(0, 12)));
      group.dataset.decisions = place.decisions;
      const show = () => { drawSteps(tree, place.decisions, `Path ${place.decisions || "(start)"}`); for (const other of picture.querySelectorAll(".seen")) other.classList.remove("seen"); group.classList.add("seen"); };
      group.addEventListener("click", show);
      group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(); } });
      group.addEventListener("focus", () => { for (const other of picture.querySelectorAll('.node[tabindex="0"]')) other.setAttribute("tabindex", "-1"); group.setAttribute("tabindex", "0"); });
      place.group = group;
      picture.append(group);
    }
    // One stop of the Tab key for the whole tree; inside it the arrows go to parent, first child and siblings.
    nodes[0].group.setAttribute("tabindex", "0");
    const parents = new Map(nodes.flatMap((place) => place.children.map((child) => [child, place])));
    picture.addEventListener("keydown", (event) => {
      const place = nodes.find((candidate) => candidate.group === document.activeElement);
      if (!place) return;
      const column = nodes.filter((candidate) => candidate.depth === place.depth).sort((a, b) => a.row - b.row), at = column.indexOf(place);
      const next = { ArrowLeft: parents.get(place), ArrowRight: place.children[0], ArrowUp: column[at - 1], ArrowDown: column[at + 1], Home: nodes[0] }[event.key];
      if (!next) return;
      event.preventDefault();
      next.group.focus();
    });
    byId("tree").replaceChildren(picture);
  };

  const drawSteps = (tree, decisions, title) => {
    byId("pathtitle").textContent = title;
    const items = [];
    let node = 0, turn = 0;
    for (const digit of decisions) {
      const before = tree.model[node];
      node = tree.child[node][parseInt(digit, 36)];
      const model = tree.model[node], sure = tree.sure[node], afresh = tree.restart && before >= 0 && model !== before;
      turn = afresh ? 1 : turn + 1;
      const facts = html("small", {}, html("b", { textContent: index.models[model] }), html("span", { textContent: `${tree.tokens[node]} tokens` }));
      facts.querySelector("b").style.color = colour(model);
      if (sure !== null) facts.append(html("span", {}, "least likely token ", html("meter", { min: 0, max: 1, value: sure, title: `${sure}` }), ` ${(100 * sure).toFixed(0)} %`));
      if (tree.entropy[node] !== null) facts.append(html("span", { textContent: `mean entropy ${tree.entropy[node].toFixed(2)}` }));
      if (afresh) facts.append(html("span", { textContent: "begins the task afresh" }));
      const item = html("li", {}, html("p", { textContent: tree.told ? `Turn ${turn}: ${said(tree, node)}` : tree.text[node] || "(no text recorded)" }), facts);
      item.style.borderColor = colour(model);
      if (tree.end[node] !== null) item.append(html("p", {}, html("b", { className: tree.right[node] ? "yes" : "no", textContent: `${outcome(tree, node)} ${brief(tree, node)}` }), tree.right[node] || !answer(tree, node) || isCode(tree) ? "" : ` (right: ${tree.answer})`));
      items.push(item);
    }
    byId("steps").classList.toggle("code", isCode(tree));
    byId("steps").replaceChildren(...items);
  };

  const digits = (decisions) => html("span", { className: "digits" }, ...[...decisions].map((digit) => { const made = html("span", { textContent: digit }); made.style.color = colour(parseInt(digit, 36)); return made; }));

  const drawPaths = (tree, paths, place) => {
    const rows = index.routers.map(({ name, title }) => {
      const [decisions, cost, right] = paths[name][place];
      let node = 0;
      for (const digit of decisions) node = tree.child[node][parseInt(digit, 36)];
      const choose = html("button", { type: "button", textContent: title });
      choose.addEventListener("click", async () => {
        await select({ router: name });
        byId("paths").querySelector("[aria-current] button")?.focus(); // the table was drawn anew under the focus
      });
      const row = html("tr", {}, html("th", { scope: "row" }, choose), html("td", {}, digits(decisions)), html("td", { className: "num", textContent: cost.toFixed(2) }), html("td", { className: right ? "yes" : "no", textContent: `${right ? "✓" : "✗"} ${brief(tree, node)}` }));
      if (name === state.router) row.setAttribute("aria-current", "true");
      return row;
    });
    byId("paths").tBodies[0].replaceChildren(...rows);
  };

  const matches = () => {
    const own = index.right[state.router], largest = index.right["always-largest"] ?? own;
    const wanted = { all: () => true, right: (i) => own[i] === "1", wrong: (i) => own[i] === "0", only: (i) => own[i] === "1" && largest[i] === "0", harm: (i) => own[i] === "0" && largest[i] === "1" }[state.which];
    return index.problems.map((_, i) => i).filter(wanted);
  };

  const drawPicker = (found) => {
    byId("problem").replaceChildren(...found.map((i) => html("option", { value: i, textContent: index.problems[i], selected: i === state.problem })));
    byId("router").value = state.router;
    byId("which").value = state.which;
    byId("previous").disabled = byId("next").disabled = found.length < 2;
  };

  const draw = async () => {
    const found = matches();
    if (found.length && !found.includes(state.problem)) state.problem = found[0];
    drawPicker(found);
    if (!found.length) { byId("status").textContent = "No problem is like that."; for (const id of ["tree", "steps"]) byId(id).replaceChildren(); byId("paths").tBodies[0].replaceChildren(); return; }
    const { problem, router } = state, number = Math.floor(problem / index.chunk), place = problem % index.chunk;
    try { await Promise.all([load("trees", number), load("paths", number)]); } catch (error) { byId("status").textContent = error.message; return; }
    if (problem !== state.problem || router !== state.router) return; // something else was picked meanwhile
    const tree = loaded.trees.get(number)[place], paths = loaded.paths.get(number), [decisions, cost, right] = paths[router][place];
    const title = index.routers.find(({ name }) => name === router).title;
    byId("status").textContent = `${found.indexOf(problem) + 1} of ${found.length}: ${tree.id}; ${title} is ${right ? "right" : "wrong"} at ${cost.toFixed(2)} times the mean cost of always-largest`;
    drawLegend(tree);
    drawTree(tree, decisions);
    drawSteps(tree, decisions, `Path of ${title}`);
    drawPaths(tree, paths, place);
    history.replaceState(null, "", `#problem=${tree.id}&router=${router}`);
  };

  const select = (change) => { Object.assign(state, change); return draw(); };
  const move = (by) => { const found = matches(); select({ problem: found[(found.indexOf(state.problem) + by + found.length) % found.length] }); };

  // What the address asks for; a link into the page that is open changes nothing but the hash.
  const follow = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (index.routers.some(({ name }) => name === asked.get("router"))) state.router = asked.get("router");
    if (index.problems.includes(asked.get("problem"))) state.problem = index.problems.indexOf(asked.get("problem"));
  };

  const start = () => {
    for (const { name, title } of index.routers) byId("router").append(html("option", { value: name, textContent: title }));
    for (const [model, name] of index.models.entries()) { const chip = html("i"); chip.style.background = colour(model); byId("legend").append(html("span", {}, chip, `${model}: ${name}`)); }
    follow();
    addEventListener("hashchange", () => { follow(); draw(); });
    byId("problem").addEventListener("change", (event) => select({ problem: Number(event.target.value) }));
    byId("router").addEventListener("change", (event) => select({ router: event.target.value }));
    byId("which").addEventListener("change", (event) => select({ which: event.target.value }));
    byId("previous").addEventListener("click", () => move(-1));
    byId("next").addEventListener("click", () => move(1));
    draw();
  };
  addEventListener("DOMContentLoaded", start);
  return { trees: arrive("trees"), paths: arrive("paths") };
})();
