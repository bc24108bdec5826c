// Charts over time, as inline SVG: lines for what was measured, columns for what adds up.
// A chart is a figure with a name, a cursor that pointer and arrow keys move, and a table for who cannot see it.

import { h, hidden, replace, svg } from "./dom.js";
import { day, hour, moment } from "./format.js";

const HEIGHT = 176;
const EDGE = { top: 10, right: 8, bottom: 22, left: 54 };
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const SPACINGS = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 7200, 10_080].map((minutes) => minutes * MINUTE);

/**
 * `starts` are the beginnings of the steps in time, `series` are {name, values, tone}, with null for what is not known.
 * `format` makes a value readable; `isStacked` draws columns on top of each other.
 */
export function chart({ title, starts, series, format, isStacked = false, unit, empty }) {
  const hasData = series.some(({ values }) => values.some((value) => value !== null && value !== 0));
  const heading = h("figcaption", null, h("h3", null, title, h("span", { class: "unit" }, unit)), legend(series));
  if (!hasData) return h("figure", { class: "chart card" }, heading, h("p", { class: "empty" }, empty));
  const canvas = svg("svg", { height: HEIGHT, "aria-hidden": "true" });
  const tip = h("div", { class: "tip", "aria-live": "polite", hidden: true });
  const plot = h(
    "div",
    { class: "plot", tabindex: 0, role: "group", "aria-label": `${title}: chart. Left and right arrows read its values.` },
    canvas,
    tip,
  );
  const view = { starts, series, format, isStacked, canvas, tip, plot, at: null, width: 0 };
  follow(view);
  new ResizeObserver(() => draw(view)).observe(plot);
  return h("figure", { class: "chart card" }, heading, plot, dataTable(title, view));
}

function legend(series) {
  if (series.length === 1) return null;
  const entries = series.map(({ name, tone }) => h("li", null, h("span", { class: `swatch ${tone}` }), name));
  return h("ul", { class: "legend" }, ...entries);
}

function dataTable(title, { starts, series, format }) {
  const head = h("tr", null, h("th", { scope: "col" }, "From"), series.map(({ name }) => h("th", { scope: "col" }, name)));
  const rows = starts.map((start, at) =>
    h("tr", null, h("th", { scope: "row" }, moment(start)), series.map(({ values }) => h("td", null, format(values[at])))),
  );
  const table = h("table", null, h("caption", null, title), h("thead", null, head), h("tbody", null, ...rows));
  return h("div", { class: "hidden" }, table);
}

// ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────

function draw(view) {
  const width = Math.floor(view.plot.clientWidth);
  if (width < 80 || width === view.width) return;
  view.width = width;
  view.canvas.setAttribute("width", width);
  view.canvas.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const ticks = heightTicks(highest(view));
  const top = ticks[ticks.length - 1];
  view.y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  view.step = (width - EDGE.left - EDGE.right) / view.starts.length;
  view.x = (at) => EDGE.left + (at + 0.5) * view.step;
  view.cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
  const drawn = view.isStacked ? columns(view) : view.series.map((each) => line(view, each));
  replace(view.canvas, grid(view, ticks), timeLabels(view), drawn, view.cursor);
}

function highest({ series, starts, isStacked }) {
  const sums = starts.map((_, at) => {
    const values = series.map(({ values }) => values[at] ?? 0);
    return isStacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
  });
  return Math.max(...sums);
}

/** Round numbers from 0 to at least `most`. */
function heightTicks(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size * 4 >= most * 0.999);
  return Array.from({ length: Math.ceil(most / step - 0.001) + 1 }, (_, at) => at * step);
}

function grid({ width, y, format }, ticks) {
  return ticks.map((tick) => [
    svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(tick), y2: y(tick) }),
    svg("text", { class: "axis end", x: EDGE.left - 8, y: y(tick) + 4 }, tick === 0 ? "0" : format(tick)),
  ]);
}

/** At round times of the browser's clock: at each step in which one falls. */
function timeLabels({ starts, width, x }) {
  const times = starts.map((start) => new Date(start));
  const length = times.length > 1 ? times[1] - times[0] : MINUTE;
  const most = Math.max(2, Math.floor((width - EDGE.left) / 46));
  const spacing = SPACINGS.find((each) => (length * times.length) / each <= most) ?? SPACINGS[SPACINGS.length - 1];
  const label = spacing < DAY ? hour : day;
  return times.map((time, at) => {
    const begin = time.getTime() - time.getTimezoneOffset() * MINUTE;
    const isRound = Math.floor((begin + length - 1) / spacing) > Math.floor((begin - 1) / spacing);
    const fits = x(at) > EDGE.left + 12 && x(at) < width - 18;
    return isRound && fits ? svg("text", { class: "axis middle", x: x(at), y: HEIGHT - 6 }, label(starts[at])) : null;
  });
}

function columns({ starts, series, x, y, step }) {
  const thickness = Math.max(1, Math.min(28, step * 0.72));
  return starts.flatMap((_, at) => {
    let below = 0;
    return series.map(({ values, tone }) => {
      const value = values[at] ?? 0;
      if (value === 0) return null;
      const [low, high] = [y(below), y(below + value)];
      below += value;
      const height = Math.max(1, low - high);
      return svg("rect", { class: `column ${tone}`, x: x(at) - thickness / 2, y: low - height, width: thickness, height, rx: 1.5 });
    });
  });
}

/** A line with gaps where nothing is known; a point alone is a dot. */
function line({ x, y }, { values, tone }) {
  const runs = [[]];
  values.forEach((value, at) => {
    if (value === null || value === undefined) runs.push([]);
    else runs[runs.length - 1].push([x(at), y(value)]);
  });
  return runs.filter((run) => run.length > 0).map((run) => {
    if (run.length === 1) return svg("circle", { class: `dot ${tone}`, cx: run[0][0], cy: run[0][1], r: 3 });
    return svg("polyline", { class: `line ${tone}`, points: run.map((point) => point.join(",")).join(" ") });
  });
}

// ── the cursor ───────────────────────────────────────────────────────────────────────────────────────────────────

function follow(view) {
  const { plot, starts } = view;
  const last = starts.length - 1;
  plot.addEventListener("pointermove", (event) => {
    const at = Math.floor((event.clientX - plot.getBoundingClientRect().left - EDGE.left) / view.step);
    point(view, Math.min(last, Math.max(0, at)));
  });
  plot.addEventListener("pointerleave", () => point(view, null));
  plot.addEventListener("blur", () => point(view, null));
  plot.addEventListener("keydown", (event) => {
    const now = view.at ?? last + 1;
    const next = { ArrowLeft: Math.max(0, now - 1), ArrowRight: Math.min(last, now + 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") point(view, null);
    if (next === undefined) return;
    event.preventDefault();
    point(view, next);
  });
}

function point(view, at) {
  view.at = at;
  view.tip.hidden = at === null;
  view.cursor?.setAttribute("visibility", at === null ? "hidden" : "visible");
  if (at === null || !view.cursor) return;
  view.cursor.setAttribute("x1", view.x(at));
  view.cursor.setAttribute("x2", view.x(at));
  const values = view.series.map(({ name, values, tone }) =>
    h("li", null, h("span", { class: `swatch ${tone}` }), name, hidden(": "), h("b", null, view.format(values[at]))),
  );
  replace(view.tip, h("p", null, moment(view.starts[at])), h("ul", null, ...values));
  const left = Math.min(Math.max(0, view.x(at) + 12), view.width - view.tip.offsetWidth);
  view.tip.style.left = `${left > view.x(at) ? left : Math.max(0, view.x(at) - view.tip.offsetWidth - 12)}px`;
}
