/* The transcript of one game, as the chosen eyes see it. */

// --- small parts ------------------------------------------------------------

/** A seat's role, where these eyes know it: it is their own, they know everything, the game
 *  had told everyone by then, or the reader has asked for it. */
function roleTag(agent, order) {
  const { role } = seats.get(agent);
  if (!role) return null;
  const known = state.roles || state.eyes === agent || state.eyes === ALL;
  if (!known && !(revealed.get(agent) <= order)) return null;
  return el("bdi", { class: "tag role" }, role);
}

function audienceTag(message) {
  if (message.audience === null) return null;
  const readers = message.audience.length ? people(message.audience) : ["nobody at the table"];
  return el("span", { class: "tag private" }, icon("lock"), el("span", {}, "Only ", ...readers));
}

// --- the transcript ----------------------------------------------------------

function replyParts(act) {
  const split = game().replies[episode().turns.indexOf(act)];
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
    el("p", {}, "It counted as: ", isSilence(act) ? "silence" : el("bdi", {}, act.text), "."),
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
    : el("p", { class: "words" }, isSilence(act) ? "says nothing." : el("bdi", {}, act.text));
  const tags = [roleTag(sender, entry.order), message && audienceTag(message)].filter(Boolean);
  const head = el("header", {}, personName(sender));
  const bubble = el("div", { class: "bubble" }, head, reasoningNode(act));
  if (kind === "speech") bubble.append(words);
  else head.append(" ", words);
  head.append(...tags);
  bubble.append(...[invalidNode(act), creditNode(act), paidNode(act)].filter(Boolean));
  node.append(avatar(sender), bubble);
  return node;
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
      const votes = voteNode(ballotsOf(own, seats));
      if (votes) [...part.querySelectorAll(".action")].at(-1).after(votes);
      return part;
    });
    return el("section", { class: `chapter ${time}` }, title, ...parts);
  });
  byId("chapters").replaceChildren(...chapters);
  renderTrack();
  updateProgress();
}

/** Hides what comes after the current step. */
function updateProgress() {
  const last = state.step === null ? shown.length : Math.min(state.step, shown.length);
  shown.forEach(({ node }, index) => {
    node.hidden = index >= last;
    const current = state.step !== null && index === last - 1;
    node.classList.toggle("current", current);
    if (current) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  });
  for (const stage of document.querySelectorAll(".stage")) {
    stage.hidden = !stage.querySelector(".entry:not([hidden])");
    const tally = stage.querySelector(".tally");
    if (tally) tally.hidden = tally.previousElementSibling.hidden;
  }
  for (const chapter of document.querySelectorAll(".chapter")) {
    chapter.hidden = !chapter.querySelector(".stage:not([hidden])");
  }
  const unseen = state.reasoning && state.eyes === PUBLIC;
  byId("note").textContent = unseen
    ? "Reasoning is private: choose a seat's eyes, or all-knowing, to read it." : "";
  updateTimeline(last);
  updateSeats(last);
  updateHits();
}
