// The ledger, turn by turn: newest or slowest first.

import { get } from "./api.js";
import { field, h, replace, select } from "./dom.js";
import { ago, count, dollars, duration, moment } from "./format.js";
import { pager, table } from "./table.js";

const LIMIT = 50;

export async function turns(root, { who, query, range, signal, link, ...context }) {
  const filters = Object.fromEntries(["order", "status", "model", "user", "error"].map((name) => [name, query.get(name) ?? ""]));
  const offset = Number(query.get("offset") ?? 0);
  const go = (changes) => (location.hash = link("turns", { ...filters, range: range.name, ...changes }));
  const asked = { ...range.query, ...filters, offset, limit: LIMIT };
  const found = await get(who.isAdmin ? "/admin/turns" : "/v1/turns", asked, signal);
  replace(
    root,
    form(filters, go, who),
    h("section", { class: "card" }, turnTable(found.data, { who, link, ...context }, "No turns match. Take a longer range, or fewer filters.")),
    pager({ offset, limit: LIMIT, shown: found.data.length, hasMore: found.has_more, go: (next) => go({ offset: next }) }),
  );
}

function form(filters, go, who) {
  const order = select([["newest", "Newest first"], ["slowest", "Slowest first"]], filters.order || "newest");
  const statuses = [["", "Any"], ["complete", "Complete"], ["incomplete", "Incomplete"], ["failed", "Failed"]];
  const status = select(statuses, filters.status);
  const model = h("input", { value: filters.model, placeholder: "Any" });
  const user = who.isAdmin ? h("input", { value: filters.user, placeholder: "Name or id" }) : null;
  const error = h("input", { value: filters.error, placeholder: "Code or HTTP status" });
  const read = () => ({ order: order.value, status: status.value, model: model.value, user: user?.value, error: error.value });
  const submit = (event) => {
    event.preventDefault();
    go(read());
  };
  order.addEventListener("change", submit);
  status.addEventListener("change", submit);
  return h(
    "form",
    { class: "filters", role: "search", "aria-label": "Turns", onsubmit: submit },
    field("Order", order),
    field("Status", status),
    field("Model", model),
    user && field("User", user),
    field("Error", error),
    h("button", { type: "submit" }, "Apply"),
  );
}

/** Rows of the ledger, for the overview too. */
export function turnTable(rows, { who, link }, empty) {
  const columns = [
    { label: "When", cell: (turn) => h("time", { datetime: turn.created_at, title: moment(turn.created_at) }, ago(turn.created_at)) },
    { label: "Model", cell: (turn) => turn.model },
    who.isAdmin && { label: "User", cell: (turn) => turn.user.name ?? turn.user.id },
    { label: "Session", cell: (turn) => sessionLink(turn, link) },
    { label: "Served by", cell: (turn) => turn.deployment ?? turn.provider },
    { label: "Status", cell: (turn) => state(turn) },
    { label: "Latency", isNumber: true, cell: (turn) => duration(turn.latency_ms) },
    { label: "First token", isNumber: true, cell: (turn) => duration(turn.ttft_ms) },
    { label: "Tokens", isNumber: true, cell: (turn) => `${count(turn.prompt_tokens)} + ${count(turn.completion_tokens)}` },
    { label: "Cost", isNumber: true, cell: (turn) => dollars(turn.cost) },
  ].filter(Boolean);
  return table({ caption: "Turns", columns, rows, empty });
}

function sessionLink(turn, link) {
  if (!turn.session_id) return h("span", { class: "muted" }, "none");
  const href = link(`sessions/${encodeURIComponent(turn.session_id)}`, { user: turn.user.id });
  return h("a", { href, title: turn.session_id }, `…${turn.session_id.slice(-8)}`);
}

function state({ status, error_code: code, request_id: id }) {
  return h("span", { class: `badge ${status}`, title: id && `Request id: ${id}` }, status, code ? `: ${code}` : "");
}
