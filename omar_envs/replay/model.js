"use strict";
/* What a reader may see of an episode. Nothing here touches the page. */

const PUBLIC = "public"; // the eyes of somebody at no seat
const ALL = "all"; // eyes that see everything
const MODERATOR = "moderator";
/** Cause of a death → the phase that announces it, and what the announcement tells of it:
 *  of those who die at night nobody is told how. */
const DEATHS = {
  killed: { phase: "night", how: "killed" },
  poisoned: { phase: "night", how: "killed" },
  voted_out: { phase: "vote", how: "voted out" },
  shot: { phase: "shot", how: "shot" },
};

/** Everything that happened, in order: messages, each with the act it came from, and
 *  the acts that left no message (a seat that said nothing). */
function entriesOf(episode) {
  const entries = [];
  for (const stage of episode.stages) {
    const messages = episode.messages.filter((message) => message.turn === stage.turn);
    const acts = episode.turns.filter((act) => act.turn === stage.turn);
    entries.push(...pair(stage, messages, acts));
  }
  entries.forEach((entry, order) => (entry.order = order));
  return entries;
}

function pair(stage, messages, acts) {
  const waiting = acts.filter((act) => !isSilence(act));
  const entries = messages.map((message) => {
    const made = waiting.filter((act) => act.agent === message.sender);
    // Who was asked to speak may have done something instead; a choice is never speech.
    const kind = message.kind === "speech" ? "SPEAK" : "CHOOSE";
    const act = made.find(({ request }) => request.kind === kind)
      ?? (message.kind === "action" ? made[0] : undefined);
    if (act) waiting.splice(waiting.indexOf(act), 1);
    return { stage, message, act: act ?? null };
  });
  acts.forEach((act, number) => {
    if (entries.some((entry) => entry.act === act)) return;
    const place = (other) => entries.findIndex((entry) => entry.act === other);
    const before = acts.slice(0, number).map(place).filter((index) => index >= 0);
    const after = acts.slice(number + 1).map(place).filter((index) => index >= 0);
    let index = entries.length;
    if (before.length) index = Math.max(...before) + 1;
    else if (after.length) index = Math.min(...after);
    entries.splice(index, 0, { stage, message: null, act });
  });
  return entries;
}

/** Whether an act that was to be speech came to nothing: no words, or a social scenario's
 *  act "none". */
function isSilence({ request, text }) {
  if (request.kind !== "SPEAK") return false;
  if (text === "") return true;
  try {
    return JSON.parse(text)?.action_type === "none";
  } catch {
    return false;
  }
}

function canRead(message, eyes) {
  return eyes === ALL || message.audience === null || message.audience.includes(eyes);
}

/** The entries that these eyes see. An act is its agent's own: others see its message. */
function visibleTo(entries, eyes) {
  return entries
    .map((entry) => ({
      ...entry,
      message: entry.message && canRead(entry.message, eyes) ? entry.message : null,
      act: entry.act && (eyes === ALL || entry.act.agent === eyes) ? entry.act : null,
    }))
    .filter((entry) => entry.message || entry.act);
}

/** Consecutive entries under one label ("Night 1") are a chapter, made of its stages. */
function chaptersOf(entries) {
  const chapters = [];
  for (const entry of entries) {
    if (chapters.at(-1)?.label !== entry.stage.label) {
      chapters.push({ label: entry.stage.label, stages: [] });
    }
    const { stages } = chapters.at(-1);
    if (stages.at(-1)?.stage !== entry.stage) stages.push({ stage: entry.stage, entries: [] });
    stages.at(-1).entries.push(entry);
  }
  return chapters;
}

function timeOfDay(stage) {
  const words = `${stage.label} ${stage.phase}`;
  if (/night/i.test(words)) return "night";
  return /day/i.test(words) ? "day" : "";
}

/** "discussion 2": the phase, numbered where it comes more than once under one label;
 *  "" where the label says it all. */
function phaseName(episode, stage) {
  const chapter = episode.stages.filter((other) => other.label === stage.label);
  if (chapter.length === 1) return "";
  const same = chapter.filter((other) => other.phase === stage.phase);
  // "night 2" would be another night, not the second round of acts in this one.
  const part = stage.phase === "night" ? ", part " : " ";
  const number = same.length > 1 ? `${part}${same.indexOf(stage) + 1}` : "";
  return stage.phase.replaceAll("_", " ") + number;
}

/** Votes of a stage, in order: [{voter, text, target}], the target an agent or null. Choices
 *  made in private are no vote, and two of them need no counting. */
function ballotsOf(entries, seats) {
  const votes = entries.map(({ message }) => message)
    .filter((message) => message?.kind === "action" && message.audience === null);
  if (votes.length < 3) return [];
  return votes.map(({ sender, text }) => ({
    voter: sender, text, target: namedIn(text, seats, sender),
  }));
}

/** The one seat that a text names, if it names one: of several the longest name. */
function namedIn(text, seats, except) {
  const named = [...seats.values()]
    .filter(({ agent, name }) => agent !== except && mentions(text, name))
    .sort((one, other) => other.name.length - one.name.length);
  return named[0]?.agent ?? null;
}

/** [[what was chosen, by whom], …], most frequent first. */
function tallyOf(ballots) {
  const senders = new Map();
  for (const { text, voter } of ballots) senders.set(text, [...(senders.get(text) ?? []), voter]);
  return [...senders].sort((one, other) => other[1].length - one[1].length);
}

/** Deaths that the outcome records and the log announces to everyone: agent → the order
 *  of the announcement, and how it died. */
function deathsOf(episode, entries, nameOf) {
  const deaths = new Map();
  const { deaths: recorded } = episode.outcome;
  for (const death of Array.isArray(recorded) ? recorded : []) {
    const { agent, day, cause } = death ?? {};
    // The last one: a tie is announced with the same names before another vote is held.
    const announcement = entries.findLast(
      ({ stage, message }) =>
        stage.phase === DEATHS[cause]?.phase &&
        stage.label.endsWith(` ${day}`) &&
        message?.sender === MODERATOR &&
        message.audience === null &&
        mentions(message.text, String(nameOf(agent))),
    );
    if (!announcement) continue;
    const how = `${DEATHS[cause].how}, ${announcement.stage.label}`;
    deaths.set(agent, { order: announcement.order, how });
  }
  return deaths;
}

/** Roles that the moderator told everyone together with their owner's name: agent → the
 *  order of that message. */
function revealedRoles(seats, entries) {
  const revealed = new Map();
  for (const { message, order } of entries) {
    if (message?.sender !== MODERATOR || message.audience !== null) continue;
    for (const sentence of message.text.split(/(?<=[.!?])\s/)) {
      for (const { agent, name, role } of seats.values()) {
        if (!role || revealed.has(agent) || !mentions(sentence, name)) continue;
        if (mentions(sentence.replaceAll(name, " "), role)) revealed.set(agent, order);
      }
    }
  }
  return revealed;
}

/** What looks like an object of this page's data, where anything may stand. */
function asObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** A property by a name that anybody may have chosen, "constructor" among them. */
function ownOf(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Whether a text holds a name as a word of its own. */
function mentions(text, name) {
  const escape = (mark) => `\\u{${mark.codePointAt(0).toString(16)}}`;
  const literal = name.replace(/[^\p{L}\p{N}]/gu, escape);
  return new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, "u").test(text);
}

/** Sum of the known components; those that could not be determined are null. */
function total(components) {
  return Object.values(components).reduce((sum, value) => sum + (value ?? 0), 0);
}
