// The panel beside the picture: what is selected, how two events are related, the cut.

const MOST_LISTED = 8;
const MOST_AGENTS = 40;
const MOST_STEPS = 20;
const HINT = "Choose an event to see what came before it, what came after, and what was concurrent. "
  + "Hold Shift and choose a second one to see how the two are related.";

function showPanel(view) {
  const { dom, selected, log } = view;
  const parts = [];
  if (view.cut) parts.push(cutPart(view));
  if (view.critical) parts.push(criticalPart(view));
  if (selected.length === 2) parts.push(relationPart(view));
  selected.forEach((row, place) => parts.push(eventPart(view, row, selected.length > 1 ? "AB"[place] : "")));
  if (!log.size) parts.push(said("hint", "The log is empty: there is nothing to show."));
  else if (!parts.length) parts.push(said("hint", HINT));
  dom.panel.replaceChildren(...parts);
}

function said(kind, ...words) { return make("p", { class: kind }, ...words); }

function more(count, noun = "") { return count > 0 ? said("none", `and ${grouped(count)} more ${noun}`) : null; }

function section(title, ...children) { return make("section", {}, make("h3", {}, title), ...children); }

function facts(rows) {
  return make("dl", {}, ...rows.filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function table(heads, rows, kind = "") {
  const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col" }, name)));
  return make("table", { class: kind }, heads.length ? make("thead", {}, head) : null, make("tbody", {}, ...rows));
}

// -- an event

function eventPart(view, row, letter) {
  const { log, about } = view;
  if (log.weight(row) > 1) return bucketPart(log, row);
  const [namespace, run] = log.header.worlds[log.world[row]];
  const where = [namespace === "default" ? "" : namespace, run].filter(Boolean).join(" / ");
  const workflow = log.workflowName(row);
  const part = section((letter ? `${letter}: ` : "") + ellipsis(log.title(row), 120), facts([
    ["type", log.typeWords(row)], ["id", log.id(row)], ["run", where], ["agent", log.agent(row)],
    ["workflow", workflow === log.agent(row) ? "" : workflow], ["step", log.step(row)],
    ["time", moment(log, log.time[row])], ["Lamport clock", grouped(log.depth[row] + 1)],
  ]));
  part.classList.add("event");
  if (log.damage && log.damage[row] >= 0) part.append(said("bad", `⚠ ${log.header.labels[log.damage[row]]}`));
  const bar = log.bars.find((one) => one.tip && one.rows.includes(row));
  if (bar) part.append(said("tipline", ellipsis(bar.tip, 240)));
  if (about && !letter) part.append(...aboutParts(view, row, about));
  return part;
}

function bucketPart(log, row) {
  return section(`${counted(log.weight(row), "event")} put together`,
    facts([["agent", log.agent(row)], ["from", moment(log, log.time[row])]]),
    said("none", "A page of so many events holds marks for them; a notebook shows each."));
}

/** What the causal order and the payload say of the selected event. */
function aboutParts(view, row, about) {
  if (about.error) return [said("bad", about.error)];
  const parts = [];
  if (view.classes) parts.push(said("order", orderWords(view)));
  if (about.clock) {
    parts.push(neighbourList(view, "causes", about.causes) || said("none", "no causes: it begins here"));
    parts.push(neighbourList(view, "leads to", about.effects) || "", clockTable(view, row, about.clock));
  }
  if (about.payload && about.payload.size) parts.push(payloadPart(about.payload));
  return parts;
}

function neighbourList(view, title, list) {
  if (!list.length) return null;
  const items = list.slice(0, MOST_LISTED)
    .map(({ row, kind }) => make("li", {}, eventButton(view, row), make("small", {}, ` ${kind}`)));
  return make("div", {}, make("h4", {}, title), make("ul", {}, ...items), more(list.length - MOST_LISTED));
}

function eventButton(view, row) {
  const { log } = view;
  const words = [ellipsis(log.title(row), 40), log.typeWords(row), ellipsis(log.agent(row), 30)].join(" · ");
  const onclick = () => {
    view.select(row);
    view.reveal(row);
  };
  return make("button", { type: "button", class: "link", title: log.id(row), onclick }, words);
}

/** Of each agent, how many of its events are in the past: the event's vector clock. */
function clockTable(view, row, clock) {
  const { log } = view;
  const order = log.header.lane_order.filter((lane) => clock[lane]);
  const rows = order.slice(0, MOST_AGENTS).map((lane) => make("tr", { class: lane === log.lane[row] ? "own" : "" },
    make("th", { scope: "row" }, ellipsis(laneName(log.header.lanes[lane]), 40)),
    make("td", {}, grouped(clock[lane]))));
  const left = more(order.length - MOST_AGENTS, "agents");
  return make("div", { class: "clock" }, make("h4", {}, "vector clock"), table([], rows), left);
}

function payloadPart({ text, kept, size }) {
  const isWhole = kept >= size;
  let shown = text;
  if (isWhole) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 1);
    } catch {
      // It is no JSON: it is shown as it stands.
    }
  }
  const length = isWhole ? bytesInWords(size) : `the first ${bytesInWords(kept)} of ${bytesInWords(size)}`;
  const body = make("pre", { tabindex: 0 }, shown + (isWhole ? "" : "…"));
  return make("div", { class: "payload" }, make("h4", {}, `payload (${length})`), body);
}

