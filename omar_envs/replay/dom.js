/* Small builders of elements. Text from a game reaches the page through these alone,
 * as text nodes and properties; none of it is ever parsed as markup. */

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

/** The same for drawings, whose properties are all attributes. */
function svg(tag, attributes = {}, ...children) {
  const { namespaceURI } = document.querySelector("svg");
  const node = document.createElementNS(namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A copy of the page's icon that shows one of its symbols. */
function icon(name) {
  const svg = document.getElementById("icon").content.firstElementChild.cloneNode(true);
  svg.firstElementChild.setAttribute("href", `#i-${name}`);
  return svg;
}

/** Text of a player, isolated from the direction of what stands around it. Of a very
 *  long one the rest waits for its reader, in pieces that are laid out when in sight. */
function prose(tag, text, className) {
  const node = el(tag, { class: `prose ${className}`, dir: "auto" });
  if (text.length <= LONG_TEXT) {
    node.append(text);
    return node;
  }
  const pieces = piecesOf(text);
  const count = text.length.toLocaleString("en");
  const more = el("button", { type: "button", class: "more" }, `… Show all ${count} characters`);
  more.addEventListener("click", () =>
    node.replaceChildren(...pieces.map((piece) => el("span", { class: "piece" }, piece))));
  node.append(pieces[0], more);
  return node;
}

/** Cuts at spaces where there are some, and never inside a surrogate pair. */
function piecesOf(text) {
  const pieces = [];
  let start = 0;
  while (start < text.length) {
    let end = start + LONG_TEXT;
    const space = text.lastIndexOf(" ", end - 1) + 1;
    if (space > start + LONG_TEXT / 2) end = space;
    if (/[\ud800-\udbff]/.test(text.charAt(end - 1))) end -= 1;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

/** A table of rows of nodes or texts; the first cell of a row is its heading. */
function table(className, head, rows) {
  const cells = head.map((name) => el("th", { scope: "col" }, name));
  const body = rows.map(([first, ...others]) =>
    el("tr", {}, el("th", { scope: "row" }, first), ...others.map((cell) => el("td", {}, cell))));
  return el("table", { class: className },
    el("thead", {}, el("tr", {}, ...cells)), el("tbody", {}, ...body));
}

/** A wide thing that scrolls inside its own frame, by keys as well. */
function scrolling(label, node) {
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": label }, node);
}

/** For attributes and menus, where no element can isolate the text's direction. */
function plain(text) {
  return text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "").slice(0, 300);
}
