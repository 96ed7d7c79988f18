"use strict";
// Charts as SVG: curves over steps, a field with its contours, bars. Each returns a <figure>.

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis
const LEVELS = 12;

function drawn(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function short(number) {
  if (typeof number !== "number") return String(number);
  if (number === 0 || Number.isInteger(number) && Math.abs(number) < 1e7) return String(number);
  const size = Math.abs(number);
  return size >= 1e-3 && size < 1e6 ? String(Number(number.toPrecision(5))) : number.toExponential(3);
}

function figure(caption, width, height, label, children) {
  const image = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...children);
  const frame = document.createElement("figure");
  const text = document.createElement("figcaption");
  text.textContent = caption;
  frame.append(text, image);
  return frame;
}

function chartWidth() {
  return Math.max(260, Math.min(460, document.documentElement.clientWidth - 90));
}

function ticks(low, high, logarithmic) {
  if (logarithmic) {
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const every = Math.max(1, Math.ceil((last - first) / 5));
    const found = [];
    for (let power = first; power <= last; power += every) found.push(10 ** power);
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  }
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

/** Curves over their steps. series: [{label, steps, values}], a value null where it was not finite. */
function lineChart(title, series) {
  const [width, height, left, bottom, top, right] = [chartWidth(), 240, 58, 26, 8, 8];
  const values = series.flatMap((each) => each.values).filter((value) => value !== null);
  if (!values.length) return null;
  let [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const logarithmic = low > 0 && high / low > 20;
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const last = Math.max(...series.map((each) => each.steps.at(-1)));
  const scale = logarithmic ? Math.log10 : (value) => value;
  const x = (step) => left + ((step - 1) / Math.max(last - 1, 1)) * (width - left - right);
  const y = (value) => top + (1 - (scale(value) - scale(low)) / (scale(high) - scale(low))) * (height - top - bottom);
  const parts = [];
  let marks = ticks(low, high, logarithmic);
  if (marks.length < 2) marks = [low, high];
  for (const value of marks) {
    parts.push(drawn("path", { class: "grid", d: `M${left} ${y(value)}H${width - right}` }));
    parts.push(drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const step of [1, Math.round((1 + last) / 2), last]) {
    const anchor = step === 1 ? "start" : step === last ? "end" : "middle";
    parts.push(drawn("text", { x: x(step), y: height - 8, "text-anchor": anchor }, String(step)));
  }
  series.forEach((each, number) => {
    let path = "";
    each.values.forEach((value, place) => {
      if (value === null) return;
      const joined = place > 0 && each.values[place - 1] !== null;
      path += `${joined ? "L" : "M"}${x(each.steps[place]).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    parts.push(drawn("path", { class: `curve series-${number % 6}`, d: path }));
  });
  const words = series.map((each) => `${each.label}: from ${short(each.values[0])} to ${short(each.values.at(-1))}`);
  const frame = figure(`${title}${logarithmic ? ", logarithmic" : ""}`, width, height, `${title} over ${last} steps. ${words.join("; ")}`, parts);
  if (series.length > 1) frame.append(keys(series.map((each) => each.label)));
  return frame;
}

function keys(labels) {
  const list = document.createElement("ul");
  list.className = "keys";
  labels.forEach((label, number) => {
    const item = document.createElement("li");
    item.className = `series-${number % 6}`;
    item.textContent = label;
    list.append(item);
  });
  return list;
}

function colour(share) {
  const place = share * (COLOURS.length - 1);
  const [from, to] = [COLOURS[Math.floor(place)], COLOURS[Math.ceil(place)]];
  return `rgb(${from.map((part, number) => Math.round(part + (to[number] - part) * (place % 1))).join(" ")})`;
}

/** A field in bands of colour, rows downwards; drawn finer, and with contours, where it is smooth. */
function fieldChart(title, field) {
  const { low, high } = field;
  const range = high - low || 1;
  let rows = field.rows.map((row) => row.map((level) => (level === null ? null : low + (level / 999) * range)));
  const values = rows.flat().filter((value) => value !== null);
  if (!values.length) return null;
  const steps = rows.flatMap((row) => row.slice(1).map((value, j) => Math.abs(value - row[j])));
  const smooth = values.length === rows.length * rows[0].length && steps.reduce((a, b) => a + b, 0) / steps.length < 0.08 * range;
  if (smooth) rows = finer(rows);
  const [tall, wide] = [rows.length, rows[0].length];
  const width = chartWidth();
  const height = Math.max(120, Math.min(300, (width * field.shape[0]) / field.shape[1]));
  const [dx, dy] = [width / wide, height / tall];
  const bands = Array.from({ length: LEVELS }, () => "");
  const band = (value) => Math.min(LEVELS - 1, Math.floor(((value - low) / range) * LEVELS));
  rows.forEach((row, i) => {
    for (let start = 0, end; start < wide; start = end) {
      for (end = start + 1; end < wide && row[end] !== null && row[start] !== null && band(row[end]) === band(row[start]); ) end++;
      if (row[start] !== null) bands[band(row[start])] += `M${(start * dx).toFixed(1)} ${(i * dy).toFixed(1)}h${((end - start) * dx + 0.4).toFixed(1)}v${(dy + 0.4).toFixed(1)}h${(-(end - start) * dx - 0.4).toFixed(1)}z`;
    }
  });
  const parts = bands.map((path, level) => drawn("path", { d: path, fill: colour(level / (LEVELS - 1)) })).filter((each) => each.getAttribute("d"));
  if (smooth) {
    const lines = Array.from({ length: LEVELS / 2 - 1 }, (_, number) => low + (range * 2 * (number + 1)) / LEVELS);
    parts.push(drawn("path", { class: "contour", d: lines.map((level) => contour(rows, level, dx, dy)).join("") }));
  }
  const strip = height + 10;
  for (let level = 0; level < LEVELS; level++) {
    parts.push(drawn("rect", { x: (level * width) / LEVELS, y: strip, width: width / LEVELS + 0.3, height: 8, fill: colour(level / (LEVELS - 1)) }));
  }
  parts.push(drawn("text", { x: 0, y: strip + 22 }, short(low)), drawn("text", { x: width, y: strip + 22, "text-anchor": "end" }, short(high)));
  const label = `${title}, ${field.shape.join(" × ")}, from ${short(low)} to ${short(high)}`;
  return figure(`${title}, ${field.shape.join(" × ")}`, width, strip + 26, label, parts);
}

/** The rows with two more values between each pair, in both directions. */
function finer(rows) {
  const between = (list, mix) => list.flatMap((one, number) => (number + 1 < list.length ? [one, mix(one, list[number + 1], 1 / 3), mix(one, list[number + 1], 2 / 3)] : [one]));
  const numbers = (a, b, share) => a + (b - a) * share;
  return between(rows.map((row) => between(row, numbers)), (a, b, share) => a.map((value, j) => numbers(value, b[j], share)));
}

/** Marching squares: where the field passes `level`, as segments between the middles of its cells. */
function contour(rows, level, dx, dy) {
  let path = "";
  for (let i = 0; i + 1 < rows.length; i++) {
    for (let j = 0; j + 1 < rows[0].length; j++) {
      const corners = [[i, j], [i, j + 1], [i + 1, j + 1], [i + 1, j]];
      const crossings = [];
      corners.forEach(([a, b], number) => {
        const [c, d] = corners[(number + 1) % 4];
        const [from, to] = [rows[a][b], rows[c][d]];
        if (from === null || to === null || from < level === to < level) return;
        const share = (level - from) / (to - from);
        crossings.push(`${((b + (d - b) * share + 0.5) * dx).toFixed(1)} ${((a + (c - a) * share + 0.5) * dy).toFixed(1)}`);
      });
      for (let k = 0; k + 1 < crossings.length; k += 2) path += `M${crossings[k]}L${crossings[k + 1]}`;
    }
  }
  return path;
}

/** Bars of one unit. bars: [{label, value}] */
function barChart(title, unit, bars) {
  const width = chartWidth();
  const row = 38;
  const most = Math.max(...bars.map((bar) => bar.value)) || 1;
  const parts = bars.flatMap((bar, number) => [
    drawn("text", { x: 0, y: number * row + 12 }, bar.label),
    drawn("text", { class: "value", x: width, y: number * row + 12, "text-anchor": "end" }, `${short(bar.value)} ${unit}`),
    drawn("rect", { class: `bar series-${bars.length > 1 && bar.coloured ? number % 6 : 0}`, x: 0, y: number * row + 18, width: Math.max(1, (bar.value / most) * width), height: 9, rx: 3 }),
  ]);
  const label = `${title}: ${bars.map((bar) => `${bar.label} ${short(bar.value)} ${unit}`).join(", ")}`;
  return figure(title, width, bars.length * row, label, parts);
}
