/* Who is credited: advantages of tokens and turns, and what the critic said. */

const CHART = { width: 720, height: 170, left: 46, right: 8, top: 12, bottom: 22 };
const MOST_TOKENS = 2000; // of one turn, shown before "Show all"

/** act → {turn, number, of}: the token data of each act, with its place among its agent's. */
function tokensByAct({ tokens, episode: { turns } }) {
  const found = new Map();
  for (const { agent, turns: own } of Object.values(tokens?.seats ?? {})) {
    const acts = turns.filter((act) => act.agent === agent);
    own.forEach((turn, index) =>
      found.set(acts[index], { turn, number: index + 1, of: acts.length }));
  }
  return found;
}

/** The largest advantage of the game, which has the strongest shade. */
function strongest(found) {
  let most = 0;
  for (const { turn } of found.values()) {
    for (const value of turn.advantages) most = Math.max(most, Math.abs(value ?? 0));
  }
  return most || 1;
}

/** What stands beside a turn: its own advantage, and its tokens. */
function creditNode(act) {
  const found = state.credit && act ? credits.get(act) : undefined;
  if (!found) return null;
  const { turn, number, of } = found;
  const parts = [`Turn ${number} of ${of}`];
  if (turn.reward !== null) parts.push(`reward ${amount(turn.reward)}`);
  if (!turn.learned) parts.push("not learned from");
  const head = el("p", { class: "caption" });
  if (turn.advantage !== null) {
    const name = `${sign(turn.advantage)} turn advantage ${amount(turn.advantage)}`;
    head.append(el("strong", { class: `turn-advantage ${side(turn.advantage)}` }, name));
  }
  head.append(el("span", {}, parts.join(" · ")));
  const box = el("div", { class: "credit" }, head);
  if (!state.reasoning && replyParts(act)[0]) {
    box.append(el("p", { class: "faint" },
      "This turn's tokens hold private reasoning: switch that on to read them."));
    return box;
  }
  box.append(tokensNode(turn));
  if (turn.values.length) box.append(sparkline(turn.values));
  box.append(numbersNode(turn));
  return box;
}

function tokensNode(turn) {
  const words = el("p", { class: "tokens prose", dir: "auto" });
  const show = (count) => {
    words.replaceChildren(...turn.tokens.slice(0, count).map((text, index) =>
      tokenNode(text, turn.advantages[index] ?? null, turn.values[index] ?? null)));
    if (count >= turn.tokens.length) return;
    const more = el("button", { type: "button", class: "more" },
      `… Show all ${turn.tokens.length.toLocaleString("en")} tokens`);
    more.addEventListener("click", () => show(turn.tokens.length));
    words.append(more);
  };
  show(MOST_TOKENS);
  return words;
}

function tokenNode(text, advantage, value) {
  const node = el("span", { class: `token ${side(advantage)}` }, text);
  const strength = Math.abs(advantage ?? 0) / mostCredit;
  node.style.setProperty("--strength", `${Math.round(55 * strength)}%`);
  node.style.setProperty("--line", `${1 + Math.round(2 * strength)}px`);
  const told = [advantage === null ? "" : `advantage ${amount(advantage)}`,
    value === null ? "" : `value ${amount(value)}`].filter(Boolean);
  node.title = told.join(", ");
  return node;
}

/** The same as numbers, made when they are asked for. */
function numbersNode(turn) {
  const box = el("details", { class: "numbers-frame" }, el("summary", {}, "Numbers"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.querySelector("table")) return;
    const rows = turn.tokens.slice(0, MOST_TOKENS).map((text, index) => [
      el("bdi", { class: "raw" }, text.replaceAll("\n", "⏎") || "∅"),
      known(turn.advantages[index]), known(turn.values[index])]);
    box.append(scrolling("Tokens", table("numbers", ["Token", "Advantage", "Value"], rows)));
  });
  return box;
}

const known = (value) => (value === null || value === undefined ? "–" : amount(value));
const side = (value) => (value === null || value === 0 ? "none" : value > 0 ? "plus" : "minus");
const sign = (value) => ({ plus: "▲", minus: "▼", none: "■" })[side(value)];

/** The critic's values of one turn as a line. */
function sparkline(values) {
  const finite = values.filter((value) => value !== null);
  if (finite.length < 2) return el("p", { class: "caption" }, `Value ${finite.map(amount).join()}`);
  const low = finite.reduce((one, other) => Math.min(one, other));
  const high = finite.reduce((one, other) => Math.max(one, other));
  const x = (index) => 2 + (236 * index) / (values.length - 1);
  const y = (value) => 34 - (30 * (value - low)) / (high - low || 1);
  const [first, last] = [finite[0], finite.at(-1)].map(amount);
  const line = svg("path", { class: "values", d: lineThrough(values, x, y) });
  const label = `Values from ${first} to ${last}, lowest ${amount(low)}, highest ${amount(high)}`;
  const drawing = svg("svg", { class: "spark", viewBox: "0 0 240 38", role: "img",
    "aria-label": label, preserveAspectRatio: "none" }, line);
  return el("p", { class: "sparks caption" }, `Value ${first}`, drawing, last);
}

