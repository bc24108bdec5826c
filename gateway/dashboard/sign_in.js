// The form that a key is given to. The key goes to the gateway once, and is kept nowhere in the browser.

import { send } from "./api.js";
import { field, h, replace } from "./dom.js";
import { problem } from "./problem.js";

export function signInForm(root, onSignedIn) {
  const key = h("input", { type: "password", required: true, autocomplete: "current-password", spellcheck: "false", placeholder: "sk-gw-…" });
  const errors = h("div");
  const go = h("button", { type: "submit", class: "primary" }, "Sign in");
  const form = h(
    "form",
    {
      class: "card sign-in",
      onsubmit: async (event) => {
        event.preventDefault();
        go.disabled = true;
        try {
          await send("POST", "/dashboard/session", { key: key.value.trim() });
          key.value = "";
          await onSignedIn();
        } catch (error) {
          replace(errors, problem(error));
          key.focus();
        } finally {
          go.disabled = false;
        }
      },
    },
    h("h1", null, "Sign in"),
    h("p", { class: "hint" }, "With a key of this gateway: an admin’s to see everything, a user’s to see one’s own."),
    field("API key", key, "No key yet? gateway keys create --user NAME --admin makes one."),
    errors,
    go,
  );
  replace(root, form);
  key.focus();
}
