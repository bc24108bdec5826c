// How it goes: what came in, how long it took, what it cost, what failed, and what was slowest.

import { get } from "./api.js";
import { bar } from "./bars.js";
import { chart } from "./chart.js";
import { h, replace } from "./dom.js";
import { count, dollars, duration, percent, short } from "./format.js";
import { table } from "./table.js";
import { turnTable } from "./turns.js";

const LIVE_EVERY = 5000;

export async function overview(root, context) {
  const { who, range, signal } = context;
  const area = who.isAdmin ? "/admin" : "/v1";
  const [activity, slowest, models] = await Promise.all([
    get(`${area}/activity`, { ...range.query, step: range.step }, signal),
    get(`${area}/turns`, { ...range.query, order: "slowest", limit: 5 }, signal),
    get(`${area}/usage`, { ...range.query, group_by: "model" }, signal),
  ]);
  const live = who.isAdmin ? h("b", null, "–") : null;
  replace(
    root,
    tiles(activity.totals, models.totals.unpriced_turns, live),
    h("div", { class: "charts" }, ...charts(activity.data, range)),
    h("div", { class: "halves" }, modelCard(models.data, context), errorCard(activity.errors, context)),
    slowCard(slowest.data, context),
  );
  if (live) watch(live, signal);
}

function tiles(totals, unpriced, live) {
  const failed = totals.turns ? totals.failed_turns / totals.turns : null;
  const figures = [
    ["Turns", count(totals.turns)],
    ["Failed", percent(failed), `${count(totals.failed_turns)} turns`],
    ["Latency p50", duration(totals.latency_p50_ms), `p95 ${duration(totals.latency_p95_ms)}`],
    ["First token p50", duration(totals.ttft_p50_ms), `p95 ${duration(totals.ttft_p95_ms)}`],
    ["Tokens", short(totals.prompt_tokens + totals.completion_tokens), `${short(totals.completion_tokens)} written`],
    ["Cost", dollars(totals.cost), unpriced ? `${count(unpriced)} of unknown price` : null],
  ];
  if (live) figures.unshift(["In flight now", live]);
  const tile = ([label, figure, note]) =>
    h("div", { class: "tile" }, h("dt", null, label), h("dd", null, figure, note ? h("span", { class: "note" }, note) : null));
  return h("dl", { class: "tiles card" }, ...figures.map(tile));
}

function charts(data, range) {
  const starts = data.map(({ start }) => start);
  const series = (name, tone, read) => ({ name, tone, values: data.map(read) });
  const named = (name, tone, key) => series(name, tone, (step) => step[key] ?? null);
  const empty = `No turns in ${range.words}. They appear here as soon as a key is used.`;
  return [
    chart({
      title: "Turns",
      starts,
      isStacked: true,
      format: count,
      empty,
      series: [
        series("complete", "t1", (step) => step.turns - step.failed_turns - step.incomplete_turns),
        named("incomplete", "t4", "incomplete_turns"),
        named("failed", "t5", "failed_turns"),
      ],
    }),
    chart({
      title: "Latency",
      starts,
      format: duration,
      empty,
      series: [named("p50", "t1", "latency_p50_ms"), named("p95", "t2", "latency_p95_ms"), named("p99", "t3", "latency_p99_ms")],
    }),
    chart({
      title: "Time to first token",
      starts,
      format: duration,
      empty: `No streamed turns in ${range.words}.`,
      series: [named("p50", "t1", "ttft_p50_ms"), named("p95", "t2", "ttft_p95_ms"), named("p99", "t3", "ttft_p99_ms")],
    }),
    chart({
      title: "Tokens",
      starts,
      isStacked: true,
      format: short,
      empty,
      series: [named("prompt", "t1", "prompt_tokens"), named("completion", "t2", "completion_tokens")],
    }),
    chart({
      title: "Cost",
      unit: "US dollars",
      starts,
      isStacked: true,
      format: dollars,
      empty: `No turn of a model with a known price in ${range.words}.`,
      series: [named("cost", "t2", "cost")],
    }),
    chart({
      title: "The gateway’s own time",
      starts,
      format: duration,
      empty,
      series: [named("p50", "t1", "overhead_p50_ms"), named("p95", "t2", "overhead_p95_ms"), named("p99", "t3", "overhead_p99_ms")],
    }),
  ];
}

function modelCard(rows, { link }) {
  const most = Math.max(0, ...rows.map(tokens));
  const columns = [
    { label: "Model", cell: (row) => h("a", { href: link("turns", { model: row.group }) }, row.group) },
    { label: "Turns", isNumber: true, cell: (row) => count(row.turns) },
    { label: "Tokens", isNumber: true, cell: (row) => h("span", { class: "barred" }, bar(tokens(row), most), h("span", null, short(tokens(row)))) },
    { label: "Cost", isNumber: true, cell: (row) => dollars(row.cost) },
  ];
  const list = table({ caption: "Turns, tokens and cost by model", columns, rows: rows.slice(0, 8), empty: "No turns yet." });
  return h("section", { class: "card" }, h("h2", null, "Models"), list);
}

function errorCard(errors, { link }) {
  const columns = [
    { label: "Error", cell: (row) => h("a", { href: link("turns", { error: row.code ?? row.status }) }, h("code", null, row.code ?? "unknown")) },
    { label: "Status", isNumber: true, cell: (row) => row.status ?? "–" },
    { label: "Turns", isNumber: true, cell: (row) => count(row.turns) },
  ];
  const list = table({ caption: "Errors of turns", columns, rows: errors, empty: "No turn has failed." });
  return h("section", { class: "card" }, h("h2", null, "Errors"), list);
}

function slowCard(rows, context) {
  return h("section", { class: "card" }, h("h2", null, "Slowest turns"), turnTable(rows, context, "No turns yet."));
}

function tokens(row) {
  return row.prompt_tokens + row.completion_tokens;
}

/** Ask how many requests are being answered, as long as the view is shown and somebody can see it. */
async function watch(live, signal) {
  while (!signal.aborted) {
    if (!document.hidden) {
      const now = await get("/admin/live", {}, signal).catch(() => null);
      live.textContent = count(now?.in_flight.requests);
    }
    await new Promise((resolve) => setTimeout(resolve, LIVE_EVERY));
  }
}
