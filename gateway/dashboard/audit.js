// What was done to keys, users and stored data, newest first.

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { moment, text } from "./format.js";
import { pager, table } from "./table.js";

const LIMIT = 50;

export async function audit(root, { query, signal, link }) {
  const offset = Number(query.get("offset") ?? 0);
  const found = await get("/admin/audit", { limit: LIMIT, offset }, signal);
  const columns = [
    { label: "When", cell: (entry) => h("time", { datetime: entry.at }, moment(entry.at)) },
    { label: "Action", cell: (entry) => h("code", null, entry.action) },
    { label: "Target", cell: (entry) => h("span", { class: "id" }, text(entry.target)) },
    { label: "By", cell: (entry) => actor(entry.actor) },
    { label: "Details", cell: (entry) => details(entry.details) },
  ];
  const list = table({ caption: "Audit log", columns, rows: found.data, empty: "Nothing has been done to keys, users or stored data yet." });
  const go = (next) => (location.hash = link("audit", { offset: next }));
  replace(root, h("section", { class: "card" }, list), pager({ offset, limit: LIMIT, shown: found.data.length, hasMore: found.has_more, go }));
}

function actor(by) {
  if (by === null) return h("span", { class: "muted" }, "command line or gateway");
  return h("span", { class: "id", title: by.user_id }, by.key_id ?? by.user_id);
}

function details(given) {
  return Object.entries(given).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ") || "–";
}
