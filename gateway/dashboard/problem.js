// What went wrong, in the gateway's words, with the id by which its log says more.

import { h } from "./dom.js";

export function problem(error) {
  const id = error.requestId ? h("p", { class: "hint" }, "Request id: ", h("code", null, error.requestId)) : null;
  return h("div", { class: "problem", role: "alert" }, h("p", null, error.message), id);
}