// -- two events

function relationWords({ word, path }) {
  if (word === "concurrent") return "A and B are concurrent: neither is a cause of the other";
  if (word === "same") return "A and B are one event";
  if (word === "unknown") return "this page does not hold what causes what";
  const [first, second] = word === "before" ? "AB" : "BA";
  return `${first} happened before ${second}: a path of ${counted(path.length, "event")}`;
}

function relationPart(view) {
  const { selected: [first, second], relation, log } = view;
  if (!relation) return section("A and B", said("none", "…"));
  return section("A and B", said("relation", relationWords(relation)),
    said("none", `${duration(Math.abs(log.time[first] - log.time[second]))} apart`),
    relation.path.length > 2 ? pathList(view, relation.path, -1) : null);
}

function pathList(view, rows, here) {
  const from = Math.max(0, Math.min(here - MOST_STEPS / 2, rows.length - MOST_STEPS));
  const items = rows.slice(from, from + MOST_STEPS)
    .map((row, place) => make("li", { class: place + from === here ? "here" : "" }, eventButton(view, row)));
  return make("div", {}, make("ol", { start: from + 1 }, ...items), more(rows.length - items.length));
}

function criticalPart(view) {
  const { log, critical: { rows, place } } = view;
  const took = rows.length ? log.time[rows[rows.length - 1]] - log.time[rows[0]] : 0;
  const time = took ? `, ${duration(took)}` : "";
  const step = (words, by) => make("button", { type: "button", onclick: () => view.stepCritical(by) }, words);
  return section("Critical path",
    said("", `${counted(rows.length, "event")}${time}: before each stands the last of its causes.`),
    said("", step("← previous", -1), " ", step("next →", 1)), pathList(view, rows, place));
}

// -- the cut

function cutPart(view) {
  const { log } = view;
  const part = section("Cut", ...consistencyParts(view));
  part.classList.add("cut");
  const order = log.header.lane_order;
  const rows = order.slice(0, MOST_AGENTS).map((lane) => {
    const { last, words } = stateAt(log, view.barsOf(lane), view.cut, lane);
    const event = last < 0 ? null : make("small", {}, `${ellipsis(log.title(last), 30)}: ${log.typeWords(last)}`);
    const count = `${grouped(view.cut[lane])} / ${grouped(log.rowsOfLane[lane].length)}`;
    return make("tr", {}, make("th", { scope: "row" }, ellipsis(laneName(log.header.lanes[lane]), 24)),
      make("td", {}, make("strong", {}, words), event), make("td", { class: "number" }, count));
  });
  part.append(table(["agent", "state, last event", "events"], rows, "states"));
  if (order.length > MOST_AGENTS) part.append(more(order.length - MOST_AGENTS, "agents"));
  return part;
}

/** Whether the cut is consistent; if not, the first arrow that crosses it backwards. */
function consistencyParts(view) {
  const { log, cutBroken } = view;
  if (!log.hasEdges) {
    return [said("none", "whether it is consistent is not known here: the causes are not in this view")];
  }
  if (!cutBroken.length) return [said("good", "✓ consistent: every event before the line has its causes before it")];
  const [cause, effect] = cutBroken[0];
  const count = cutBroken.length >= MOST_BROKEN ? `at least ${MOST_BROKEN}` : grouped(cutBroken.length);
  const cross = cutBroken.length === 1 ? "arrow crosses" : "arrows cross";
  const onclick = () => view.mendCut();
  return [
    said("bad", `✕ not consistent: ${count} ${cross} it backwards`),
    said("", "after the line: ", eventButton(view, cause)),
    said("", "and yet before it, its effect: ", eventButton(view, effect)),
    make("button", { type: "button", class: "mend", onclick }, "go to the closest consistent cut"),
  ];
}
