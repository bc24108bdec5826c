// Limits of keys and of users: the fields that set them, and how they read.

import { field, h } from "./dom.js";
import { dollars, short } from "./format.js";

const LIMITS = [
  ["requests_per_minute", "Requests a minute", (value) => `${short(value)} req/min`],
  ["tokens_per_minute", "Tokens a minute", (value) => `${short(value)} tokens/min`],
  ["parallel_calls", "Parallel calls", (value) => `${short(value)} parallel`],
  ["tokens_per_day", "Tokens a day", (value) => `${short(value)} tokens/day`],
  ["tokens_per_month", "Tokens a month", (value) => `${short(value)} tokens/month`],
  ["dollars_per_day", "Dollars a day", (value) => `${dollars(value)}/day`],
  ["dollars_per_month", "Dollars a month", (value) => `${dollars(value)}/month`],
];

/** Fields with these limits in them, and a function that reads those that were changed: null for none of its own. */
export function limitFields(limits = {}) {
  const inputs = LIMITS.map(([name, label]) => {
    const step = name.startsWith("dollars") ? "any" : 1;
    return [name, label, h("input", { type: "number", min: step === 1 ? 1 : 0, step, value: limits?.[name], placeholder: "default" })];
  });
  const element = h(
    "details",
    { class: "limits", open: inputs.some(([, , input]) => input.value !== "") },
    h("summary", null, "Limits"),
    h("p", { class: "hint" }, "Empty: the default of the settings, where there is one."),
    h("div", { class: "grid2" }, ...inputs.map(([, label, input]) => field(label, input))),
  );
  const changed = () => inputs.filter(([, , input]) => input.value !== input.defaultValue);
  const read = () => Object.fromEntries(changed().map(([name, , input]) => [name, input.value === "" ? null : Number(input.value)]));
  return { element, read };
}

export function limitText(limits) {
  const set = LIMITS.filter(([name]) => (limits?.[name] ?? null) !== null);
  return set.length ? set.map(([name, , text]) => text(limits[name])).join(", ") : "default";
}
