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

// --- state and controls ----------------------------------------------------------

function openGame() {
  seats = new Map(episode().seats.map((seat, index) => [
    seat.agent, { ...seat, name: seat.name || seat.agent, hue: (index * 137.5 + 25) % 360 }]));
  entries = entriesOf(episode());
  deaths = deathsOf(episode(), entries, nameOf);
  const players = [...seats.keys()].map((agent) => [agent, plain(nameOf(agent))]);
  const options = [[PUBLIC, "Everyone (public)"], ...players, [ALL, "All-knowing"]];
  byId("eyes").replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  byId("summary").textContent =
    `${episode().env}, seed ${games[state.game].seed}, ${seats.size} seats`;
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
  const number = (name) => {
    const text = parts.get(name) ?? "";
    return /^[1-9][0-9]*$/.test(text) ? Number(text) : null;
  };
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
  const on = (id, type, react) => byId(id).addEventListener(type, (event) => react(event.target));
  const stop = (then) => (target) => {
    setPlaying(false);
    then(target);
  };
  on("eyes", "change", ({ value }) => update({ eyes: value }));
  on("roles", "change", ({ checked }) => update({ roles: checked }));
  on("reasoning", "change", ({ checked }) => update({ reasoning: checked }));
  on("theme", "change", ({ value }) => update({ theme: value }));
  on("search", "input", ({ value }) => {
    state.query = value;
    updateProgress();
  });
  on("back", "click", stop(() => move(-1)));
  on("next", "click", stop(() => move(1)));
  on("play", "click", () => setPlaying(timer === null));
  on("scrubber", "input", stop(({ value }) => goTo(Number(value))));
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address is for the state
    byId("transcript").focus();
  });
  addEventListener("hashchange", recall);
  addEventListener("keydown", stepByKey);
}

function stepByKey(event) {
  const steps = {
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    Home: () => goTo(1),
    End: () => goTo(null),
  };
  const typing = event.target.matches?.("select, input:not([type=checkbox])");
  const modified = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
  if (typing || modified || !Object.hasOwn(steps, event.key)) return;
  event.preventDefault();
  setPlaying(false);
  steps[event.key]();
}

if (games.length) {
  listen();
  recall();
} else {
  byId("chapters").replaceChildren(el("p", { class: "note" }, "There is no game in this replay."));
}
