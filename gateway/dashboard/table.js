// Tables of what the API lists. Roles are written out, because a phone's layout takes the table's own away.

import { button, h } from "./dom.js";

/** `columns` are {label, cell(row), isNumber}; the first one heads its row. */
export function table({ caption, columns, rows, empty }) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  const head = columns.map(({ label, isNumber }) =>
    h("th", { scope: "col", role: "columnheader", class: isNumber ? "number" : null }, label),
  );
  const body = rows.map((row) =>
    h("tr", { role: "row" }, columns.map((column, at) => cell(column, row, at === 0))),
  );
  return h(
    "table",
    { role: "table" },
    h("caption", { class: "hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)),
    h("tbody", { role: "rowgroup" }, ...body),
  );
}

function cell({ label, cell: make, isNumber }, row, isFirst) {
  const attributes = { "data-label": label, class: isNumber ? "number" : null };
  if (isFirst) return h("th", { ...attributes, scope: "row", role: "rowheader" }, make(row));
  return h("td", { ...attributes, role: "cell" }, make(row));
}

/** Buttons to the page before and after; `go` gets the offset of the one that is wanted. */
export function pager({ offset, limit, shown, hasMore, go }) {
  if (offset === 0 && !hasMore) return null;
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    button("← Previous", () => go(Math.max(0, offset - limit)), { disabled: offset === 0 }),
    h("span", null, `${offset + 1}–${offset + shown}`),
    button("Next →", () => go(offset + limit), { disabled: !hasMore }),
  );
}
