// The frame: who is signed in, the views, and which of them the address names (#turns?range=7d).

import { ApiError, get, send } from "./api.js";
import { audit } from "./audit.js";
import { button, h, replace } from "./dom.js";
import { keys } from "./keys.js";
import { overview } from "./overview.js";
import { problem } from "./problem.js";
import { rangeOf, rangePicker } from "./range.js";
import { sessions } from "./sessions.js";
import { signInForm } from "./sign_in.js";
import { turns } from "./turns.js";
import { usage } from "./usage.js";
import { users } from "./users.js";

const VIEWS = {
  overview: { title: "Overview", show: overview, hasRange: true },
  usage: { title: "Usage", show: usage, hasRange: true },
  turns: { title: "Turns", show: turns, hasRange: true },
  sessions: { title: "Sessions", show: sessions },
  keys: { title: "Keys", show: keys },
  users: { title: "Users", show: users, isForAdmins: true },
  audit: { title: "Audit log", show: audit, isForAdmins: true },
};

const header = document.getElementById("header");
const main = document.getElementById("content");
const status = document.getElementById("status");

let who = null;
let running = new AbortController();

/** Tell screen readers something that others see. */
function announce(text) {
  status.textContent = text;
}

/** The key that somebody is signed in with may from now on do what these scopes say. */
function signedInWith(scopes) {
  who = { ...who, scopes, isAdmin: scopes.includes("admin") };
}

function place() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const [name, item] = path.split("/");
  const isThere = Object.hasOwn(VIEWS, name) && (who.isAdmin || !VIEWS[name].isForAdmins);
  return { name: isThere ? name : "overview", item: item ? unescaped(item) : null, query: new URLSearchParams(query) };
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a link that was cut: let the gateway say that there is no such thing
  }
}

/** The address of a view; `changes` are made to the query of the current one, of which only the range is kept. */
function link(name, changes = {}) {
  const query = new URLSearchParams();
  const range = place().query.get("range");
  for (const [key, value] of Object.entries({ range, ...changes })) if (value) query.set(key, value);
  return `#${name}${query.size ? `?${query}` : ""}`;
}

async function show({ moveFocus }) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const { name, item, query } = place();
  const view = VIEWS[name];
  const range = rangeOf(query.get("range"));
  document.title = `${view.title} · Gateway`;
  navigation(name);
  const heading = h("h1", { tabindex: -1 }, view.title);
  const tools = h("div", { class: "tools" });
  const body = h("div", { class: "view", "aria-busy": "true" }, h("p", { class: "empty" }, "Loading…"));
  if (view.hasRange) {
    const go = (chosen) => (location.hash = link(name, { ...Object.fromEntries(query), range: chosen }));
    tools.append(rangePicker(range.name, go), button("Refresh", () => show({ moveFocus: false })));
  }
  const focused = document.activeElement?.name === "range" ? "range" : null;
  replace(main, h("div", { class: "heading" }, heading, tools), body);
  if (focused) main.querySelector("input[name=range]:checked")?.focus();
  else if (moveFocus) heading.focus();
  scrollTo(0, 0);
  try {
    const reload = () => show({ moveFocus: main.contains(document.activeElement) }); // whatever has it is made anew
    await view.show(body, { who, item, query, range, signal, link, announce, tools, heading, reload, signedInWith });
    announce(`${view.title} loaded`);
  } catch (error) {
    if (!signal.aborted) replace(body, problem(error));
  } finally {
    body.removeAttribute("aria-busy");
  }
}

function navigation(current) {
  const items = Object.entries(VIEWS)
    .filter(([, view]) => who.isAdmin || !view.isForAdmins)
    .map(([name, view]) =>
      h("li", null, h("a", { href: link(name), "aria-current": name === current ? "page" : null }, view.title)),
    );
  const signOut = button("Sign out", async () => {
    await send("DELETE", "/dashboard/session");
    location.reload();
  });
  const me = h("p", { class: "who" }, h("b", null, who.user), h("span", null, who.isAdmin ? "admin" : "user"), signOut);
  replace(header, h("p", { class: "brand" }, "Gateway"), h("nav", { "aria-label": "Views" }, h("ul", null, ...items)), me);
  header.querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" }); // on a phone
}

async function start() {
  const found = await get("/dashboard/session");
  if (found.user === null) {
    signedOut();
    return;
  }
  who = found;
  signedInWith(found.scopes);
  await show({ moveFocus: main.contains(document.activeElement) });
}

function signedOut() {
  running.abort();
  who = null;
  document.title = "Sign in · Gateway";
  replace(header, h("p", { class: "brand" }, "Gateway"));
  signInForm(main, start);
}

addEventListener("hashchange", () => {
  if (who) show({ moveFocus: true });
});
addEventListener("signed-out", signedOut);
addEventListener("unhandledrejection", (event) => {
  // Of a button that failed, and has no place of its own to say so.
  if (!(event.reason instanceof ApiError)) return;
  event.preventDefault();
  if (!who) return;
  main.querySelector(":scope > .problem")?.remove();
  main.prepend(problem(event.reason));
  main.scrollIntoView();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the view's
  main.focus();
});
start().catch((error) => replace(main, problem(error)));
