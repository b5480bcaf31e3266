// The elements of the view: controls above, lanes and canvas, a panel beside, words below.

const LABEL_WIDTHS = [136, 200];
const LABEL_ROOM = 44;

function buildDom(view) {
  const { host, log } = view;
  const shadow = host.shadowRoot || host.attachShadow({ mode: "open" });
  const title = log.header.title || "a log";
  const dom = { labelWidth: labelWidth(log) };
  view.dom = dom;
  dom.canvas = make("canvas", {
    class: "canvas", tabindex: 0, role: "application", "aria-label": `Space-time diagram of ${title}`,
    "aria-roledescription": "diagram", "aria-describedby": "how",
  });
  dom.ruler = make("canvas", { class: "ruler", "aria-hidden": "true", title: "drag to choose a range" });
  dom.overview = make("canvas", { class: "overview", "aria-hidden": "true", title: "the whole log; drag to move" });
  dom.labels = make("div", { class: "labels" });
  dom.spacer = make("div", { class: "spacer" });
  const sticky = make("div", { class: "sticky" }, dom.labels, dom.canvas);
  dom.scroller = make("div", { class: "scroller" }, sticky, dom.spacer);
  dom.stage = make("div", { class: "stage" }, dom.ruler, dom.scroller, dom.overview);
  dom.panel = make("aside", { class: "panel", "aria-label": "details" });
  dom.status = make("p", { class: "status", role: "status" });
  dom.live = make("p", { class: "unseen", "aria-live": "polite" });
  dom.tip = make("div", { class: "tip", "aria-hidden": "true" });
  dom.legend = make("div", { class: "legend", hidden: true, role: "group", "aria-label": "legend" });
  const modal = { role: "dialog", "aria-label": "keys", "aria-modal": "true", tabindex: -1 };
  dom.help = make("div", { class: "help", hidden: true, ...modal });
  dom.root = make("section", { class: "view", "aria-label": `Live view of ${title}` },
    make("header", { class: "head" }, make("h2", {}, title), dom.status),
    buildControls(view),
    make("div", { class: "main" }, dom.stage, dom.panel),
    dom.legend, dom.live, dom.tip, dom.help,
    make("p", { class: "unseen", id: "how" }, "Arrow keys go from event to event; press ? for every key."));
  // Keys are the view's while the focus is in it: a notebook would take some for its own commands.
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  dom.root.style.setProperty("--labels", `${dom.labelWidth}px`);
  shadow.replaceChildren(make("style", {}, STYLE), dom.root);
  buildHelp(view);
  takePointer(view);
  takeKeys(view);
  dom.scroller.addEventListener("scroll", () => view.draw());
  showPanel(view);
}

/** How wide the names of the lanes are, up to where they are shortened. */
function labelWidth(log) {
  const ctx = document.createElement("canvas").getContext("2d");
  ctx.font = `600 13px ${FONT}`;
  const names = [...log.header.lanes, ...log.header.workflows].slice(0, 500);
  const widest = names.reduce((most, parts) => Math.max(most, ctx.measureText(laneName(parts).slice(0, 60)).width), 0);
  return Math.round(Math.min(LABEL_WIDTHS[1], Math.max(LABEL_WIDTHS[0], widest + LABEL_ROOM)));
}

/** Writes the names of the lanes on screen, each with what opens or closes it. */
function showLanes(view) {
  const { dom, chosen, scroll } = view;
  const shown = chosen.lanes.map((lane) => {
    const middle = lane.top + lane.height / 2 - scroll;
    const state = view.cut && view.agentOf(lane) >= 0 && !lane.isOpen
      ? stateAt(view.log, view.barsOf(view.agentOf(lane)), view.cut, view.agentOf(lane)).words : "";
    const title = lane.parts.filter(Boolean).join(" / ");
    const name = make("span", { class: "name", title }, ellipsis(lane.name, 80));
    const note = make("span", { class: state ? "note state" : "note" }, state || runNote(view, lane));
    const words = make("span", { class: "words" }, name, note);
    const inside = lane.level ? [words] : [make("button", {
      class: "open", "aria-expanded": String(lane.isOpen), "data-lane": lane.index,
      "aria-label": `${lane.isOpen ? "close" : "open"} ${lane.name}`, title: lane.isOpen ? "close" : "open",
      onclick: () => { view.toggleLane(lane); dom.labels.querySelector(`[data-lane="${lane.index}"]`)?.focus(); },
    }, lane.isOpen ? "▾" : "▸"), words];
    return make("div", { class: `lane level${lane.level}`, style: `top:${middle}px` }, ...inside);
  });
  const focused = view.host.shadowRoot.activeElement?.dataset?.lane;
  dom.labels.style.height = `${view.height}px`;
  dom.labels.replaceChildren(...shown);
  if (focused !== undefined) dom.labels.querySelector(`[data-lane="${focused}"]`)?.focus();
}

function runNote(view, lane) {
  const several = view.log.header.worlds.length > 1 && view.group !== "run" && !lane.level;
  return several ? `${lane.parts[1] || "live run"} · ${lane.note}` : lane.note;
}

