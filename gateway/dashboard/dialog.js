// Dialogs: the browser's own, which keep the focus inside and give it back.

import { button, h } from "./dom.js";
import { problem } from "./problem.js";

let dialogs = 0;

/**
 * A form in a dialog. `submit` may return a node, which then takes the form's place, or false, which leaves it as it
 * is; else the dialog closes. Resolves when it is closed: true if `submit` was done.
 */
export function formDialog({ title, body, action, isDangerous = false, submit }) {
  const heading = h("h2", { id: `dialog-title-${++dialogs}` }, title);
  const errors = h("div");
  const go = h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, action);
  const dialog = h("dialog", { "aria-labelledby": heading.id });
  let isDone = false;
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        go.disabled = true;
        try {
          const result = await submit();
          if (result === false) {
            go.disabled = false;
            go.focus();
            return;
          }
          isDone = true;
          if (result) show(result);
          else dialog.close();
        } catch (error) {
          errors.replaceChildren(problem(error));
        } finally {
          go.disabled = false;
        }
      },
    },
    heading,
    body,
    errors,
    h("div", { class: "actions" }, button("Cancel", () => dialog.close()), go),
  );
  function show(result) {
    dialog.replaceChildren(
      h("div", { class: "form" }, heading, result, h("div", { class: "actions" }, button("Done", () => dialog.close(), { class: "primary" }))),
    );
    (dialog.querySelector("[data-focus]") ?? heading).focus();
  }
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isDone);
    });
  });
}
