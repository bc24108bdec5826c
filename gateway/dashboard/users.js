// Users: who there is, what all of their keys together may, and whether they may at all.

import { get, send } from "./api.js";
import { h, hidden, replace } from "./dom.js";
import { formDialog } from "./dialog.js";
import { limitFields, limitText } from "./limits.js";
import { pager, table } from "./table.js";

const LIMIT = 50;

export async function users(root, context) {
  const { query, signal, link } = context;
  const offset = Number(query.get("offset") ?? 0);
  const found = await get("/admin/users", { limit: LIMIT, offset }, signal);
  const columns = [
    { label: "User", cell: (user) => [h("span", null, user.name), h("span", { class: "id sub" }, user.id)] },
    { label: "Limits", cell: (user) => limitText(user.limits) },
    { label: "State", cell: (user) => h("span", { class: `badge ${user.status}` }, user.status) },
    { label: "See", cell: (user) => seeLinks(user, link) },
    { label: "Actions", cell: (user) => actions(user, context) },
  ];
  const list = table({ caption: "Users, oldest first", columns, rows: found.data, empty: "No users. One is made with their first key." });
  const go = (next) => (location.hash = link("users", { offset: next }));
  replace(root, h("section", { class: "card" }, list), pager({ offset, limit: LIMIT, shown: found.data.length, hasMore: found.has_more, go }));
}

function seeLinks(user, link) {
  const of = hidden(` of ${user.name}`);
  return h(
    "div",
    { class: "row-actions" },
    h("a", { href: link("sessions", { user: user.id }) }, "Sessions", of),
    h("a", { href: link("turns", { user: user.id }) }, "Turns", of.cloneNode(true)),
  );
}

function actions(user, context) {
  const name = hidden(` ${user.name}`);
  return h(
    "div",
    { class: "row-actions" },
    h("button", { type: "button", onclick: () => change(user, context) }, "Limits", hidden(` of ${user.name}`)),
    user.disabled_at
      ? h("button", { type: "button", onclick: () => enable(user, context) }, "Enable", name)
      : h("button", { type: "button", class: "danger", onclick: () => disable(user, context) }, "Disable", name),
  );
}

async function change(user, context) {
  const limits = limitFields(user.limits);
  limits.element.open = true;
  const body = [h("p", null, "Of all keys of this user together."), limits.element];
  const submit = () => set(user, { limits: limits.read() }, context);
  const done = await formDialog({ title: `Limits of ${user.name}`, action: "Save", body, submit });
  if (done) context.reload();
}

async function disable(user, context) {
  const body = h("p", null, "Every key of theirs is refused until you enable them again. Nothing is removed.");
  const submit = () => set(user, { disabled: true }, context);
  const done = await formDialog({ title: `Disable ${user.name}?`, action: "Disable", isDangerous: true, body, submit });
  if (done) context.reload();
}

async function enable(user, context) {
  await set(user, { disabled: false }, context);
  context.reload();
}

async function set(user, changes, context) {
  await send("PATCH", `/admin/users/${encodeURIComponent(user.id)}`, changes);
  context.announce("User changed");
}
