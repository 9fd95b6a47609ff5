/* The transcript of one game, as the chosen eyes see it. */

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
  const tags = paid.map(([name, value]) =>
    el("bdi", { class: "tag" }, `${name} ${amount(value)}`));
  return el("p", { class: "paid" }, el("span", { class: "unseen" }, "Reward: "), ...tags);
}

function entryNode(entry) {
  const { message, act } = entry;
  const sender = message?.sender ?? act.agent;
  const death = [...deaths.values()].some(({ order }) => order === entry.order);
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
  const tally = tallyOf(stageEntries);
  if (!tally.length) return null;
  const votes = tally.reduce((sum, [, senders]) => sum + senders.length, 0);
  const rows = tally.map(([text, senders]) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", `${(100 * senders.length) / votes}%`);
    return el("li", {}, el("span", { class: "count" }, String(senders.length)), bar,
      el("span", {}, el("bdi", {}, text.replace(/[.]$/, "")), " — ", ...people(senders)));
  });
  return el("div", { class: "tally" }, el("h4", {}, "Tally"), el("ol", {}, ...rows));
}

function renderTranscript() {
  shown = [];
  const chapters = chaptersOf(visibleTo(entries, state.eyes)).map(({ label, stages }) => {
    const time = timeOfDay(stages[0].stage);
    const title = el("h2", {}, el("bdi", {}, label));
    if (time) title.prepend(icon(time === "night" ? "moon" : "sun"));
    const parts = stages.map(({ stage, entries: own }) => {
      const phase = phaseName(episode(), stage);
      const part = el("div", { class: "stage" }, phase ? el("h3", {}, el("bdi", {}, phase)) : null);
      for (const entry of own) {
        const node = entryNode(entry);
        const text = `${node.textContent} ${entry.message?.text ?? ""}`.toLowerCase();
        shown.push({ entry, node, text });
        part.append(node);
      }
      const tally = tallyNode(own);
      if (tally) [...part.querySelectorAll(".action")].at(-1).after(tally);
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
    stage.hidden = !stage.querySelector(".entry:not([hidden])");
    const tally = stage.querySelector(".tally");
    if (tally) tally.hidden = query !== "" || tally.previousElementSibling.hidden;
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
