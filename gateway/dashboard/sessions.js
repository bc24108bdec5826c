// A browser of stored conversations: one's own, or, for admins, any user's.

import { address, get } from "./api.js";
import { field, h, replace, select } from "./dom.js";
import { ago, count, moment } from "./format.js";
import { pager, table } from "./table.js";
import { transcript } from "./transcript.js";

const LIMIT = 25;
const MESSAGES = 100;

export async function sessions(root, context) {
  const { who, query, signal } = context;
  const owners = who.isAdmin ? await everyone(signal) : [];
  const owner = query.get("user") || who.user_id;
  const own = owner === who.user_id && !who.isAdmin;
  const base = own ? "/chat/sessions" : `/admin/users/${encodeURIComponent(owner)}/sessions`;
  if (context.item) await one(root, context, base, owner);
  else await list(root, context, base, owner, owners);
}

/** Users by name, for the choice of whose sessions are shown. */
async function everyone(signal) {
  const found = [];
  for (let hasMore = true; hasMore && found.length < 1000; ) {
    const page = await get("/admin/users", { limit: 100, offset: found.length }, signal);
    found.push(...page.data);
    hasMore = page.has_more;
  }
  return found.sort((a, b) => a.name.localeCompare(b.name));
}

async function list(root, context, base, owner, owners) {
  const { query, signal, link } = context;
  const filters = Object.fromEntries(["q", "archived", "key", "value"].map((name) => [name, query.get(name) ?? ""]));
  const offset = Number(query.get("offset") ?? 0);
  const go = (changes) => (location.hash = link("sessions", { user: owner, ...filters, ...changes }));
  const paging = { limit: LIMIT, offset, include_archived: filters.archived ? "true" : "" };
  const metadata = filters.key ? { [`metadata[${filters.key}]`]: filters.value } : {};
  const found = filters.q
    ? await get(`${base}/search`, { ...paging, q: filters.q }, signal)
    : await get(base, { ...paging, ...metadata }, signal);
  const href = (id) => link(`sessions/${encodeURIComponent(id)}`, { user: owner });
  replace(
    root,
    form(filters, go, owner, owners),
    h("section", { class: "card" }, filters.q ? hitTable(found.data, href) : sessionTable(found.data, href, filters, owners)),
    pager({ offset, limit: LIMIT, shown: found.data.length, hasMore: found.has_more, go: (next) => go({ offset: next }) }),
  );
}

function form(filters, go, owner, owners) {
  const user = owners.length ? select(owners.map(({ id, name }) => [id, name]), owner) : null;
  const words = h("input", { type: "search", value: filters.q, placeholder: "Words, all of which must be found" });
  const key = h("input", { value: filters.key, placeholder: "key" });
  const value = h("input", { value: filters.value, placeholder: "value" });
  const archived = h("input", { type: "checkbox", checked: filters.archived !== "" });
  const submit = (event) => {
    event.preventDefault();
    const q = words.value.trim();
    const metadata = q ? { key: "", value: "" } : { key: key.value, value: value.value }; // a search knows no metadata
    go({ user: user?.value ?? owner, q, ...metadata, archived: archived.checked ? "1" : "" });
  };
  user?.addEventListener("change", submit);
  archived.addEventListener("change", submit);
  return h(
    "form",
    { class: "filters", role: "search", "aria-label": "Sessions", onsubmit: submit },
    user && field("User", user),
    h("div", { class: "wide" }, field("Search messages and titles", words)),
    field("Metadata key", key),
    field("Metadata value", value),
    h("label", { class: "check" }, archived, "With archived ones"),
    h("button", { type: "submit" }, "Search"),
  );
}

function sessionTable(rows, href, filters, owners) {
  const columns = [
    { label: "Session", cell: (session) => titled(session, href) },
    { label: "Model", cell: (session) => session.model ?? "–" },
    { label: "Messages", isNumber: true, cell: (session) => count(session.message_count) },
    { label: "Tokens", isNumber: true, cell: (session) => count(session.total_tokens) },
    { label: "Last message", cell: (session) => when(session.last_message_at) },
    { label: "Created", cell: (session) => when(session.created_at) },
  ];
  const isFiltered = filters.key || filters.q;
  const others = owners.length > 1 ? " Those of others are shown when you choose a user above." : "";
  const empty = isFiltered
    ? "No session matches. Search for fewer words, or take the filter away."
    : `No sessions yet. POST /chat/sessions makes one; a chat call with its session_id fills it.${others}`;
  return table({ caption: "Sessions, newest first", columns, rows, empty });
}

function titled(session, href) {
  const link = h("a", { href: href(session.session_id) }, session.session_name ?? session.session_id);
  const id = session.session_name ? h("span", { class: "id sub" }, session.session_id) : null;
  return [link, session.archived_at ? h("span", { class: "badge" }, "archived") : null, id];
}

function hitTable(rows, href) {
  const columns = [
    { label: "Session", cell: (hit) => h("a", { href: href(hit.session_id) }, hit.session_name ?? hit.session_id) },
    { label: "Where", cell: (hit) => (hit.role === null ? "title" : `${hit.role}, message ${hit.seq}`) },
    { label: "Text", cell: (hit) => h("span", { class: "snippet" }, hit.snippet) },
    { label: "When", cell: (hit) => when(hit.created_at) },
  ];
  return table({ caption: "What was found, the best first", columns, rows, empty: "Nothing was found. Try fewer or other words." });
}

function when(at) {
  return at === null ? "–" : h("time", { datetime: at, title: moment(at) }, ago(at));
}

// ── one session ──────────────────────────────────────────────────────────────────────────────────────────────────

async function one(root, context, base, owner) {
  const { item, query, signal, link, heading, tools } = context;
  const path = `${base}/${encodeURIComponent(item)}`;
  const offset = Number(query.get("offset") ?? 0);
  const [session, messages] = await Promise.all([
    get(path, {}, signal),
    get(`${path}/messages`, { limit: MESSAGES, offset }, signal),
  ]);
  heading.textContent = session.session_name ?? "Session";
  replace(
    tools,
    h("a", { class: "button", href: link("sessions", { user: owner }) }, "← All sessions"),
    h("a", { class: "button", href: address(`${path}/export`), download: `${item}.jsonl` }, "Export"),
  );
  const go = (next) => (location.hash = link(`sessions/${encodeURIComponent(item)}`, { user: owner, offset: next }));
  replace(
    root,
    facts(session),
    transcript(messages.data),
    pager({ offset, limit: MESSAGES, shown: messages.data.length, hasMore: messages.has_more, go }),
  );
}

function facts(session) {
  const entries = [
    ["Id", h("span", { class: "id" }, session.session_id)],
    ["Model", session.model ?? "–"],
    ["Messages", count(session.message_count)],
    ["Tokens", count(session.total_tokens)],
    ["Created", moment(session.created_at)],
    ["Last message", moment(session.last_message_at)],
    session.archived_at && ["Archived", moment(session.archived_at)],
    session.system_prompt && ["System prompt", h("span", { class: "said" }, session.system_prompt)],
    ...Object.entries(session.metadata).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ].filter(Boolean);
  const fact = ([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value));
  return h("dl", { class: "facts card" }, ...entries.map(fact));
}
