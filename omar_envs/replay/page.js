/* The page: state, what each part of it shows, and the controls. */

const games = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** What is shown. `step` counts the visible entries shown; null is all, without a mark. */
const state = {
  game: 0, eyes: PUBLIC, roles: false, reasoning: false, step: null, query: "", theme: "auto",
};
let seats = new Map(); // agent → {agent, name, role, policy, hue}
let entries = []; // all of the game's
let deaths = new Map();
let shown = []; // [{entry, node, text}] for these eyes, in order
let timer = null;

const episode = () => games[state.game].episode;
const nameOf = (agent) => seats.get(agent)?.name ?? (agent === MODERATOR ? "Moderator" : agent);

// --- small parts ------------------------------------------------------------

function avatar(agent) {
  const seat = seats.get(agent);
  const node = el("span", { class: "avatar", "aria-hidden": "true" }, [...nameOf(agent)][0] ?? "?");
  node.style.setProperty("--hue", seat.hue);
  return node;
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

/** A seat's role, where the reader has asked for roles or looks through its eyes. */
function roleTag(agent) {
  const { role } = seats.get(agent);
  if (!role || !(state.roles || state.eyes === agent)) return null;
  return el("bdi", { class: "tag role" }, role);
}

function audienceTag(message) {
  if (message.audience === null) return null;
  const readers = message.audience.length ? people(message.audience) : ["nobody at the table"];
  return el("span", { class: "tag private" }, icon("lock"), el("span", {}, "Only ", ...readers));
}

// --- the transcript ----------------------------------------------------------

function replyParts(act) {
  const split = games[state.game].replies[episode().turns.indexOf(act)];
  return split ?? ["", act.reply.trim()];
}

function reasoningNode(act) {
  if (!state.reasoning || !act) return null;
  const [hidden, rest] = replyParts(act);
  const asWritten = act.valid && rest !== act.text;
  if (!hidden && !asWritten) return null;
  return el("div", { class: "reasoning" },
    hidden ? el("p", { class: "caption" }, icon("thought"), "Private reasoning") : null,
    hidden ? prose("p", hidden, "thought") : null,
    asWritten ? el("p", { class: "caption" }, "Reply as written") : null,
    asWritten ? prose("p", rest, "raw") : null);
}

function invalidNode(act) {
  if (!act || act.valid) return null;
  const [hidden, rest] = replyParts(act);
  const empty = hidden ? "Nothing beside private reasoning" : "An empty reply";
  return el("div", { class: "invalid" },
    el("p", { class: "caption" }, icon("warning"), el("strong", {}, "Invalid act: "),
      el("bdi", {}, act.error)),
    el("p", {}, "It counted as: ", act.text ? el("bdi", {}, act.text) : "silence", "."),
    el("p", { class: "caption" }, "Reply as written"),
    rest ? prose("p", rest, "raw") : el("p", { class: "raw" }, el("em", {}, empty)));
}

function paidNode(act) {
  if (!act || !state.roles) return null;
  const paid = Object.entries(act.reward_components).filter(([, value]) => value !== 0);
  if (!paid.length) return null;
  const tags = paid.map(([name, value]) => el("span", { class: "tag" }, `${name} ${amount(value)}`));
  return el("p", { class: "paid" }, el("span", { class: "unseen" }, "Reward: "), ...tags);
}

function entryNode(entry) {
  const { message, act } = entry;
  const sender = message?.sender ?? act.agent;
  const death = deaths.get(entry.order);
  const kind = message?.kind ?? "silence";
  const classes = ["entry", kind];
  if (sender === state.eyes) classes.push("own");
  if (message && message.audience !== null) classes.push("secret");
  if (death) classes.push("death");
  const node = el("article", { class: classes.join(" ") });
  if (sender === MODERATOR) {
    node.append(el("div", { class: "line" }, death ? icon("death") : "",
      prose("p", message.text, "words"), audienceTag(message)));
    return node;
  }
  const words = message
    ? prose("p", message.text, "words")
    : el("p", { class: "words" }, act.text ? el("bdi", {}, act.text) : "says nothing.");
  const tags = [roleTag(sender), message && audienceTag(message)].filter(Boolean);
  const head = el("header", {}, personName(sender));
  const bubble = el("div", { class: "bubble" }, head, reasoningNode(act));
  if (kind === "speech") bubble.append(words);
  else head.append(" ", words);
  head.append(...tags);
  bubble.append(...[invalidNode(act), paidNode(act)].filter(Boolean));
  node.append(avatar(sender), bubble);
  return node;
}

function tallyNode(stageEntries) {
  const rows = tallyOf(stageEntries).map(([text, senders]) => {
    const bar = el("meter", { min: 0, max: stageEntries.length, value: senders.length,
      "aria-hidden": "true" });
    return el("li", {}, el("span", { class: "count" }, String(senders.length)), bar,
      el("span", {}, el("bdi", {}, text.replace(/[.]$/, "")), " — ", ...people(senders)));
  });
  return rows.length ? el("div", { class: "tally" }, el("h4", {}, "Tally"), el("ol", {}, ...rows)) : null;
}

function renderTranscript() {
  shown = [];
  const chapters = chaptersOf(visibleTo(entries, state.eyes)).map(({ label, stages }) => {
    const time = timeOfDay(stages[0].stage);
    const title = el("h2", {}, el("bdi", {}, label));
    if (time) title.prepend(icon(time === "night" ? "moon" : "sun"));
    const parts = stages.map(({ stage, entries: own }) => {
      const part = el("div", { class: "stage" }, el("h3", {}, phaseName(episode(), stage)));
      for (const entry of own) {
        const node = entryNode(entry);
        shown.push({ entry, node, text: `${node.textContent} ${entry.message?.text ?? ""}`.toLowerCase() });
        part.append(node);
      }
      part.append(tallyNode(own) ?? "");
      return part;
    });
    return el("section", { class: `chapter ${time}` }, title, ...parts);
  });
  byId("chapters").replaceChildren(...chapters);
  updateProgress();
}

/** Hides what comes after the current step and what the search does not find. */
function updateProgress() {
  const last = state.step === null ? shown.length : Math.min(state.step, shown.length);
  const query = state.query.trim().toLowerCase();
  shown.forEach(({ node, text }, index) => {
    node.hidden = index >= last || (query !== "" && !text.includes(query));
    const current = state.step !== null && index === last - 1;
    node.classList.toggle("current", current);
    if (current) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  });
  for (const stage of document.querySelectorAll(".stage")) {
    const nodes = [...stage.querySelectorAll(".entry")];
    stage.hidden = nodes.every((node) => node.hidden);
    const tally = stage.querySelector(".tally");
    if (tally) tally.hidden = query !== "" || nodes.filter((node) => node.matches(".action")).at(-1).hidden;
  }
  for (const chapter of document.querySelectorAll(".chapter")) {
    chapter.hidden = !chapter.querySelector(".stage:not([hidden])");
  }
  const scrubber = byId("scrubber");
  scrubber.max = Math.max(shown.length, 1);
  scrubber.value = last;
  scrubber.disabled = shown.length === 0;
  scrubber.setAttribute("aria-valuetext", `Message ${last} of ${shown.length}`);
  byId("position").textContent = `${last} / ${shown.length}`;
  const found = shown.filter(({ node }) => !node.hidden).length;
  let note = "";
  if (query) note = `${found} of ${shown.length} entries match the search.`;
  else if (state.reasoning && state.eyes === PUBLIC) {
    note = "Reasoning is private: choose a seat's eyes, or all-knowing, to read it.";
  }
  byId("note").textContent = note;
  updateLives(last);
}

// --- result and seats ----------------------------------------------------------

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
    return el("dl", {}, ...pairs.flatMap(([name, inner]) => [el("dt", {}, name), el("dd", {}, inner)]));
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
    el("h2", {}, winner ? "Winner: " : "Result: ", winner ? valueNode(winner) : "no winner"),
    el("p", {}, ending),
    el("details", {}, el("summary", {}, "Outcome in full"), valueNode(others)),
    el("details", {}, el("summary", {}, "Settings"), valueNode(settings)));
}

