// The panel beside the picture: what is selected, how two events are related, the cut.

const MOST_LISTED = 8;
const MOST_AGENTS = 40;

function showPanel(view) {
  const { dom, selected, log } = view;
  const parts = [];
  if (view.cut) parts.push(cutPart(view));
  if (view.critical) parts.push(criticalPart(view));
  if (selected.length === 2) parts.push(relationPart(view));
  selected.forEach((row, place) => parts.push(eventPart(view, row, selected.length > 1 ? "AB"[place] : "")));
  if (!log.size) parts.push(make("p", { class: "hint" }, "The log is empty: there is nothing to show."));
  else if (!parts.length) {
    parts.push(make("p", { class: "hint" }, "Choose an event to see what came before it, what came after, and what was concurrent. "
      + "Hold Shift and choose a second one to see how the two are related."));
  }
  dom.panel.replaceChildren(...parts);
}

function section(title, ...children) { return make("section", {}, make("h3", {}, title), ...children); }

function facts(rows) {
  return make("dl", {}, ...rows.filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function eventPart(view, row, letter) {
  const { log, about } = view;
  const [namespace, run] = log.header.worlds[log.world[row]];
  const weight = log.weight(row);
  if (weight > 1) {
    return section(`${counted(weight, "event")} put together`,
      facts([["agent", log.agent(row)], ["from", moment(log, log.time[row])]]),
      make("p", { class: "none" }, "A page of so many events holds marks for them; a notebook shows each."));
  }
  const title = (letter ? `${letter}: ` : "") + ellipsis(log.title(row), 120);
  const where = [namespace === "default" ? "" : namespace, run].filter(Boolean).join(" / ");
  const part = section(title,
    facts([["type", log.typeWords(row)], ["id", log.id(row)], ["run", where], ["agent", log.agent(row)],
      ["workflow", log.stream[row] >= 0 && log.workflowName(row) !== log.agent(row) ? log.workflowName(row) : ""],
      ["step", log.step(row)], ["time", moment(log, log.time[row])], ["Lamport clock", grouped(log.depth[row] + 1)]]));
  part.classList.add("event");
  if (log.damage && log.damage[row] >= 0) part.append(make("p", { class: "bad" }, `⚠ ${log.header.labels[log.damage[row]]}`));
  const bar = log.bars.find((one) => one.rows.includes(row) && one.tip);
  if (bar) part.append(make("p", { class: "tipline" }, ellipsis(bar.tip, 240)));
  if (!about || letter) return part;
  if (about.error) part.append(make("p", { class: "bad" }, about.error));
  if (view.classes) part.append(make("p", { class: "order" }, orderWords(view)));
  if (about.causes) part.append(neighbourList(view, "causes", about.causes), neighbourList(view, "leads to", about.effects));
  if (about.clock) part.append(clockTable(view, row, about.clock));
  if (about.payload && about.payload.size) part.append(payloadPart(about.payload));
  return part;
}

function neighbourList(view, title, list) {
  if (!list || !list.length) return title === "causes" ? make("p", { class: "none" }, "no causes: it begins here") : "";
  const items = list.slice(0, MOST_LISTED).map(({ row, kind }) => make("li", {}, eventButton(view, row), make("small", {}, ` ${kind}`)));
  const more = list.length > MOST_LISTED ? [make("li", { class: "none" }, `and ${grouped(list.length - MOST_LISTED)} more`)] : [];
  return make("div", {}, make("h4", {}, title), make("ul", {}, ...items, ...more));
}

function eventButton(view, row) {
  const { log } = view;
  return make("button", {
    type: "button", class: "link", title: log.id(row),
    onclick: () => { view.select(row); view.reveal(row); },
  }, `${ellipsis(log.title(row), 40)} · ${log.typeWords(row)} · ${ellipsis(log.agent(row), 30)}`);
}

/** Of each agent, how many of its events are in the past: the event's vector clock. */
function clockTable(view, row, clock) {
  const order = view.log.header.lane_order.filter((lane) => clock[lane]);
  const rows = order.slice(0, 40).map((lane) => make("tr", { class: lane === view.log.lane[row] ? "own" : "" },
    make("th", { scope: "row" }, ellipsis(laneName(view.log.header.lanes[lane]), 40)), make("td", {}, grouped(clock[lane]))));
  const more = order.length > 40 ? make("p", { class: "none" }, `and ${grouped(order.length - 40)} more agents`) : null;
  return make("div", { class: "clock" }, make("h4", {}, "clock"), make("table", {}, make("tbody", {}, ...rows)), more);
}

function payloadPart(payload) {
  const whole = payload.kept >= payload.size;
  let text = payload.text;
  if (whole) {
    try {
      text = JSON.stringify(JSON.parse(text), null, 1);
    } catch {
      // It is no JSON: it is shown as it stands.
    }
  }
  const size = whole ? bytesInWords(payload.size) : `the first ${bytesInWords(payload.kept)} of ${bytesInWords(payload.size)}`;
  return make("div", { class: "payload" }, make("h4", {}, `payload (${size})`), make("pre", { tabindex: 0 }, text + (whole ? "" : "…")));
}

function relationWords(view, first, second) {
  const { relation } = view;
  if (relation.word === "concurrent") return "A and B are concurrent: neither is a cause of the other";
  if (relation.word === "same") return "A and B are one event";
  if (relation.word === "unknown") return "this page does not hold what causes what";
  const way = `a path of ${counted(relation.path.length, "event")}`;
  return relation.word === "before" ? `A happened before B: ${way}` : `B happened before A: ${way}`;
}

function relationPart(view) {
  const { selected: [first, second], relation, log } = view;
  if (!relation) return section("A and B", make("p", {}, "…"));
  const apart = Math.abs(log.time[first] - log.time[second]);
  return section("A and B", make("p", { class: "relation" }, relationWords(view, first, second)),
    make("p", { class: "none" }, `${duration(apart)} apart`),
    relation.path.length > 2 ? pathList(view, relation.path, -1) : null);
}

function pathList(view, rows, here) {
  const from = Math.max(0, Math.min(here - 10, rows.length - 20));
  const items = rows.slice(from, from + 20).map((row, place) => make("li", { class: place + from === here ? "here" : "" }, eventButton(view, row)));
  const left = rows.length - items.length;
  return make("div", {}, make("ol", { start: from + 1 }, ...items), left ? make("p", { class: "none" }, `and ${grouped(left)} more`) : null);
}

function criticalPart(view) {
  const { rows, place } = view.critical;
  const { log } = view;
  const took = rows.length ? log.time[rows[rows.length - 1]] - log.time[rows[0]] : 0;
  const step = (words, by) => make("button", { type: "button", onclick: () => view.stepCritical(by) }, words);
  return section("Critical path",
    make("p", {}, `${counted(rows.length, "event")}, ${duration(took)}: before each stands the last of its causes.`),
    make("p", {}, step("← previous", -1), " ", step("next →", 1)), pathList(view, rows, place));
}

function cutPart(view) {
  const { log, cut, cutBroken } = view;
  const part = section("Cut");
  part.classList.add("cut");
  if (!log.hasEdges) {
    part.append(make("p", { class: "none" }, "whether it is consistent is not known here: the causes are not in this view"));
  } else if (!cutBroken.length) {
    part.append(make("p", { class: "good" }, "✓ consistent: every event before the line has its causes before it"));
  } else {
    const [cause, effect] = cutBroken[0];
    const count = cutBroken.length >= 100 ? "at least 100" : grouped(cutBroken.length);
    part.append(make("p", { class: "bad" }, `✕ not consistent: ${count} ${cutBroken.length === 1 ? "arrow crosses" : "arrows cross"} it backwards`),
      make("p", {}, "after the line: ", eventButton(view, cause)), make("p", {}, "and yet before it, its effect: ", eventButton(view, effect)),
      make("button", { type: "button", class: "mend", onclick: () => view.mendCut() }, "go to the closest consistent cut"));
  }
  const order = log.header.lane_order.slice(0, MOST_AGENTS);
  const rows = order.map((lane) => {
    const { last, words } = stateAt(log, view.barsOf(lane), cut, lane);
    const of = `${grouped(cut[lane])} / ${grouped(log.rowsOfLane[lane].length)}`;
    return make("tr", {}, make("th", { scope: "row" }, ellipsis(laneName(log.header.lanes[lane]), 24)),
      make("td", {}, make("strong", {}, words), last < 0 ? null : make("small", {}, `${ellipsis(log.title(last), 30)}: ${log.typeWords(last)}`)),
      make("td", { class: "number" }, of));
  });
  part.append(make("table", { class: "states" },
    make("thead", {}, make("tr", {}, ...["agent", "state, last event", "events"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...rows)));
  const left = log.header.lane_order.length - order.length;
  if (left > 0) part.append(make("p", { class: "none" }, `and ${grouped(left)} more agents`));
  return part;
}