View.prototype.barsOf = function barsOf(lane) {
  if (!this.barLists) {
    this.barLists = this.log.header.lanes.map(() => []);
    for (const bar of this.log.bars) this.barLists[bar.lane].push(bar);
  }
  return this.barLists[lane];
};

function showStatus(view) {
  const { log, chosen, dom } = view;
  const total = log.header.events;
  if (!total) {
    setText(dom.status, "showing 0 of 0 events: the log is empty");
    return;
  }
  const shown = `showing ${grouped(chosen.events)} of ${counted(total, "event")}`;
  const hint = log.count ? "" : ": zoom in to see each";
  const parts = [shown + (chosen.detailed ? "" : `, as ${counted(chosen.marks, "mark")}${hint}`)];
  if (log.header.aggregated) parts.push("events are put together in this page; a notebook shows each");
  const hidden = log.hidden ? log.hidden.reduce((sum, one) => sum + one, 0) : 0;
  if (hidden) parts.push(`${grouped(hidden)} workflow-task events left out`);
  if (view.found) parts.push(`${grouped(view.foundRows.length)} found`);
  if (view.axisKind === "time") {
    parts.push(BigInt(log.header.base_ns) > BigInt(WALL_FROM_NS) ? `time since ${moment(log, 0)}` : "time");
  } else parts.push("causal depth");
  setText(dom.status, parts.join(" · "));
}

/** Sets a text only if it differs: a status that is set again is read out again. */
function setText(element, text) { if (element.textContent !== text) element.textContent = text; }

/** Tells a screen reader what was selected and what follows. */
function announce(view) {
  const { selected, log, about, relation } = view;
  if (!selected.length) return setText(view.dom.live, "nothing selected");
  const [first] = selected;
  const name = (row) => `${log.title(row)}, ${log.typeWords(row)}, ${log.agent(row)}`;
  if (relation) return setText(view.dom.live, relationWords(relation));
  const facts = about && about.past ? `; ${orderWords(view)}` : "";
  return setText(view.dom.live, name(first) + facts);
}

function orderWords(view) {
  const counts = [0, 0, 0, 0];
  for (const kind of view.classes) counts[kind]++;
  return `${grouped(counts[PAST])} before, ${grouped(counts[FUTURE])} after, ${grouped(counts[CONCURRENT])} concurrent`;
}

function drawRuler(ctx, view) {
  const { frame, colours, ticks, axis } = view;
  ctx.clearRect(0, 0, frame.width, 26);
  ctx.font = `400 11px ${FONT}`;
  ctx.textAlign = "center";
  ctx.fillStyle = colours.muted;
  ctx.strokeStyle = colours.faint;
  ctx.lineWidth = 1;
  const taken = [];
  for (const { from, to, label } of axis.breaks) {
    const x = frame.x((from + to) / 2);
    if (x < 10 || x > frame.width - 10 || taken.some((other) => Math.abs(other - x) < 70)) continue;
    taken.push(x);
    ctx.fillText(`// ${label}`, Math.max(32, Math.min(frame.width - 32, x)), 17);
  }
  for (const { x, label } of ticks) {
    line(ctx, x, 21, x, 26);
    if (x > 14 && x < frame.width - 14 && !taken.some((other) => Math.abs(other - x) < 62)) ctx.fillText(label, x, 17);
  }
  ctx.textAlign = "start";
  if (view.cutPlace !== null && view.cut) {
    const x = frame.x(view.cutPlace);
    ctx.fillStyle = colours.green;
    ctx.beginPath();
    ctx.moveTo(x, 26);
    ctx.lineTo(x - 6, 15);
    ctx.lineTo(x + 6, 15);
    ctx.fill();
  }
}

/** How many events each stretch of the whole log has, and which part is on screen. */
function drawOverview(ctx, view) {
  const { frame, colours, log, axis } = view;
  const whole = { from: -axis.length * 0.02, to: axis.length * 1.02 };
  const x = (place) => ((place - whole.from) / (whole.to - whole.from)) * frame.width;
  if (view.isOverviewStale || !view.density) {
    view.density = new Float64Array(Math.max(1, Math.ceil(frame.width / 3)));
    const last = view.density.length - 1;
    for (let row = 0; row < log.size; row++) {
      view.density[Math.min(last, Math.floor(x(axis.at[row]) / 3))] += log.weight(row);
    }
    view.isOverviewStale = false;
  }
  const most = view.density.reduce((max, count) => Math.max(max, count), 1);
  ctx.clearRect(0, 0, frame.width, 30);
  ctx.fillStyle = colours.faint;
  view.density.forEach((count, n) => {
    const height = (24 * Math.log1p(count)) / Math.log1p(most);
    if (count) ctx.fillRect(n * 3, 28 - height, 2.2, height);
  });
  const from = x(frame.from);
  const to = x(frame.to);
  const look = { fill: colours.sky, stroke: colours.blue_line, round: 3, fade: frame.isWhole ? 0.08 : 0.22 };
  box(ctx, [from + 1, 1, Math.max(4, to - from - 2), 28], look);
  view.overviewPlace = (pixel) => whole.from + (pixel / frame.width) * (whole.to - whole.from);
}
