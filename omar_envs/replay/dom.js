/* Small builders of elements. Text from a game reaches the page through these alone,
 * as text nodes: there is no innerHTML anywhere. */

const LONG_TEXT = 3000; // characters shown before "Show all"

/** An element with properties, attributes (those with a dash or "role") and children. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Text of a player, isolated from the direction of what stands around it. A very long
 *  one is cut until its reader asks for the rest. */
function prose(tag, text, className) {
  const node = el(tag, { class: `prose ${className}`, dir: "auto" });
  if (text.length <= LONG_TEXT) {
    node.append(text);
    return node;
  }
  const splitsPair = /[\ud800-\udbff]/.test(text[LONG_TEXT - 1]);
  node.append(text.slice(0, splitsPair ? LONG_TEXT - 1 : LONG_TEXT));
  const count = text.length.toLocaleString("en");
  const more = el("button", { type: "button", class: "more" }, `… Show all ${count} characters`);
  more.addEventListener("click", () => node.replaceChildren(text));
  node.append(more);
  return node;
}

/** For attributes and menus, where no element can isolate the text's direction. */
function plain(text) {
  return text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "").slice(0, 300);
}
