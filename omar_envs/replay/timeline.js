/* The place in the game: scrubber, chapters and deaths above it, keys, playing on. */

let timer = null;
let remembering = null;

function updateTimeline(last) {
  const scrubber = byId("scrubber");
  scrubber.max = Math.max(shown.length, 1);
  scrubber.value = last;
  scrubber.disabled = shown.length === 0;
  const label = last > 0 ? `, ${shown[last - 1].entry.stage.label}` : "";
  scrubber.setAttribute("aria-valuetext", `Message ${last} of ${shown.length}${plain(label)}`);
  byId("position").textContent = `${last} / ${shown.length}`;
  for (const mark of document.querySelectorAll(".fallen")) mark.hidden = mark.dataset.index >= last;
}

/** A part for each chapter, as wide as it is long, and a mark for each death. */
function renderTrack() {
  const parts = [];
  shown.forEach(({ entry: { stage } }, index) => {
    if (parts.at(-1)?.label === stage.label) parts.at(-1).count += 1;
    else parts.push({ label: stage.label, time: timeOfDay(stage), first: index + 1, count: 1 });
  });
  const nodes = parts.map(({ label, time, first, count }) => {
    const part = el("button", { type: "button", class: `part ${time}`, title: plain(label),
      "aria-label": `Go to ${plain(label)}` },
      time ? icon(time === "night" ? "moon" : "sun") : "", el("bdi", {}, label));
    part.style.setProperty("--count", count);
    part.addEventListener("click", () => {
      setPlaying(false);
      goTo(first);
    });
    return part;
  });
  const orders = new Map([...deaths].map(([agent, { order }]) => [order, agent]));
  shown.forEach(({ entry }, index) => {
    if (!orders.has(entry.order)) return;
    const mark = el("span", { class: "fallen", "aria-hidden": "true" }, icon("death"));
    mark.dataset.index = index;
    mark.style.setProperty("--place", (index + 0.5) / shown.length);
    nodes.push(mark);
  });
  byId("track").replaceChildren(...nodes);
}

function goTo(step) {
  state.step = step === null ? null : Math.max(1, Math.min(step, shown.length));
  updateProgress();
  // Browsers slow down a page that changes its address at every step.
  clearTimeout(remembering);
  remembering = setTimeout(remember, 200);
  const current = state.step === null ? null : shown[state.step - 1];
  if (!current) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  current.node.scrollIntoView({ block: "center", behavior: calm || !timer ? "auto" : "smooth" });
  byId("live").textContent = plain(spoken(current.entry));
}

/** What a screen reader is told of an entry: who, and the words. */
function spoken({ message, act }) {
  const sender = message?.sender ?? act.agent;
  return `${nameOf(sender)}: ${message?.text ?? (isSilence(act) ? "says nothing" : act.text)}`;
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
  button.title = playing ? "Pause (space)" : "Play (space)";
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

const KEYS = {
  ArrowLeft: () => step(() => move(-1)),
  ArrowRight: () => step(() => move(1)),
  Home: () => step(() => goTo(1)),
  End: () => step(() => goTo(null)),
  " ": () => setPlaying(timer === null),
  "?": () => byId("help").showModal(),
  "/": () => byId("search").focus(),
};

function step(go) {
  setPlaying(false);
  go();
}

function actByKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  // Some keyboards have / and ? on keys that need shift.
  if (event.shiftKey && !["/", "?"].includes(event.key)) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  // Keys that a control uses itself stay its own.
  const typing = event.target.matches?.("select, input:not([type=checkbox], [type=range])");
  const pressing = event.target.matches?.("button, summary, input, a");
  const sliding = event.target.matches?.("[type=range]");
  if (typing || (event.key === " " && pressing && !sliding)) return;
  if (sliding && /^(Arrow|Home|End)/.test(event.key)) return;
  if (event.target.closest?.(".scroll") && event.key.startsWith("Arrow")) return;
  event.preventDefault();
  KEYS[event.key]();
}
