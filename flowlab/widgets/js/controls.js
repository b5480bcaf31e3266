// The controls above the picture, the legend and the help.

const KEYS = [
  ["← →", "event before or after on the lane"], ["↑ ↓", "nearest event on another lane"],
  ["Shift + arrows", "choose a second event, and see how the two are related"],
  ["c  e", "go to the cause, to the effect"], ["Esc", "close, or clear the selection"],
  ["+ −", "zoom in, out (also Ctrl + wheel, double click)"], ["0", "the whole log"],
  ["Page Up, Page Down", "move along the axis (also drag)"], ["z", "zoom to the selection"],
  ["a", "time or causal depth"], ["i", "idle time in or out"], ["g", "group by agent, workflow, run"],
  ["x", "open or close the lane of the selection"], ["t", "the cut on or off"],
  ["[ ]", "move the cut event by event"], ["{ }", "move the cut of the selected event's agent alone"],
  ["m", "move the cut to the closest consistent one"], ["p  n", "critical path: event before, event after"],
  ["k", "critical path on or off"], ["Space", "play, pause"], ["/", "search"], ["f", "only what was found"], ["?", "these keys"],
];
const AXES = { time: "time", depth: "causal depth" };
const DRAWN_WORDS = { work: "working", waiting: "waiting", attempt: "attempt that was tried again" };

function buildControls(view) {
  const { log, dom } = view;
  const button = (name, text, title, act, more = {}) => {
    dom[name] = make("button", { type: "button", title, "aria-label": title, onclick: act, class: name, ...more }, text);
    return dom[name];
  };
  const select = (name, title, options, act) => {
    dom[name] = make("select", { "aria-label": title, title, class: name, onchange: (event) => act(event.target.value) },
      ...options.map(([value, text]) => make("option", { value }, text)));
    return dom[name];
  };
  const coded = (words, none) => [[-1, none], ...words.map((word, code) => [code, ellipsis(word, 40)])
    .sort((a, b) => (a[1] < b[1] ? -1 : 1))];
  dom.search = make("input", {
    type: "search", placeholder: "search", "aria-label": "search events", class: "search", maxlength: 200,
    oninput: (event) => view.search({ text: event.target.value }),
  });
  dom.cutRange = make("input", {
    type: "range", min: 0, max: 1000, step: 1, class: "cutRange", "aria-label": "place of the cut", hidden: true,
    oninput: (event) => view.cutAt((event.target.value / 1000) * view.axis.length),
  });
  const many = log.header.types.length > 500 || log.header.lanes.length > 2000;
  return make("div", { class: "controls", role: "toolbar", "aria-label": "controls" },
    group("zoom", button("out", "−", "zoom out", () => view.zoom(ZOOM)), button("in", "+", "zoom in", () => view.zoom(1 / ZOOM)),
      button("whole", "Fit", "show the whole log", () => view.fit())),
    group("axis", select("axisKind", "along the axis", Object.entries(AXES), (kind) => view.setAxis(kind)),
      button("idle", "Skip idle", "take idle time out", () => view.setCompress(!view.compress)),
      select("grouping", "group by", GROUPS.map((name) => [name, `by ${name}`]), (name) => view.setGroup(name))),
    group("travel", button("play", "▶", "play", () => view.play()), button("cutButton", "Cut", "show a cut", () => view.toggleCut()),
      dom.cutRange, button("path", "Critical path", "show the critical path to the selection, or to the end", () => view.toggleCritical())),
    group("find", dom.search,
      select("types", "event type", many ? [[-1, "every type"]] : coded(log.header.types, "every type"), (type) => view.search({ type: Number(type) })),
      select("agents", "agent", many ? [[-1, "every agent"]] : coded(log.header.lanes.map(laneName), "every agent"), (lane) => view.search({ lane: Number(lane) })),
      button("previous", "↑", "found before", () => view.nextFound(-1)), button("next", "↓", "found after", () => view.nextFound(1)),
      button("only", "Only these", "show only what was found", () => view.setOnlyFound(!view.isOnlyFound))),
    group("more", button("legendButton", "Legend", "what the signs mean", () => toggleLegend(view)),
      button("helpButton", "?", "keys", () => toggleHelp(view))));
}

function group(name, ...children) { return make("span", { class: `group ${name}` }, ...children); }

/** Sets the controls to what the view shows. */
function refreshControls(view) {
  const { dom } = view;
  const press = (element, on) => element.setAttribute("aria-pressed", String(Boolean(on)));
  dom.axisKind.value = view.axisKind;
  dom.grouping.value = view.group;
  press(dom.idle, view.compress && view.axisKind === "time");
  dom.idle.disabled = !view.axis.idle.length;
  press(dom.cutButton, view.cut);
  dom.cutRange.hidden = !view.cut;
  if (view.cutPlace !== null) dom.cutRange.value = Math.round((view.cutPlace / view.axis.length) * 1000);
  press(dom.path, view.critical);
  press(dom.only, view.isOnlyFound);
  dom.play.textContent = view.timer ? "❚❚" : "▶";
  dom.play.setAttribute("aria-label", view.timer ? "pause" : "play");
  for (const name of ["previous", "next", "only"]) dom[name].disabled = !view.found || !view.foundRows.length;
  for (const name of ["play", "cutButton", "path", "in", "out", "whole"]) dom[name].disabled = !view.log.size;
  if (view.log.header.aggregated) dom.path.disabled = true;
}

