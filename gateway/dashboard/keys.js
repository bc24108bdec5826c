// Keys: who has which, what they may, and when they were used; for admins, making, changing, rotating and revoking them.

import { get, send } from "./api.js";
import { button, field, h, hidden, replace, select } from "./dom.js";
import { formDialog } from "./dialog.js";
import { ago, moment } from "./format.js";
import { limitFields, limitText } from "./limits.js";
import { table } from "./table.js";

const LIFETIMES = [["1d", "In a day"], ["30d", "In 30 days"], ["90d", "In 90 days"], ["52w", "In a year"]];
const OVERLAPS = [["0s", "At once"], ["1h", "In an hour"], ["24h", "In a day"], ["7d", "In a week"]];

export async function keys(root, context) {
  const { who, query, signal, tools, link } = context;
  const isAll = query.get("all") === "1";
  const found = await get(who.isAdmin ? "/admin/keys" : "/v1/keys", {}, signal);
  const rows = found.data.filter((key) => isAll || !["revoked", "expired"].includes(key.status)).reverse();
  if (who.isAdmin) replace(tools, button("Create a key", () => create(context), { class: "primary" }));
  const all = h("input", { type: "checkbox", checked: isAll });
  all.addEventListener("change", () => (location.hash = link("keys", { all: all.checked ? "1" : "" })));
  replace(
    root,
    h("div", { class: "filters" }, h("label", { class: "check" }, all, "With revoked and expired ones")),
    h("section", { class: "card" }, keyTable(rows, context)),
  );
}

function keyTable(rows, context) {
  const { who } = context;
  const columns = [
    { label: "Key", cell: (key) => [h("span", null, key.name ?? "unnamed"), h("span", { class: "id sub" }, key.id)] },
    who.isAdmin && { label: "User", cell: (key) => key.user },
    { label: "Scopes", cell: (key) => key.scopes.join(", ") },
    { label: "Models", cell: (key) => key.allowed_models?.join(", ") ?? "any" },
    { label: "Limits", cell: (key) => limitText(key.limits) },
    { label: "Last used", cell: (key) => (key.last_used_at ? when(key.last_used_at) : "never") },
    { label: "State", cell: (key) => stateCell(key) },
    who.isAdmin && { label: "Actions", cell: (key) => actions(key, context) },
  ].filter(Boolean);
  const empty = who.isAdmin ? "No keys. Create one for whoever is to call this gateway." : "No keys. An admin can make you one.";
  return table({ caption: "API keys, newest first", columns, rows, empty });
}

function stateCell({ status, expires_at: end }) {
  const note = status === "active" && end ? h("span", { class: "sub" }, "expires ", when(end)) : null;
  return [h("span", { class: `badge ${status}` }, status), note];
}

function when(at) {
  return h("time", { datetime: at, title: moment(at) }, ago(at));
}

function actions(key, context) {
  if (key.status === "revoked" || key.status === "expired") return "–";
  const name = hidden(` ${key.name ?? key.id}`);
  return h(
    "div",
    { class: "row-actions" },
    h("button", { type: "button", onclick: () => change(key, context) }, "Edit", name),
    h("button", { type: "button", onclick: () => rotate(key, context) }, "Rotate", name.cloneNode(true)),
    h("button", { type: "button", class: "danger", onclick: () => revoke(key, context) }, "Revoke", name.cloneNode(true)),
  );
}

// ── what is done to them ─────────────────────────────────────────────────────────────────────────────────────────

async function create(context) {
  const user = h("input", { required: true, autocomplete: "off", value: "" });
  const rights = rightsFields({ scopes: [], expires_at: null });
  const done = await formDialog({
    title: "Create a key",
    action: "Create",
    body: [field("User", user, "Created with the first key of that name."), rights.elements],
    submit: async () => newKey(await send("POST", "/admin/keys", { user: user.value.trim(), ...rights.read() }), context),
  });
  if (done) context.reload();
}

