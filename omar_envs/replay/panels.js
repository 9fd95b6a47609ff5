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

// --- how it ended ------------------------------------------------------------

function renderResult() {
  const { outcome, terminated, config, env } = episode();
  const result = byId("result");
  if (!state.roles) {
    const what = state.eyes === ALL ? "" : "roles and ";
    const show = el("button", { type: "button" }, `Show ${what}result`);
    show.dataset.keep = "reveal";
    show.addEventListener("click", () => update({ roles: true }));
    const hidden = `${what ? "Roles, rewards" : "Rewards"} and the result are hidden.`;
    result.replaceChildren(el("p", {}, hidden), show);
    return;
  }
  const { winner, setting, ...others } = outcome;
  const ending = terminated ? "Played to its end" : "Cut short by a limit";
  const settings = { environment: env, seed: index[state.game].seed, ...config };
  result.replaceChildren(
    el("h2", {}, winner ? "Winner: " : "Result: ", headline(outcome)),
    el("p", {}, ending),
    ...dealNodes(outcome),
    ...game().judgements.map(judgementNode),
    el("details", {}, el("summary", {}, "Outcome in full"), valueNode(others)),
    el("details", {}, el("summary", {}, "Settings"), valueNode(settings)));
}

/** Who has won, or in games without winners how it ended. */
function headline({ winner, reason }) {
  if (winner) return valueNode(winner);
  return winner === undefined && reason ? valueNode(reason) : "no winner";
}

const MEASURES = {
  joint_share: "of the best joint result: all points together, against the most there could be",
  nash_product: "of the best Nash product: the gains multiplied, against the most there could be",
  pareto_share: "of the way to where nobody could gain without another's loss",
  pareto_optimal: "Pareto optimal: nobody could do better without another's loss",
  right_share: "of the participants had the right answer",
};

/** For outcomes that can be computed: who got what, beside the best that there was. */
function dealNodes({ settled, deal, points, scores, measures }) {
  const [got, worth] = [asObject(points), asObject(scores)];
  const agents = [...seats.keys()].filter((agent) => typeof ownOf(worth, agent) === "number");
  if (!agents.length) return [];
  const rows = agents.map((agent) => [
    el("bdi", {}, nameOf(agent)),
    typeof ownOf(got, agent) === "number" ? amount(got[agent]).replace("+", "") : "–",
    meter(worth[agent])]);
  const all = agents.reduce((sum, agent) => sum + (Number(ownOf(got, agent)) || 0), 0);
  const joint = asObject(measures).joint_share;
  const together = joint > 0
    ? el("p", {}, `Together ${plainAmount(all)} points; the best there could be `,
      `is ${plainAmount(all / joint)}.`)
    : null;
  const known = Object.entries(asObject(measures)).map(([name, value]) =>
    el("li", {}, name === "pareto_optimal" ? yesOrNo(value) : meter(value), " ",
      el("span", {}, Object.hasOwn(MEASURES, name) ? MEASURES[name] : name.replaceAll("_", " "))));
  const agreed = deal === null || deal === undefined ? null
    : el("div", { class: "agreed" }, el("h4", {}, "What was settled"), valueNode(deal));
  return [el("div", { class: "deal" },
    el("h3", {}, settled ? "Settled: who got what" : "Not settled: what that is worth"),
    scrolling("Who got what", table("got", ["Participant", "Points", "Score out of 1"], rows)),
    ...[together, agreed].filter(Boolean),
    known.length ? el("ul", { class: "measures" }, ...known) : "")];
}

const yesOrNo = (value) => el("strong", {}, value ? "yes" : "no");
const plainAmount = (value) => amount(value).replace("+", "");

/** A number with a bar where it lies in 0 to 1. */
function meter(value) {
  if (typeof value !== "number") return el("span", {}, String(value));
  const bar = el("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", `${100 * Math.max(0, Math.min(value, 1))}%`);
  return el("span", { class: "meter" }, bar, plainAmount(value));
}

// --- judges ------------------------------------------------------------------

function judgementNode({ result, parts }) {
  const title = result.model ? `Judged by ${result.model}` : "Judged";
  const about = [result.rubric_version && `rubric ${result.rubric_version}`, result.date,
    parts.length > 1 && `${parts.length} judgements`].filter(Boolean);
  const box = el("div", { class: "judgement" }, el("h3", {}, el("bdi", {}, title)),
    el("p", { class: "faint" }, about.join(" · ")));
  if (result.status !== "ok") {
    box.append(el("p", { class: "invalid" }, icon("warning"), ` ${result.status}: `,
      el("bdi", {}, result.error), " This is no score, and not a zero."));
    return box;
  }
  const scores = asObject(result.scores);
  const reasons = asObject(result.reasons);
  const agents = [...seats.keys()].filter((agent) => Object.hasOwn(scores, agent));
  const names = [...new Set(agents.flatMap((agent) => Object.keys(scores[agent])))];
  const rows = names.map((name) => [el("bdi", {}, name.replaceAll("_", " ")),
    ...agents.map((agent) => scoreOf(scores[agent], name))]);
  const head = ["Dimension", ...agents.map((agent) => el("bdi", {}, nameOf(agent)))];
  box.append(scrolling("Scores", table("scores", head, rows)));
  for (const agent of agents) {
    const told = Object.entries(asObject(ownOf(reasons, agent))).filter(([, text]) => text);
    if (!told.length) continue;
    const lines = told.flatMap(([name, text]) => [
      el("dt", {}, el("bdi", {}, name.replaceAll("_", " ")), ` ${scoreOf(scores[agent], name)}`),
      el("dd", {}, prose("p", String(text), ""))]);
    box.append(el("details", { open: true },
      el("summary", {}, "Why: ", el("bdi", {}, nameOf(agent))), el("dl", {}, ...lines)));
  }
  return box;
}

