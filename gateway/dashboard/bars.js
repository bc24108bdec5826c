// A bar of a share, beside the figure that it stands for.

import { svg } from "./dom.js";

export function bar(value, most) {
  const share = most > 0 ? Math.max(0, value ?? 0) / most : 0;
  return svg(
    "svg",
    { class: "bar", height: 8, "aria-hidden": "true" },
    svg("rect", { class: "track", width: "100%", height: 8, rx: 4 }),
    share > 0 ? svg("rect", { class: "share", width: `${Math.max(1, share * 100)}%`, height: 8, rx: 4 }) : null,
  );
}