async function change(key, context) {
  const isOwn = key.id === context.who.key;
  const rights = rightsFields(key);
  const submit = async () => {
    const changes = rights.read();
    if (isOwn && changes.admin === false && !(await isGivenUp())) return false;
    const changed = await send("PATCH", `/admin/keys/${encodeURIComponent(key.id)}`, changes);
    if (isOwn) context.signedInWith(changed.scopes);
    context.announce("Key changed");
  };
  const done = await formDialog({ title: `Edit ${key.name ?? key.id}`, action: "Save", body: rights.elements, submit });
  if (done) context.reload();
}

/** Whether whoever takes admin rights from the key that they are signed in with means to. */
function isGivenUp() {
  return formDialog({
    title: "Give up your admin rights?",
    action: "Give up",
    isDangerous: true,
    body: h("p", null, "You are signed in with this key, and will see only what is its user’s own. Another admin can give them back, or the command line."),
    submit: () => {},
  });
}

async function rotate(key, context) {
  const overlap = select(OVERLAPS, "24h");
  const done = await formDialog({
    title: `Rotate ${key.name ?? key.id}`,
    action: "Rotate",
    body: [
      h("p", null, "A new key with the same user, name, rights, models and limits takes the place of this one."),
      field("The old key stops", overlap),
    ],
    submit: async () => {
      const path = `/admin/keys/${encodeURIComponent(key.id)}/rotate`;
      return newKey(await send("POST", path, { overlap: overlap.value }), context);
    },
  });
  if (done) context.reload();
}

async function revoke(key, context) {
  const done = await formDialog({
    title: `Revoke ${key.name ?? key.id}?`,
    action: "Revoke",
    isDangerous: true,
    body: h("p", null, `Calls of ${key.user} with this key are refused from now on. This cannot be undone.`),
    submit: async () => {
      await send("DELETE", `/admin/keys/${encodeURIComponent(key.id)}`);
      context.announce("Key revoked");
    },
  });
  if (done) context.reload();
}

/**
 * The fields that a key is made with and that can be changed later. `read` tells only what was changed here: the rest
 * somebody else may have changed since the page was loaded, and taken rights away with it.
 */
function rightsFields(key) {
  const name = h("input", { value: key.name, maxlength: 256, autocomplete: "off" });
  const models = h("input", { value: key.allowed_models?.join(", "), autocomplete: "off", placeholder: "any" });
  const limits = limitFields(key.limits);
  const asItIs = key.expires_at ? [["", moment(key.expires_at)], ["never", "Never"]] : [["", "Never"]];
  const expires = select([...asItIs, ...LIFETIMES], "");
  const isAdmin = key.scopes.includes("admin");
  const kept = { name: name.value, models: models.value };
  const admin = h("input", { type: "checkbox", checked: isAdmin });
  const list = () => models.value.split(",").map((model) => model.trim()).filter(Boolean);
  return {
    elements: [
      field("Name", name, "What it is for, such as “laptop” or “batch jobs”."),
      field("Expires", expires),
      field("Allowed models", models, "Names with commas between them; empty: any."),
      limits.element,
      h("label", { class: "check" }, admin, "Admin: may see and change everything"),
    ],
    read: () => ({
      ...(name.value !== kept.name && { name: name.value || null }),
      ...(models.value !== kept.models && { allowed_models: list().length ? list() : null }),
      limits: limits.read(),
      ...(expires.value && { expires_in: expires.value === "never" ? null : expires.value }),
      ...(admin.checked !== isAdmin && { admin: admin.checked }),
    }),
  };
}

/** A new key's text, which the gateway can never show again. */
function newKey({ key: text }, { announce }) {
  const shown = h("input", { class: "secret", value: text, readonly: true, "aria-label": "The new key", "data-focus": true });
  shown.addEventListener("focus", () => shown.select());
  const copy = button("Copy", async () => {
    shown.select();
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
      announce("Key copied");
    } catch {
      announce("The browser does not allow copying: the key is selected, copy it yourself");
    }
  });
  return h("div", null, h("p", null, "Copy the key now: it is shown this once."), h("div", { class: "copy" }, shown, copy));
}
