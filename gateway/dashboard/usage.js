// What turns came to, by whom or what: the same report as `gateway usage`.

import { address, get } from "./api.js";
import { bar } from "./bars.js";
import { field, h, replace, select } from "./dom.js";
import { count, dollars, text } from "./format.js";
import { table } from "./table.js";

const GROUPS = [["model", "Model"], ["user", "User"], ["key", "Key"], ["day", "Day"], ["hour", "Hour"], ["session", "Session"]];

export async function usage(root, { who, query, range, signal, link }) {
  const groups = GROUPS.filter(([id]) => who.isAdmin || id !== "user");
  const group = query.get("by") ?? groups[0][0];
  const path = who.isAdmin ? "/admin/usage" : "/v1/usage";
  const asked = { ...range.query, group_by: group };
  const report = await get(path, asked, signal);
  const by = select(groups, group);
  by.addEventListener("change", () => (location.hash = link("usage", { range: range.name, by: by.value })));
  const download = h("a", { class: "button", href: address(path, { ...asked, format: "csv" }), download: "usage.csv" }, "Export as CSV");
  replace(
    root,
    h("div", { class: "filters" }, field("Group by", by), download),
    h("section", { class: "card" }, rows(report, Object.fromEntries(groups)[group], range)),
  );
  if (document.activeElement === document.body && query.get("by")) by.focus();
}

function rows({ data, totals }, label, range) {
  const most = Math.max(0, ...data.map(tokens));
  const dearest = Math.max(0, ...data.map((row) => row.cost ?? 0));
  const columns = [
    { label, cell: (row) => (row.isTotal ? h("span", { "data-total": true }, "Total") : name(row)) },
    { label: "Turns", isNumber: true, cell: (row) => count(row.turns) },
    { label: "Failed", isNumber: true, cell: (row) => count(row.failed_turns) },
    { label: "Prompt", isNumber: true, cell: (row) => count(row.prompt_tokens) },
    { label: "Completion", isNumber: true, cell: (row) => count(row.completion_tokens) },
    { label: "Tokens", isNumber: true, cell: (row) => barred(row, tokens(row), most, count) },
    { label: "Cost", isNumber: true, cell: (row) => barred(row, row.cost, dearest, dollars) },
    { label: "Unpriced", isNumber: true, cell: (row) => count(row.unpriced_turns) },
  ];
  const all = data.length > 1 ? [...data, { ...totals, isTotal: true }] : data;
  return table({ caption: `Usage by ${label.toLowerCase()}`, columns, rows: all, empty: `No turns in ${range.words}.` });
}

function name(row) {
  if (row.group === null) return h("span", { class: "muted" }, "without a session");
  return row.name === null ? text(row.group) : h("span", { title: row.group }, row.name);
}

function barred(row, value, most, format) {
  return row.isTotal ? format(value) : h("span", { class: "barred" }, bar(value, most), h("span", null, format(value)));
}

function tokens(row) {
  return row.prompt_tokens + row.completion_tokens;
}
