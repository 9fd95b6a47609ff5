/* Votes of a stage: counted, as a table, and as arrows from voter to choice. */

const CIRCLE = { width: 340, height: 300, radius: 104, face: 34 };

function voteNode(ballots) {
  if (!ballots.length) return null;
  const tally = tallyOf(ballots);
  const rows = tally.map(([text, voters]) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", `${(100 * voters.length) / ballots.length}%`);
    return el("li", {}, el("span", { class: "count" }, String(voters.length)), bar,
      el("span", {}, el("bdi", {}, text.replace(/[.]$/, "")), " — ", ...people(voters)));
  });
  const cells = ballots.map(({ voter, text, target }) => [
    el("bdi", {}, nameOf(voter)), el("bdi", {}, target === null ? text : nameOf(target))]);
  return el("div", { class: "tally" },
    el("h4", {}, "Tally"), el("ol", {}, ...rows),
    el("div", { class: "ballots" }, arrowsOf(ballots),
      scrolling("Votes", table("votes", ["Voter", "Vote"], cells))));
}

/** All who voted or were voted for, in a circle. */
function arrowsOf(ballots) {
  const named = new Set(ballots.flatMap(({ voter, target }) => [voter, target]));
  const around = [...seats.keys()].filter((agent) => named.has(agent));
  const { width, height, radius } = CIRCLE;
  const places = new Map(around.map((agent, index) => {
    const angle = (2 * Math.PI * index) / around.length - Math.PI / 2;
    const x = width / 2 + 1.15 * radius * Math.cos(angle);
    return [agent, { x, y: height / 2 - 8 + radius * Math.sin(angle) }];
  }));
  const told = ballots.map(({ voter, target, text }) =>
    `${plain(nameOf(voter))} → ${target === null ? plain(text) : plain(nameOf(target))}`);
  const drawing = svg("svg", { class: "arrows", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Votes: ${told.join("; ")}` });
  for (const { voter, target } of ballots) {
    if (target !== null && places.has(voter)) {
      drawing.append(arrow(places.get(voter), places.get(target), seats.get(voter).hue));
    }
  }
  for (const [agent, { x, y }] of places) drawing.append(standing(agent, x, y));
  return drawing;
}

function standing(agent, x, y) {
  const scale = CIRCLE.face / 40;
  const figure = svg("g", { transform: `translate(${x - 20 * scale} ${y - 20 * scale})` },
    svg("g", { transform: `scale(${scale})` }, face(agent)));
  const outside = y < CIRCLE.height / 2 - 8 ? -5 : CIRCLE.face + 13;
  const label = svg("text", { class: "label", x: 20 * scale, y: outside,
    "text-anchor": "middle" });
  const name = [...plain(nameOf(agent))];
  label.textContent = name.length > 14 ? `${name.slice(0, 13).join("")}…` : name.join("");
  figure.append(label);
  return figure;
}

/** A bent line, so that two who vote for each other have one each. */
function arrow(from, to, hue) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const bend = 0.12 * length;
  const middle = { x: (from.x + to.x) / 2 - (bend * dy) / length,
    y: (from.y + to.y) / 2 + (bend * dx) / length };
  const near = along(from, middle, CIRCLE.face / 2 + 2);
  const tip = along(to, middle, CIRCLE.face / 2 + 4);
  const back = along(tip, middle, 10);
  const [wx, wy] = [(tip.y - back.y) / 2, (back.x - tip.x) / 2];
  const line = svg("path", { class: "shaft",
    d: `M${at(near)} Q${at(middle)} ${at(back)}` });
  const corners = [tip, { x: back.x + wx, y: back.y + wy }, { x: back.x - wx, y: back.y - wy }];
  const group = svg("g", { class: "arrow" }, line,
    svg("polygon", { points: corners.map(at).join(" ") }));
  group.style.setProperty("--hue", hue);
  return group;
}

/** The point this far from one point towards another. */
function along(from, to, distance) {
  const share = distance / (Math.hypot(to.x - from.x, to.y - from.y) || 1);
  return { x: from.x + share * (to.x - from.x), y: from.y + share * (to.y - from.y) };
}

const at = ({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`;
