/* Faces of the seats: a shape and a ring that differ where colours may not be told apart. */

const SHAPES = [
  "M20 2a18 18 0 1 0 0 36a18 18 0 1 0 0-36z",
  "M9 3h22a6 6 0 0 1 6 6v22a6 6 0 0 1-6 6h-22a6 6 0 0 1-6-6v-22a6 6 0 0 1 6-6z",
  "M20 1 37 10.5v19L20 39 3 29.5v-19z",
  "M4 4h32v18c0 9-7 14-16 17c-9-3-16-8-16-17z",
  "M12.5 2h15L38 12.5v15L27.5 38h-15L2 27.5v-15z",
  "M20 2a18 18 0 0 1 18 18v18h-18a18 18 0 0 1 0-36z",
  "M20 0 40 20 20 40 0 20z",
  "M20 1 39 15.5 32 38H8L1 15.5z",
];
const RINGS = ["none", "1.5 3", "8 4", "16 3 2 3"]; // dashes; the first has no ring

function initials(name) {
  const words = plain(name).split(/\s+/u).filter(Boolean).map((word) => [...word]);
  if (!words.length) return "?";
  if (words.length === 1) return words[0].slice(0, 2).join("");
  return words[0][0] + words.at(-1)[0];
}

/** The face as a drawing of 40 by 40. */
function face(agent) {
  const { index } = seats.get(agent);
  const shape = SHAPES[index % SHAPES.length];
  const ring = RINGS[Math.floor(index / SHAPES.length) % RINGS.length];
  const text = svg("text", { x: 20, y: 25.5, "text-anchor": "middle" });
  text.textContent = initials(nameOf(agent));
  const group = svg("g", { class: "face" }, svg("path", { class: "body", d: shape }));
  if (ring !== "none") {
    const transform = "translate(3.2 3.2) scale(0.84)";
    group.append(svg("path", { class: "ring", d: shape, transform, "stroke-dasharray": ring }));
  }
  group.append(text);
  group.style.setProperty("--hue", seats.get(agent).hue);
  return group;
}

function avatar(agent) {
  const drawing = svg("svg", { viewBox: "0 0 40 40", focusable: "false" }, face(agent));
  return el("span", { class: "avatar", "aria-hidden": "true" }, drawing);
}

function personName(agent) {
  const node = el("bdi", { class: "name" }, nameOf(agent));
  node.style.setProperty("--hue", seats.get(agent).hue);
  return node;
}

function people(agents) {
  const nodes = [];
  agents.forEach((agent, index) => {
    if (index) nodes.push(index === agents.length - 1 ? " and " : ", ");
    nodes.push(el("bdi", {}, nameOf(agent)));
  });
  return nodes;
}
