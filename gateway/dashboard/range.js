// How far back a view looks. The choice goes with the address, so that it survives a reload and a change of view.

import { h, hidden } from "./dom.js";

const HOUR = 3_600_000;

const RANGES = [
  ["1h", "1 h", "the last hour", HOUR, "1m"],
  ["24h", "24 h", "the last 24 hours", 24 * HOUR, "1h"],
  ["7d", "7 d", "the last 7 days", 7 * 24 * HOUR, "6h"],
  ["30d", "30 d", "the last 30 days", 30 * 24 * HOUR, "1d"],
];

/**
 * The range of that name, else a day: {name, words, query, step}. `query` asks the API for all since then, `step` for
 * points of that length.
 */
export function rangeOf(name) {
  const [id, , words, span, step] = RANGES.find(([each]) => each === name) ?? RANGES[1];
  return { name: id, words, query: { from: new Date(Date.now() - span).toISOString() }, step };
}

export function rangePicker(chosen, onchange) {
  const choices = RANGES.map(([id, label, words]) =>
    h(
      "label",
      null,
      h("input", { type: "radio", name: "range", value: id, checked: id === chosen, onchange: () => onchange(id) }),
      h("span", { "aria-hidden": "true" }, label),
      hidden(words),
    ),
  );
  return h("fieldset", { class: "segmented" }, h("legend", { class: "hidden" }, "Range"), ...choices);
}