function toggleHelp(view, isShown = view.dom.help.hidden) {
  const { help, canvas } = view.dom;
  help.hidden = !isShown;
  if (isShown) help.querySelector("button").focus(); else canvas.focus({ preventScroll: true });
}

function buildHelp(view) {
  const rows = KEYS.map(([keys, words]) => make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, keys)), make("td", {}, words)));
  const close = make("button", { type: "button", "aria-label": "close", onclick: () => toggleHelp(view, false) }, "Close");
  view.dom.help.append(make("h3", {}, "Keys"), make("table", {}, make("tbody", {}, ...rows)),
    make("p", {}, "Click an event; Shift + click a second one. Drag the ruler to choose a range, the cut's handles to move one agent's."), close);
}

function toggleLegend(view) {
  const { legend, legendButton } = view.dom;
  legend.hidden = !legend.hidden;
  legendButton.setAttribute("aria-pressed", String(!legend.hidden));
  if (!legend.hidden) drawLegend(view);
}

/** A sample and words for what occurs in this log, and what a selection adds. */
function drawLegend(view) {
  const { log, dom } = view;
  const samples = [];
  const sample = (words, paint) => samples.push({ words, paint });
  const kinds = new Set(log.bars.map((bar) => bar.kind));
  const parts = new Set(log.bars.flatMap((bar) => bar.parts.map((part) => part.kind)));
  const bar = (kind, part) => (ctx) => {
    const placed = { bar: { kind, status: "completed", cut: -1 }, y: 9, height: kind === "timer" || kind === "lock" ? 8 : 13 };
    drawSegment(ctx, view, placed, { kind: part, x1: 2, x2: 26, result: "" });
  };
  for (const part of ["work", "waiting", "attempt"]) if (parts.has(part)) sample(DRAWN_WORDS[part], bar("activity", part));
  if (log.bars.some((one) => one.open)) sample("goes on: no end shown", openBar(view));
  for (const kind of ["compensation", "timer", "child", "lock"]) if (kinds.has(kind)) sample(kind, bar(kind, "work"));
  if (log.gap && log.gap.length) {
    sample("agent down", (ctx) => box(ctx, 2, 3, 24, 12, 0, view.colours.wash, view.colours.vermilion_line, 1, 1, [3, 3]));
  }
  if (log.meeting && log.meeting.length) {
    sample("barrier: all who took part go on", (ctx) => box(ctx, 12, 1, 5, 16, 0, view.colours.ink, null, 1, 1, []));
  }
  const used = new Set(["failed", "timed_out", "canceled"].filter((name) => log.bars.some((one) => one.status === name)));
  for (let row = 0; row < log.size; row++) {
    if (!log.isHidden(row) && view.layout.barOfRow[row] < 0) used.add(log.glyphName(row));
    if (log.damage && log.damage[row] >= 0) used.add("damage");
  }
  used.delete("call");
  if (log.meeting && log.meeting.length) used.delete("barrier");
  for (const [name, [, words]] of Object.entries(log.header.glyphs)) {
    if (used.has(name)) sample(words, (ctx) => drawSign(ctx, view, name, 14, 9, 5));
  }
  for (const [name, words] of [["asks", "asks for work"], ["message", "message"], ["cause", "causes"], ["assumed", "causes, as far as the log tells"],
    ["broken", "damage: would close a cycle"]]) {
    if (log.link ? hasArrow(log, name) : name === "message") sample(words, (ctx) => drawArrow(ctx, view, name, 2, 9, 27, 9, false));
  }
  if (log.back && log.back.length) sample("undoes", (ctx) => drawBackSample(ctx, view));
  for (const [kind, words] of [[PAST, "before the selected event"], [FUTURE, "after it (paler: concurrent)"]]) {
    sample(words, (ctx) => drawWedge(ctx, view, kind, 14, 9));
  }
  dom.legend.replaceChildren(...samples.map(({ words, paint }) => {
    const canvas = make("canvas", { width: 60, height: 36, "aria-hidden": "true", style: "width:30px;height:18px" });
    const ctx = canvas.getContext("2d");
    ctx.scale(2, 2);
    paint(ctx);
    return make("span", { class: "item" }, canvas, words);
  }));
}

/** A bar to which the log shows no end. */
function openBar(view) {
  return (ctx) => {
    const placed = { bar: { kind: "activity", status: "running", cut: -1 }, y: 9, height: 13 };
    drawSegment(ctx, view, placed, { kind: "work", x1: 2, x2: 26, result: "" });
    drawOpenEnd(ctx, view, placed, { kind: "work", x2: 26 });
  };
}

/** The arc from a compensation back to what it undoes. */
function drawBackSample(ctx, view) {
  ctx.strokeStyle = view.colours.purple;
  ctx.fillStyle = view.colours.purple;
  ctx.lineWidth = 1.6;
  ctx.setLineDash([5, 3]);
  ctx.beginPath();
  ctx.moveTo(26, 15);
  ctx.bezierCurveTo(24, 0, 8, 0, 4, 9);
  ctx.stroke();
  ctx.setLineDash([]);
  drawHead(ctx, 3, 14, -0.3, 0.95, 7);
  ctx.fill();
}

function hasArrow(log, name) {
  if (name === "asks") return log.bars.length > 0;
  if (name === "broken") return log.broken.length > 0;
  const code = log.header.arrows.indexOf(name);
  for (let n = 2; n < log.link.length; n += 3) if (log.link[n] === code) return true;
  return false;
}
