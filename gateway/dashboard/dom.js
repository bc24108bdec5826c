// Elements out of text. Nothing here, or anywhere in this page, takes a string for HTML: what users wrote stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on…` attributes are listeners; null, undefined and false leave an attribute or a child out. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function replace(parent, ...children) {
  parent.replaceChildren(...present(children));
}

/** A text that only screen readers get. */
export function hidden(text) {
  return h("span", { class: "hidden" }, text);
}

export function button(text, onclick, attributes) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

let ids = 0;

/** A label and its control, which it is given the id of. */
export function field(label, control, hint) {
  control.id = `field-${++ids}`;
  const note = hint ? h("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** A choice out of [value, text] pairs. */
export function select(options, chosen, attributes) {
  const choices = options.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  return h("select", attributes, ...choices);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
