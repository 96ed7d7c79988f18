// The page: it filters the matrix, and opens a run when a person looks at it.

const index = JSON.parse(document.getElementById("index").textContent);
const states = new Set();

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Opening a run

const opened = new Map();

/** The data of a run: its block, decompressed. The last few are kept. */
async function open(id) {
  if (!opened.has(id)) {
    const bytes = Uint8Array.from(atob(document.getElementById(`run-${id}`).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    opened.set(id, JSON.parse(await new Response(stream).text()));
    if (opened.size > 20) opened.delete(opened.keys().next().value);
  }
  return opened.get(id);
}

function runsOf(part, kind, paddle) {
  const fits = (run) => (!kind || run.kind === kind) && (!paddle || run.paddle === paddle);
  return index.runs.filter((run) => run.part === part && fits(run));
}

function when(moment) {
  return moment.slice(0, 19).replace("T", " ") + " UTC";
}

async function showCell(cell) {
  const place = cell.querySelector(".run");
  if (place.childElementCount) return;
  const runs = runsOf(cell.dataset.part, cell.dataset.kind, cell.dataset.paddle);
  const shown = runs.find((run) => run.verdict === "passed") || runs[0];
  const panel = made("div");
  if (runs.length > 1) {
    const select = made("select", {}, ...runs.map((run) => {
      const option = made("option", { value: run.id }, `${when(run.started)}  ${marks[run.verdict]} ${run.verdict}  ${run.model}`);
      option.selected = run === shown;
      return option;
    }));
    select.addEventListener("change", () => showRun(panel, select.value));
    place.append(made("label", { class: "choose" }, "Run", select));
  }
  place.append(panel);
  await showRun(panel, shown.id);
}

async function showRun(panel, id) {
  panel.dataset.run = id;
  const { record, ...more } = await open(id);
  if (panel.dataset.run !== id) return; // another was chosen meanwhile
  panel.replaceChildren(
    verdict(record),
    heading("Checks and metrics"), checks(record),
    ...plots(record, more),
    ...picture(more),
    ...(more.log === undefined ? [heading("Log"), leftOut(record)] : log(more.log, id)),
    heading("Environment"), environment(record),
    heading("Provenance"), provenance(record), files(record),
  );
}

function heading(text) {
  return made("h4", {}, text);
}

function leftOut(record) {
  const place = `results/${record.cell.part}/${record.cell.hardware}/${record.id}`;
  return made("p", { class: "quiet" }, `Log and pictures of this older run are not in the page, to keep it small. They stand in ${place}.`);
}

const marks = { passed: "✓", "not judged": "△", failed: "✗" };

/** Of a record or a check; those from before there were three verdicts say only whether it passed. */
function verdictOf(judged) {
  return judged.verdict ?? (judged.passed ? "passed" : "failed");
}

function verdict(record) {
  const state = verdictOf(record);
  const seconds = record.times.seconds === null ? "" : ` in ${short(record.times.seconds)} s`;
  return made("p", { class: "verdict" },
    made("strong", { class: `state ${state.replace(" ", "-")}` }, `${marks[state]} ${state}`),
    `${seconds}, ${when(record.times.started)}, on ${record.hardware.model}; run `, made("code", {}, record.id));
}

// The parts of a run

function table(label, head, rows) {
  const cells = (row) => row.map((cell, number) => (number === 0 ? made("th", { scope: "row" }, cell) : cell instanceof HTMLTableCellElement ? cell : made("td", {}, cell)));
  return made("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, // the keyboard scrolls it
    made("table", {},
      made("thead", {}, made("tr", {}, ...head.map((text) => made("th", { scope: "col" }, text)))),
      made("tbody", {}, ...rows.map((row) => made("tr", {}, ...cells(row))))));
}

function metricOf(record, name) {
  return index.metrics[record.cell.part]?.[name] || { unit: "", help: "", timed: false };
}

function checks(record) {
  const rows = record.checks.map((check) => {
    const { unit, help } = metricOf(record, check.name);
    const found = check.found === null ? "–" : `${short(check.found)}${unit && unit !== "1" ? ` ${unit}` : ""}`;
    const name = made("td", {}, help || check.name.replaceAll("_", " "), made("small", {}, check.name));
    const asked = made("td", {}, check.asked, check.why ? made("small", {}, check.why) : null);
    const state = verdictOf(check);
    return [made("span", { class: `state ${state.replace(" ", "-")}` }, marks[state], made("span", { class: "word" }, ` ${state}`)), name, made("td", { class: "found" }, found), asked];
  });
  return table(`Checks of run ${record.id}`, ["Verdict", "What", "Found", "Asked"], rows);
}

function plots(record, { curves = {}, fields = {}, pictures = [] }) {
  const timed = Object.entries(record.metrics).filter(([name, value]) => metricOf(record, name).timed && typeof value === "number");
  const units = [...new Set(timed.map(([name]) => metricOf(record, name).unit))];
  const charts = [
    ...Object.entries(curves).map(([name, curve]) => lineChart(name, [{ label: name, ...curve }])),
    ...Object.entries(fields).map(([name, field]) => fieldChart(name, field)),
    ...units.map((unit) => speeds(unit, timed.filter(([name]) => metricOf(record, name).unit === unit))),
    ...pictures.filter(({ name }) => name !== "screen.png").map(image),
  ].filter(Boolean);
  return charts.length ? [heading("Plots"), made("div", { class: "plots" }, ...charts)] : [];
}

/** Times of one unit beside each other; one alone says no more than the table. */
function speeds(unit, timed) {
  return timed.length > 1 ? barChart(`times and speeds, ${unit}`, unit, timed.map(([label, value]) => ({ label, value }))) : null;
}

function picture({ pictures = [] }) {
  const screen = pictures.find(({ name }) => name === "screen.png");
  return screen ? [heading("Picture of the log"), made("div", { class: "plots" }, image(screen))] : [];
}

function image({ name, source }) {
  const frame = made("figure", {}, made("figcaption", {}, name));
  const button = made("button", { type: "button", "aria-label": `${name}, larger or smaller` }, made("img", { src: source, alt: name, loading: "lazy" }));
  button.addEventListener("click", () => frame.classList.toggle("wide"));
  frame.append(button);
  return frame;
}

function log(text, id) {
  const input = made("input", { type: "search", "aria-label": "Search in the log", placeholder: "search, Enter for the next" });
  const count = made("output", { "aria-live": "polite" });
  const lines = made("pre", { tabindex: "0", role: "region", "aria-label": `Log of run ${id}` }, text);
  let here = -1;
  const move = () => {
    const marks = lines.querySelectorAll("mark");
    marks.forEach((mark, number) => mark.classList.toggle("here", number === here));
    marks[here]?.scrollIntoView({ block: "nearest" });
    count.textContent = !input.value ? "" : marks.length ? `${here + 1} of ${marks.length}` : "not found";
  };
  input.addEventListener("input", () => {
    lines.replaceChildren(...marked(text, input.value));
    here = 0;
    move();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const marks = lines.querySelectorAll("mark").length;
    here = marks ? (here + (event.shiftKey ? marks - 1 : 1)) % marks : -1;
    move();
  });
  return [heading("Log"), made("div", { class: "find" }, input, count), lines];
}

/** The text with every place of `words` in a <mark>. */
function marked(text, words) {
  if (!words) return [text];
  const [hay, needle] = [text.toLowerCase(), words.toLowerCase()];
  const pieces = [];
  let from = 0;
  for (let at = hay.indexOf(needle); at >= 0 && pieces.length < 4000; at = hay.indexOf(needle, from)) {
    pieces.push(text.slice(from, at), made("mark", {}, text.slice(at, at + words.length)));
    from = at + words.length;
  }
  return [...pieces, text.slice(from)];
}

function list(entries) {
  return made("dl", {}, ...entries.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [made("dt", {}, name), made("dd", { class: "mono" }, String(value))]));
}

function environment(record) {
  const { hardware, stack, paddle, engine } = record;
  return list([
    ["hardware", `${hardware.model}${hardware.architecture ? `, ${hardware.architecture}` : ""}`],
    ["cards", record.cards], ["driver", hardware.driver],
    ["computed on", Object.keys(record.device.places || {}).join(", ")],
    ["system", `${hardware.system}, ${hardware.machine}, kernel ${hardware.kernel}`],
    ["engine", engine && [engine.name, engine.version].filter(Boolean).join(", ")],
    ["Paddle", paddle && `${paddle.package} ${paddle.version}`], ["Python", stack && stack.python],
    ["parameters", Object.entries(record.parameters).map(([name, value]) => `${name}=${value}`).join("  ")],
    ["seed", record.seed],
    ...(record.device.libraries || []).map(({ name, of, version, kernel, threads }) =>
      [`${name} of ${of}`, `${version || "unknown version"}, kernel ${kernel || "unknown"}${threads ? `, ${threads} threads` : ""}`]),
    ...Object.entries(record.environment || {}).map(([name, value]) =>
      [name, (record.environment_of_caller || []).includes(name) ? `${value} (set by the caller)` : value]),
  ]);
}

function provenance(record) {
  const { program, stack, paddle, engine } = record;
  const clean = { true: ", clean tree", false: ", with uncommitted changes", null: "" }[String(program.clean)];
  return list([
    ["program", program.file], ["revision", program.revision && program.revision + clean],
    ["command", (record.command || []).join(" ")],
    ["image", engine && engine.image], ["bill of materials", engine && engine.sbom],
    ["lock", stack && `${stack.name}, sha256 ${stack.lock_sha256}`],
    ["wheel", paddle && paddle.wheel], ["wheel sha256", paddle && paddle.wheel_sha256],
    ["seal", record.seal],
  ]);
}

function files(record) {
  const rows = Object.entries(record.artefacts).map(([name, file]) => [name, made("td", { class: "number" }, String(file.bytes)), made("td", { class: "mono" }, file.sha256)]);
  return made("details", {}, made("summary", {}, `${rows.length} files, each with its hash`), table(`Files of run ${record.id}`, ["File", "Bytes", "sha256"], rows));
}

// Across hardware

/** The latest passing run of each kind; those with the first one's parameters before others. */
function chosen(part) {
  const passed = runsOf(part).filter((run) => run.verdict === "passed");
  const kinds = Object.keys(index.kinds).filter((kind) => passed.some((run) => run.kind === kind));
  let like = null;
  return kinds.map((kind) => {
    const own = passed.filter((run) => run.kind === kind);
    const run = own.find((each) => like === null || each.like === like) || own[0];
    like = like ?? run.like;
    return { ...run, alike: run.like === like };
  });
}

async function showAcross(details) {
  const place = details.querySelector(".run");
  if (place.childElementCount) return;
  const runs = chosen(details.dataset.part);
  const found = await Promise.all(runs.map((run) => open(run.id)));
  const labels = runs.map((run) => `${run.kind} (${run.model})`);
  const first = found[0].record;
  const names = [...new Set(found.flatMap(({ record }) => Object.keys(record.metrics)))];
  const rows = names.map((name) => [name, ...found.map(({ record }) => against(name, record, first))]);
  const curves = [...new Set(found.flatMap((each) => Object.keys(each.curves || {})))].map((name) =>
    lineChart(name, found.flatMap((each, number) => (each.curves?.[name] ? [{ label: labels[number], ...each.curves[name] }] : []))));
  const bars = names.filter((name) => metricOf(first, name).timed).map((name) =>
    barChart(name, metricOf(first, name).unit, found.flatMap(({ record }, number) => (typeof record.metrics[name] === "number" ? [{ label: labels[number], value: record.metrics[name], coloured: true }] : []))));
  const charts = [...curves, ...bars].filter(Boolean);
  const others = labels.filter((_, number) => !runs[number].alike);
  const nodes = [
    others.length ? made("p", { class: "note" }, `With other parameters or another seed than ${labels[0]}: ${others.join(", ")}.`) : null,
    heading("Metrics"), table(`Metrics of part ${details.dataset.part} across hardware`, ["Metric", ...labels], rows),
    ...(charts.length ? [heading("Plots"), made("div", { class: "plots" }, ...charts)] : []),
  ];
  place.replaceChildren(...nodes.filter(Boolean));
}

/** A metric of a run, and how far it is from the first one's. */
function against(name, record, first) {
  const [value, base] = [record.metrics[name], first.metrics[name]];
  const { unit, timed } = metricOf(first, name);
  const cell = made("td", { class: "found" }, value === undefined ? "–" : `${short(value)}${unit && unit !== "1" ? ` ${unit}` : ""}`);
  if (record !== first && typeof value === "number" && typeof base === "number" && base !== 0 && value !== 0) {
    const text = timed ? `× ${short(Number((value / base).toPrecision(3)))}` : `${Math.abs(value / base - 1).toExponential(1)} off`;
    cell.append(made("small", {}, value === base ? "equal" : text));
  }
  return cell;
}

// Filter, theme, addresses

function filter() {
  const words = document.getElementById("words").value.toLowerCase().trim();
  let rows = 0;
  const fits = (cell) => !states.size || states.has(cell.dataset.state);
  for (const row of document.querySelectorAll(".matrix tbody tr")) {
    const cells = [...row.querySelectorAll("td.cell")];
    const named = row.dataset.words.toLowerCase().includes(words);
    row.hidden = !cells.some((cell) => fits(cell) && (named || cell.dataset.kind.includes(words)));
    rows += !row.hidden;
  }
  let parts = 0;
  for (const part of document.querySelectorAll(".part")) {
    const named = part.dataset.words.toLowerCase().includes(words);
    const cells = [...part.querySelectorAll("details.cell")];
    for (const cell of cells) cell.hidden = !(fits(cell) && (named || cell.dataset.kind.includes(words)));
    part.hidden = cells.every((cell) => cell.hidden);
    parts += !part.hidden;
  }
  document.getElementById("found").textContent = words || states.size ? `${rows} tasks, ${parts} with runs` : "";
  document.getElementById("nothing").hidden = rows > 0;
}

function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView();
  }
}

document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("words").addEventListener("input", filter);
for (const box of document.querySelectorAll("#filter [name=state]")) {
  box.addEventListener("change", () => {
    states[box.checked ? "add" : "delete"](box.value);
    filter();
  });
}
for (const details of document.querySelectorAll("details.cell, details.across")) {
  const show = details.classList.contains("cell") ? showCell : showAcross;
  details.addEventListener("toggle", () => details.open && show(details));
}
const themes = ["auto", "light", "dark"];
document.getElementById("theme").addEventListener("click", (event) => {
  const root = document.documentElement;
  root.dataset.theme = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
  event.currentTarget.textContent = `Theme: ${root.dataset.theme}`;
});
window.addEventListener("hashchange", follow);
follow();