function rewardsNode() {
  if (!state.roles) return el("p", { class: "faint" }, "Hidden, as the roles are.");
  const rewards = episode().rewards;
  const names = [...new Set(Object.values(rewards).flatMap(Object.keys))];
  const head = ["Seat", ...names, "Total"].map((name) => el("th", { scope: "col" }, name));
  const rows = [...seats.keys()].map((agent) => {
    const own = rewards[agent];
    const cells = names.map((name) => el("td", {}, name in own ? rewardNode(own[name]) : "–"));
    return el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, nameOf(agent))), ...cells,
      el("td", {}, amount(total(own))));
  });
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Rewards" }, table);
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
  for (const [order, { agent, how }] of deaths) if (order <= now) dead.set(agent, how);
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
      state.roles && outcome.winner ? el("span", {}, "Winner: ", el("bdi", {}, String(outcome.winner))) : null);
    if (index === state.game) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => update({ game: index, step: null, eyes: PUBLIC }));
    return el("li", {}, button);
  });
  byId("games").querySelector("ol").replaceChildren(...items);
}

// --- state and controls ----------------------------------------------------------

function openGame() {
  seats = new Map(episode().seats.map((seat, index) => [
    seat.agent, { ...seat, name: seat.name || seat.agent, hue: (index * 137.5 + 25) % 360 }]));
  entries = entriesOf(episode());
  deaths = deathsOf(episode(), entries, nameOf);
  const options = [[PUBLIC, "Everyone (public)"], ...[...seats.keys()].map((agent) => [agent, plain(nameOf(agent))]),
    [ALL, "All-knowing"]];
  byId("eyes").replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  byId("summary").textContent =
    `${episode().env}, seed ${games[state.game].seed}, ${seats.size} seats, ${entries.length} entries in the log`;
}

