/* Beside the transcript: the result, the seats, the list of games. */

function amount(value) {
  if (value === null) return "not determined";
  return (value > 0 ? "+" : "") + String(Math.round(value * 1000) / 1000).replace("-", "−");
}

function valueNode(value) {
  if (Array.isArray(value)) {
    if (!value.length) return el("span", {}, "none");
    return el("ul", {}, ...value.map((item) => el("li", {}, valueNode(item))));
  }
  if (value !== null && typeof value === "object") {
    const pairs = Object.entries(value).map(([name, inner]) => [keyNode(name), valueNode(inner)]);
    const rows = pairs.flatMap(([name, inner]) => [el("dt", {}, name), el("dd", {}, inner)]);
    return el("dl", {}, ...rows);
  }
  const text = value === null ? "none" : String(value);
  return el("bdi", {}, seats.has(value) ? nameOf(value) : text.replaceAll("_", " "));
}

const keyNode = (key) => el("bdi", {}, seats.has(key) ? nameOf(key) : key.replaceAll("_", " "));

function renderResult() {
  const { outcome, terminated, config, env } = episode();
  const result = byId("result");
  if (!state.roles) {
    const show = el("button", { type: "button" }, "Show roles and result");
    show.addEventListener("click", () => update({ roles: true }));
    result.replaceChildren(el("p", {}, "Roles, rewards and the result are hidden."), show);
    return;
  }
  const { winner, ...others } = outcome;
  const ending = terminated ? "Played to its end" : "Cut short by a limit";
  const settings = { environment: env, seed: games[state.game].seed, ...config };
  result.replaceChildren(
    el("h2", {}, winner ? "Winner: " : "Result: ", headline(outcome)),
    el("p", {}, ending),
    el("details", {}, el("summary", {}, "Outcome in full"), valueNode(others)),
    el("details", {}, el("summary", {}, "Settings"), valueNode(settings)));
}

/** Who has won, or in games without winners how it ended. */
function headline({ winner, reason }) {
  if (winner) return valueNode(winner);
  return winner === undefined && reason ? valueNode(reason) : "no winner";
}

function rewardsNode() {
  if (!state.roles) return el("p", { class: "faint" }, "Hidden, as the roles are.");
  const rewards = episode().rewards;
  const names = [...new Set(Object.values(rewards).flatMap(Object.keys))];
  const head = ["Seat", "Total", ...names].map((name) => el("th", { scope: "col" }, name));
  const rows = [...seats.keys()].map((agent) => {
    const own = rewards[agent];
    const cells = names.map((name) => el("td", {}, name in own ? rewardNode(own[name]) : "–"));
    return el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, nameOf(agent))),
      el("td", {}, amount(total(own))), ...cells);
  });
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  const frame = { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Rewards" };
  return el("div", frame, table);
}

function rewardNode(value) {
  if (value !== null) return amount(value);
  return el("abbr", { title: "Not determined; it is not a zero" }, "n/d");
}

function renderSeats() {
  const cards = [...seats.values()].map(({ agent, policy }) => {
    const chosen = state.eyes === agent;
    const card = el("button", { type: "button", class: "seat", "aria-pressed": String(chosen),
      title: `See through ${plain(nameOf(agent))}'s eyes` },
      avatar(agent),
      el("span", { class: "who" }, personName(agent), roleTag(agent), chosen ? icon("eye") : null,
        el("span", { class: "status" })),
      policy ? el("bdi", { class: "policy" }, policy) : null);
    card.dataset.agent = agent;
    card.addEventListener("click", () => update({ eyes: chosen ? PUBLIC : agent }));
    return el("li", {}, card);
  });
  byId("seats").replaceChildren(el("h2", {}, "Seats"), el("ul", {}, ...cards),
    el("h2", {}, "Rewards"), rewardsNode());
}

/** Marks as dead whoever's death has been announced by now. */
function updateLives(last) {
  const now = last > 0 ? shown[last - 1].entry.order : -1;
  const dead = new Map();
  for (const [agent, { order, how }] of deaths) if (order <= now) dead.set(agent, how);
  for (const card of document.querySelectorAll(".seat")) {
    const how = dead.get(card.dataset.agent);
    card.classList.toggle("dead", how !== undefined);
    const alive = deaths.size ? "alive" : "";
    card.querySelector(".status").replaceChildren(...(how ? [icon("death"), how] : [alive]));
  }
}

function renderGames() {
  byId("games").hidden = games.length < 2;
  const items = games.map((game, index) => {
    const { env, seats: players, stages, outcome } = game.episode;
    const button = el("button", { type: "button" }, el("strong", {}, `Game ${index + 1}`),
      el("span", {}, `${env}, seed ${game.seed}`),
      el("span", {}, `${players.length} seats, ${stages.length} stages`),
      state.roles && outcome.winner ? el("span", {}, "Winner: ", valueNode(outcome.winner)) : null);
    if (index === state.game) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => update({ game: index, step: null, eyes: PUBLIC }));
    return el("li", {}, button);
  });
  byId("games").querySelector("ol").replaceChildren(...items);
}