const scoreOf = (scores, name) => (Object.hasOwn(scores, name) ? plainAmount(scores[name]) : "–");

// --- seats, rewards, votes so far --------------------------------------------

function rewardsNode() {
  if (!state.roles) return el("p", { class: "faint" }, "Hidden, as the result is.");
  const rewards = episode().rewards;
  const names = [...new Set(Object.values(rewards).flatMap(Object.keys))];
  const rows = [...seats.keys()].map((agent) => {
    const own = ownOf(rewards, agent) ?? {};
    return [el("bdi", {}, nameOf(agent)), amount(total(own)),
      ...names.map((name) => (Object.hasOwn(own, name) ? rewardNode(own[name]) : "–"))];
  });
  return scrolling("Rewards", table("rewards", ["Seat", "Total", ...names], rows));
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
      el("span", { class: "who" }, personName(agent), el("span", { class: "known-role" }),
        chosen ? icon("eye") : null, el("span", { class: "status" })),
      // Nobody at the table is told what plays the others.
      policy && (state.roles || state.eyes === ALL)
        ? el("bdi", { class: "policy" }, policy) : null);
    card.dataset.agent = agent;
    card.dataset.keep = `seat-${agent}`;
    card.addEventListener("click", () => update({ eyes: chosen ? PUBLIC : agent }));
    return el("li", {}, card);
  });
  byId("seats").replaceChildren(el("h2", {}, "Seats"), el("ul", {}, ...cards),
    el("h2", {}, "Rewards"), rewardsNode(), el("div", { id: "all-votes" }));
}

/** What is known by now: who is dead, whose role has been told, how all have voted. */
function updateSeats(last) {
  const now = last > 0 ? shown[last - 1].entry.order : -1;
  const dead = new Map();
  for (const [agent, { order, how }] of deaths) if (order <= now) dead.set(agent, how);
  for (const card of document.querySelectorAll(".seat")) {
    const { agent } = card.dataset;
    const how = dead.get(agent);
    card.classList.toggle("dead", how !== undefined);
    const alive = deaths.size ? "alive" : "";
    card.querySelector(".status").replaceChildren(...(how ? [icon("death"), how] : [alive]));
    card.querySelector(".known-role").replaceChildren(roleTag(agent, now) ?? "");
  }
  byId("all-votes").replaceChildren(...allVotes(last));
}

/** A row for each seat, a column for each vote that is over. */
function allVotes(last) {
  const stages = new Map();
  shown.slice(0, last).forEach(({ entry }) =>
    stages.set(entry.stage, [...(stages.get(entry.stage) ?? []), entry]));
  const held = [...stages].map(([stage, own]) => [stage, ballotsOf(own, seats)])
    .filter(([, ballots]) => ballots.length);
  if (!held.length) return [];
  const head = ["Seat", ...held.map(([stage]) => el("bdi", {}, stage.label))];
  const rows = [...seats.keys()].map((agent) => [el("bdi", {}, nameOf(agent)),
    ...held.map(([, ballots]) => {
      const ballot = ballots.find(({ voter }) => voter === agent);
      if (!ballot) return "";
      return el("bdi", {}, ballot.target === null ? ballot.text : nameOf(ballot.target));
    })]);
  return [el("h2", {}, "Votes so far"), scrolling("Votes so far", table("so-far", head, rows))];
}

let listed = null; // whether the list of games tells who won; null before there is one

function renderGames() {
  if (listed !== state.roles) listGames();
  listed = state.roles;
  byId("games").querySelectorAll("button").forEach((button, number) => {
    if (number === state.game) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
}

function listGames() {
  byId("games").hidden = index.length < 2;
  byId("games").parentElement.classList.toggle("several", index.length > 1);
  const items = index.map(({ env, seed, seats: players, stages, winner, has_tokens }, number) => {
    const button = el("button", { type: "button" }, el("strong", {}, `Game ${number + 1}`),
      el("span", {}, `${env}, seed ${seed}`),
      el("span", {}, `${players.length} seats, ${stages} stages${has_tokens ? ", tokens" : ""}`),
      state.roles && winner ? el("span", {}, "Winner: ", winnerNode(winner, players)) : null);
    button.dataset.keep = `game-${number}`;
    button.addEventListener("click", () => update({ game: number, step: null, eyes: PUBLIC }));
    return el("li", {}, button);
  });
  byId("games").querySelector("ol").replaceChildren(...items);
}

/** A team, or the one seat that won: by the names of its own game. */
function winnerNode(winner, players) {
  const seat = players.find(({ agent }) => agent === winner);
  return el("bdi", {}, seat ? seat.name || winner : winner.replaceAll("_", " "));
}
