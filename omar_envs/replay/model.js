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
  const kindOf = (act) => (act.request.kind === "SPEAK" ? "speech" : "action");
  const waiting = acts.filter((act) => act.request.kind !== "SPEAK" || act.text !== "");
  const entries = messages.map((message) => {
    const index = waiting.findIndex(
      (act) => act.agent === message.sender && kindOf(act) === message.kind,
    );
    return { stage, message, act: index < 0 ? null : waiting.splice(index, 1)[0] };
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

/** Votes of a stage: [[what was chosen, by whom], …], most frequent first. Choices made
 *  in private are no vote, and two of them need no counting. */
function tallyOf(entries) {
  const votes = entries.map(({ message }) => message)
    .filter((message) => message?.kind === "action" && message.audience === null);
  const senders = new Map();
  for (const { text, sender } of votes) senders.set(text, [...(senders.get(text) ?? []), sender]);
  if (votes.length < 3) return [];
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