/** Changes the state and redraws all that depends on it, keeping the place in the game. */
function update(changes, { newGame = "game" in changes } = {}) {
  const place = state.step === null ? null : shown[state.step - 1]?.entry.order ?? 0;
  Object.assign(state, changes);
  if (newGame) openGame();
  if (!seats.has(state.eyes) && state.eyes !== ALL) state.eyes = PUBLIC;
  byId("eyes").value = state.eyes;
  byId("roles").checked = state.roles;
  byId("reasoning").checked = state.reasoning;
  byId("theme").value = state.theme;
  document.documentElement.dataset.theme = state.theme;
  renderGames();
  renderResult();
  renderSeats();
  if (place !== null && !("step" in changes)) {
    const seen = visibleTo(entries, state.eyes).filter((entry) => entry.order <= place);
    state.step = Math.max(seen.length, 1);
  }
  renderTranscript();
  remember();
}

function goTo(step) {
  state.step = step === null ? null : Math.max(1, Math.min(step, shown.length));
  updateProgress();
  remember();
  const current = state.step === null ? null : shown[state.step - 1];
  if (!current) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  current.node.scrollIntoView({ block: "center", behavior: calm || !timer ? "auto" : "smooth" });
  byId("live").textContent = plain(current.node.textContent);
}

function move(by) {
  if (!shown.length) return;
  if (state.step === null) goTo(by > 0 ? 1 : shown.length - 1);
  else goTo(state.step + by);
}

function setPlaying(playing) {
  clearTimeout(timer);
  timer = null;
  const button = byId("play");
  button.replaceChildren(icon(playing ? "pause" : "play"));
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
  button.title = playing ? "Pause" : "Play";
  if (!playing || !shown.length) return;
  const again = state.step === null || state.step >= shown.length;
  const tick = () => {
    if (state.step >= shown.length) return setPlaying(false);
    move(1);
    timer = setTimeout(tick, pause());
  };
  timer = setTimeout(tick, pause());
  if (again) goTo(1);
}

/** Milliseconds to read the current entry. */
function pause() {
  const length = shown[(state.step ?? 1) - 1]?.text.length ?? 0;
  return Math.min(1000 + 20 * length, 5000);
}

/** The address keeps the state, so that a place in a game can be linked to. */
function remember() {
  const { game, eyes, roles, reasoning, step, theme } = state;
  const parts = { game: game ? game + 1 : "", eyes: eyes === PUBLIC ? "" : eyes,
    roles: roles ? 1 : "", reasoning: reasoning ? 1 : "", step: step ?? "",
    theme: theme === "auto" ? "" : theme };
  const kept = Object.entries(parts).filter(([, value]) => value !== "");
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (/^[1-9][0-9]*$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : null);
  const theme = parts.get("theme");
  update({
    game: Math.min(number("game") ?? 1, games.length) - 1,
    eyes: parts.get("eyes") ?? PUBLIC,
    roles: parts.get("roles") === "1",
    reasoning: parts.get("reasoning") === "1",
    theme: theme === "light" || theme === "dark" ? theme : "auto",
    step: null,
  });
  if (number("step")) goTo(number("step"));
}

function listen() {
  byId("eyes").addEventListener("change", (event) => update({ eyes: event.target.value }));
  byId("roles").addEventListener("change", (event) => update({ roles: event.target.checked }));
  byId("reasoning").addEventListener("change", (event) => update({ reasoning: event.target.checked }));
  byId("theme").addEventListener("change", (event) => update({ theme: event.target.value }));
  byId("search").addEventListener("input", (event) => {
    state.query = event.target.value;
    updateProgress();
  });
  byId("back").addEventListener("click", () => { setPlaying(false); move(-1); });
  byId("next").addEventListener("click", () => { setPlaying(false); move(1); });
  byId("play").addEventListener("click", () => setPlaying(timer === null));
  byId("scrubber").addEventListener("input", (event) => { setPlaying(false); goTo(Number(event.target.value)); });
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("transcript").focus(); });
  addEventListener("hashchange", recall);
  addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: () => move(-1), ArrowRight: () => move(1), Home: () => goTo(1), End: () => goTo(null) };
    const typing = event.target.matches?.("select, textarea, input:not([type=checkbox])");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !(event.key in steps)) return;
    event.preventDefault();
    setPlaying(false);
    steps[event.key]();
  });
}

if (games.length) {
  listen();
  recall();
} else {
  byId("chapters").replaceChildren(el("p", { class: "note" }, "There is no game in this replay."));
}