function lineThrough(values, x, y) {
  let path = "";
  let broken = true;
  values.forEach((value, index) => {
    if (value === null) broken = true;
    else {
      path += `${broken ? "M" : "L"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      broken = false;
    }
  });
  return path;
}

// --- a seat's whole game -------------------------------------------------------

function renderCredit() {
  const panel = byId("credit");
  panel.hidden = !state.credit;
  if (!state.credit) return panel.replaceChildren();
  const { tokens } = game();
  const heading = el("h2", {}, "Credit");
  if (!tokens) {
    return panel.replaceChildren(heading,
      el("p", { class: "faint" }, "There are no token data for this game."));
  }
  const agents = state.eyes === ALL ? [...seats.keys()] : [state.eyes];
  const charts = agents.filter((agent) => ownOf(tokens.seats, agent)?.turns.length)
    .map((agent) => creditChart(agent, ownOf(tokens.seats, agent).turns));
  const about = el("p", { class: "faint" }, "Estimator: ",
    el("bdi", {}, tokens.estimator.replaceAll("_", " ")),
    ". Bars: the advantage of each turn. Line: the critic's value before each of the seat's ",
    "own tokens, turn by turn.");
  const none = state.eyes === PUBLIC
    ? "Credit is of a seat's own tokens: choose a seat's eyes, or all-knowing, to see it."
    : "There are no tokens of this seat.";
  panel.replaceChildren(heading, about,
    ...(charts.length ? charts : [el("p", { class: "faint" }, none)]));
}

/** Bars for the turns, a line for the values: one seat's game from left to right. */
function creditChart(agent, turns) {
  const { width, height, left, right, top, bottom } = CHART;
  const shares = turns.map(({ tokens }) => Math.max(tokens.length, 1));
  const all = shares.reduce((sum, share) => sum + share, 0) || 1;
  const amounts = turns.flatMap(({ advantage, values }) => [advantage, ...values])
    .filter((value) => value !== null);
  const low = amounts.reduce((one, other) => Math.min(one, other), 0);
  const high = amounts.reduce((one, other) => Math.max(one, other), 0) || (low < 0 ? 0 : 1);
  const x = (place) => left + ((width - left - right) * place) / all;
  const y = (value) => top + ((height - top - bottom) * (high - value)) / (high - low || 1);
  const drawing = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": chartLabel(agent, turns) });
  for (const value of new Set([low, 0, high])) {
    drawing.append(
      svg("line", { class: value === 0 ? "zero" : "grid", x1: left, x2: width - right,
        y1: y(value), y2: y(value) }),
      // Labels that would lie on that of zero are left out.
      value !== 0 && Math.abs(y(value) - y(0)) < 12 ? ""
        : chartText(left - 6, y(value) + 4, amount(value), "end"));
  }
  let start = 0;
  const points = [];
  turns.forEach(({ advantage, values }, index) => {
    const [from, to] = [x(start), x(start + shares[index])];
    if (index) {
      drawing.append(svg("line", { class: "grid", x1: from, x2: from, y1: top,
        y2: height - bottom }));
    }
    if (advantage !== null && advantage !== 0) {
      drawing.append(svg("rect", { class: `turn ${side(advantage)}`, x: from + 1,
        width: Math.max(to - from - 2, 1), y: y(Math.max(advantage, 0)),
        height: Math.abs(y(advantage) - y(0)) }));
    }
    if (to - from > 14) {
      drawing.append(chartText((from + to) / 2, height - 6, String(index + 1), "middle"));
    }
    points.push(null);
    values.forEach((value, token) => points.push(value === null ? null
      : { x: x(start + token + 0.5), y: y(value) }));
    start += shares[index];
  });
  drawing.append(svg("path", { class: "values", d: throughPoints(points) }));
  return el("figure", { class: "chart-of" },
    el("figcaption", {}, avatar(agent), personName(agent)), drawing);
}

function throughPoints(points) {
  const xs = points.map((point) => point?.x ?? 0);
  return lineThrough(points.map((point) => point?.y ?? null), (index) => xs[index], (y) => y);
}

function chartText(x, y, text, anchor) {
  const node = svg("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}

function chartLabel(agent, turns) {
  const told = turns.map(({ advantage }, index) => `turn ${index + 1} ${known(advantage)}`);
  return `Turn advantages of ${plain(nameOf(agent))}: ${told.join(", ")}`;
}
