/* What stands before the first turn: what a seat was told, or the whole setting. */

function renderSetting() {
  const { briefing, episode: { outcome } } = game();
  const setting = asObject(outcome.setting);
  const parts = [];
  if (state.eyes === PUBLIC) {
    if (briefing?.public) parts.push(el("h2", {}, "Scenario"), prose("p", briefing.public, ""));
  } else if (state.eyes !== ALL) {
    const told = briefing?.seats[state.eyes];
    if (told) parts.push(toldNode(`What ${nameOf(state.eyes)} was told`, told));
  }
  const everything = state.eyes === ALL || state.roles;
  if (everything && typeof setting.scenario === "string") parts.push(...settingNodes(setting));
  if (state.eyes === ALL && briefing) {
    const told = Object.entries(briefing.seats).map(([agent, text]) =>
      toldNode(`What ${nameOf(agent)} was told`, text));
    parts.push(el("details", {}, el("summary", {}, "What each seat was told"), ...told));
  }
  byId("setting").hidden = !parts.length;
  byId("setting").replaceChildren(...parts);
}

function toldNode(title, text) {
  return el("details", {}, el("summary", {}, el("bdi", {}, title)), prose("div", text, "told"));
}

function settingNodes({ scenario, participants, relationships }) {
  const cards = Object.entries(asObject(participants)).map(([agent, told]) =>
    participantNode(agent, asObject(told)));
  const pairs = Array.isArray(relationships) ? relationships.map(relationshipNode) : [];
  return [
    el("h2", {}, "Scenario"), prose("p", scenario, ""),
    el("div", { class: "profiles" }, ...cards),
    pairs.length ? el("ul", { class: "relationships" }, ...pairs) : "",
  ].filter(Boolean);
}

function participantNode(agent, { name, background, goal, secret }) {
  const rows = [["Goal", goal], ["Secret", secret]].filter(([, text]) => isText(text))
    .flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, prose("p", text, ""))]);
  const known = seats.has(agent);
  const head = el("h3", {}, known ? avatar(agent) : "",
    known ? personName(agent) : el("bdi", {}, String(name ?? agent)));
  return el("article", { class: "profile" }, head, el("dl", {}, ...rows),
    isText(background) ? el("details", {}, el("summary", {}, "Background"),
      prose("p", background, "told")) : "");
}

const isText = (value) => typeof value === "string" && value !== "";

function relationshipNode(pair) {
  const { agents, relationship } = asObject(pair);
  const both = Array.isArray(agents) ? agents.map(String) : [];
  return el("li", {}, ...people(both), ": ",
    el("bdi", {}, String(relationship).replaceAll("_", " ")));
}
