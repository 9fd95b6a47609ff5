/* The page: state, what each part of it shows, and the controls. */

const byId = (id) => document.getElementById(id);
const index = JSON.parse(byId("index").textContent); // of each game what its list shows
const sources = [...document.querySelectorAll("script.game")];

/** What is shown. `step` counts the visible entries shown; null is all, without a mark. */
const state = { game: 0, eyes: PUBLIC, roles: false, reasoning: false, credit: false, step: null,
  query: "", theme: "auto" };
let opened = { number: -1, data: null }; // a game is read when it is opened
let seats = new Map(); // agent → {agent, name, role, policy, index, hue}
let entries = []; // all of the game's
let deaths = new Map();
let revealed = new Map();
let credits = new Map();
let mostCredit = 1;
let shown = []; // [{entry, node, text}] for these eyes, in order

function game() {
  if (opened.number !== state.game) {
    opened = { number: state.game, data: JSON.parse(sources[state.game].textContent) };
  }
  return opened.data;
}

const episode = () => game().episode;
const nameOf = (agent) => seats.get(agent)?.name ?? (agent === MODERATOR ? "Moderator" : agent);

// --- state and controls ----------------------------------------------------------

function openGame() {
  seats = new Map(episode().seats.map((seat, number) => [seat.agent, { ...seat,
    name: seat.name || seat.agent, index: number, hue: (number * 137.5 + 25) % 360 }]));
  entries = entriesOf(episode());
  deaths = deathsOf(episode(), entries, nameOf);
  revealed = revealedRoles(seats, entries);
  credits = tokensByAct(game());
  mostCredit = strongest(credits);
  const players = [...seats.keys()].map((agent) => [agent, plain(nameOf(agent))]);
  const options = [[PUBLIC, "Everyone (public)"], ...players, [ALL, "All-knowing"]];
  byId("eyes").replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  byId("summary").textContent =
    `${episode().env}, seed ${index[state.game].seed}, ${seats.size} seats`;
}

/** Changes the state and redraws all that depends on it, keeping the place in the game
 *  and the focus. */
function update(changes, { newGame = "game" in changes } = {}) {
  const place = state.step === null ? null : shown[state.step - 1]?.entry.order ?? 0;
  const focused = document.activeElement?.dataset.keep;
  Object.assign(state, changes);
  if (newGame) openGame();
  if (!seats.has(state.eyes) && state.eyes !== ALL) state.eyes = PUBLIC;
  byId("eyes").value = state.eyes;
  for (const id of ["roles", "reasoning", "credit"]) byId(`show-${id}`).checked = state[id];
  byId("theme").value = state.theme;
  document.documentElement.dataset.theme = state.theme;
  renderGames();
  renderSetting();
  renderResult();
  renderCredit();
  renderSeats();
  if (place !== null && !("step" in changes)) {
    const seen = visibleTo(entries, state.eyes).filter((entry) => entry.order <= place);
    state.step = Math.max(seen.length, 1);
  }
  renderTranscript();
  if (focused) document.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  remember();
}

/** The address keeps the state, so that a place in a game can be linked to. */
function remember() {
  const { game: number, eyes, roles, reasoning, credit, step: place, theme } = state;
  const parts = { game: number ? number + 1 : "", eyes: eyes === PUBLIC ? "" : eyes,
    roles: roles ? 1 : "", reasoning: reasoning ? 1 : "", credit: credit ? 1 : "",
    step: place ?? "", theme: theme === "auto" ? "" : theme };
  const kept = Object.entries(parts).filter(([, value]) => value !== "");
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const number = (name) => {
    const text = parts.get(name) ?? "";
    return /^[1-9][0-9]*$/.test(text) ? Number(text) : null;
  };
  const theme = parts.get("theme");
  update({
    game: Math.min(number("game") ?? 1, index.length) - 1,
    eyes: parts.get("eyes") ?? PUBLIC,
    roles: parts.get("roles") === "1",
    reasoning: parts.get("reasoning") === "1",
    credit: parts.get("credit") === "1",
    theme: theme === "light" || theme === "dark" ? theme : "auto",
    step: null,
  });
  if (number("step")) goTo(number("step"));
}

function listen() {
  const on = (id, type, react) => byId(id).addEventListener(type, (event) => react(event.target));
  on("eyes", "change", ({ value }) => update({ eyes: value }));
  on("show-roles", "change", ({ checked }) => update({ roles: checked }));
  on("show-reasoning", "change", ({ checked }) => update({ reasoning: checked }));
  on("show-credit", "change", ({ checked }) => update({ credit: checked }));
  on("theme", "change", ({ value }) => update({ theme: value }));
  on("search", "input", ({ value }) => search(value));
  byId("search").addEventListener("keydown", searchByKey);
  on("hit-back", "click", () => stepHits(-1));
  on("hit-next", "click", () => stepHits(1));
  on("back", "click", () => step(() => move(-1)));
  on("next", "click", () => step(() => move(1)));
  on("play", "click", () => setPlaying(timer === null));
  on("scrubber", "input", ({ value }) => step(() => goTo(Number(value))));
  on("keys", "click", () => byId("help").showModal());
  on("help-close", "click", () => byId("help").close());
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address is for the state
    byId("transcript").focus();
  });
  byId("credit-switch").hidden = !index.some(({ has_tokens }) => has_tokens);
  addEventListener("hashchange", recall);
  addEventListener("keydown", actByKey);
}

if (index.length) {
  listen();
  recall();
} else {
  byId("chapters").replaceChildren(el("p", { class: "note" }, "There is no game in this replay."));
}
