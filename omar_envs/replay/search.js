/* Search in what these eyes see up to the current step: hits are marked, counted and
 * stepped through. */

const MOST_HITS = 5000;
const UNSEARCHED = ".avatar, .unseen, .credit, .tally, button, [hidden]";
let hits = []; // ranges, in reading order
let hit = -1; // the current one

function updateHits() {
  const query = state.query.trim().toLowerCase();
  hits = [];
  hit = -1;
  if (query) {
    for (const { node, text } of shown) {
      if (node.hidden || !text.includes(query)) continue;
      if (node.textContent.toLowerCase().indexOf(query) < 0) {
        node.querySelectorAll(".words .more").forEach((more) => more.click());
      }
      collectHits(node, query);
      if (hits.length >= MOST_HITS) break;
    }
  }
  markHits("hits", hits);
  showHit();
}

function collectHits(node, query) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT, ({ parentElement }) =>
    (parentElement.closest(UNSEARCHED) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT));
  while (walker.nextNode() && hits.length < MOST_HITS) {
    const { data } = walker.currentNode;
    const lower = data.toLowerCase();
    // Some letters have a longer lower case: then only hits as written have a place.
    const where = lower.length === data.length ? lower : data;
    let start = where.indexOf(query);
    while (start >= 0 && hits.length < MOST_HITS) {
      const range = new Range();
      range.setStart(walker.currentNode, start);
      range.setEnd(walker.currentNode, start + query.length);
      hits.push(range);
      start = where.indexOf(query, start + query.length);
    }
  }
}

/** Browsers without highlights show the entry of the current hit alone. */
function markHits(name, ranges) {
  const highlights = globalThis.CSS?.highlights;
  if (!highlights) return;
  const marked = new Highlight();
  ranges.forEach((range) => marked.add(range));
  highlights.set(name, marked);
}

function stepHits(by) {
  if (!hits.length) return;
  hit = hit < 0 && by < 0 ? hits.length - 1 : (hit + by + hits.length) % hits.length;
  showHit();
  const entry = hits[hit].startContainer.parentElement;
  entry.scrollIntoView({ block: "center" });
}

function showHit() {
  markHits("hit", hit < 0 ? [] : [hits[hit]]);
  document.querySelectorAll(".entry.found").forEach((node) => node.classList.remove("found"));
  if (hit >= 0) hits[hit].startContainer.parentElement.closest(".entry").classList.add("found");
  const count = hits.length >= MOST_HITS ? `${MOST_HITS} or more` : String(hits.length);
  let told = "";
  if (state.query.trim()) {
    if (!hits.length) told = "no hits";
    else if (hit >= 0) told = `${hit + 1} of ${count}`;
    else told = hits.length === 1 ? "1 hit" : `${count} hits`;
  }
  byId("hits").textContent = told;
  for (const id of ["hit-back", "hit-next"]) byId(id).disabled = !hits.length;
}

function searchByKey(event) {
  if (event.key === "Enter") {
    event.preventDefault();
    stepHits(event.shiftKey ? -1 : 1);
  } else if (event.key === "Escape" && state.query) {
    event.preventDefault();
    event.target.value = "";
    search("");
  }
}

function search(query) {
  state.query = query;
  updateHits();
}
