// The messages of a session, each as text. Pictures and sounds are named, not loaded: nothing is asked of elsewhere.

import { h } from "./dom.js";
import { count, duration, moment } from "./format.js";

const SHOWN = 2000;

export function transcript(messages) {
  if (messages.length === 0) return h("p", { class: "empty card" }, "No messages yet. Chat calls with this session_id fill it.");
  return h("ol", { class: "transcript" }, ...messages.map(message));
}

function message(given) {
  const facts = [
    given.model,
    `${count(given.tokens)} tokens`,
    given.latency_ms === null ? null : duration(given.latency_ms),
    given.status === "complete" ? null : given.status,
  ].filter(Boolean);
  return h(
    "li",
    { class: `message card ${known(given.role)}` },
    h("h2", null, given.role, given.name ? ` · ${given.name}` : ""),
    parts(given.content),
    given.refusal ? said(given.refusal) : null,
    (given.tool_calls ?? []).map(call),
    h("p", { class: "note" }, h("time", { datetime: given.created_at }, moment(given.created_at)), ` · ${facts.join(" · ")}`),
  );
}

/** The role as a class, which is looked at and not invented. */
function known(role) {
  return ["user", "assistant", "tool", "system", "developer"].includes(role) ? role : "other";
}

function parts(content) {
  if (content === null || content === undefined) return null;
  if (typeof content === "string") return said(content);
  return Array.isArray(content) ? content.map(part) : code(content);
}

function part(given) {
  if (typeof given?.text === "string") return said(given.text);
  const url = given?.image_url?.url;
  if (typeof url === "string") return h("p", { class: "attachment" }, `Image: ${url.startsWith("data:") ? url.split(/[;,]/)[0].slice(5) : url}`);
  return given?.input_audio ? h("p", { class: "attachment" }, "Sound") : code(given);
}

function call(given) {
  const called = given?.function ?? given?.custom ?? given;
  return h("div", { class: "call" }, h("p", null, "calls ", h("code", null, called?.name ?? "a tool")), code(called?.arguments ?? called?.input ?? called));
}

/** A text, the end of a long one behind a button. */
function said(text) {
  const shown = h("div", { class: "said" }, text.slice(0, SHOWN));
  if (text.length <= SHOWN) return shown;
  const more = h("button", { type: "button", onclick: () => {
    shown.textContent = text;
    more.remove();
  } }, `Show all ${count(text.length)} characters`);
  return [shown, more];
}

function code(value) {
  return h("pre", { tabindex: 0 }, typeof value === "string" ? value : JSON.stringify(value, null, 2));
}
