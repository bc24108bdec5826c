// Dialogs: the browser's own, which keep the focus inside and give it back.

import { button, h } from "./dom.js";
import { problem } from "./problem.js";

let dialogs = 0;

/**
 * A form in a dialog. `submit` may return a node, which then takes the form's place, or false, which leaves it as it
 * is; else the dialog closes. Resolves when it is closed: true if `submit` was done. While it is being done the dialog
 * stays: what was sent cannot be called back, and the answer may be a key that is shown this once.
 */
export function formDialog({ title, body, action, isDangerous = false, submit }) {
  const heading = h("h2", { id: `dialog-title-${++dialogs}` }, title);
  const errors = h("div");
  const go = h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, action);
  const cancel = button("Cancel", () => dialog.close());
  const dialog = h("dialog", { "aria-labelledby": heading.id });
  let isBusy = false;
  let isDone = false;
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        setBusy(true);
        let result = false;
        try {
          result = await submit();
        } catch (error) {
          errors.replaceChildren(problem(error));
        }
        setBusy(false);
        if (result === false) {
          go.focus(); // which it lost when it was disabled; it brings what is wrong, right above it, into sight
          return;
        }
        isDone = true;
        if (result) show(result);
        else dialog.close();
      },
    },
    heading,
    body,
    errors,
    h("div", { class: "actions" }, cancel, go),
  );
  function setBusy(is) {
    isBusy = go.disabled = cancel.disabled = is;
  }
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
      if (isBusy) {
        dialog.showModal(); // by Escape, which a browser does not let a page refuse each time
        return;
      }
      dialog.remove();
      resolve(isDone);
    });
  });
}
