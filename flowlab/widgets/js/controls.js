// The controls above the picture, and the help.

const KEYS = [
  ["← →", "event before or after on the lane"],
  ["↑ ↓", "nearest event on another lane"],
  ["Shift + arrows", "choose a second event, and see how the two are related"],
  ["c  e", "go to the cause, to the effect"],
  ["Esc", "close, or clear the selection"],
  ["+ −", "zoom in, out (also Ctrl + wheel, double click)"],
  ["0", "the whole log"],
  ["Page Up, Page Down", "move along the axis (also drag)"],
  ["z", "zoom to the selection"],
  ["a", "time or causal depth"],
  ["i", "idle time in or out"],
  ["g", "group by agent, workflow, run"],
  ["x", "open or close the lane of the selection"],
  ["t", "the cut on or off"],
  ["[ ]", "move the cut event by event"],
  ["{ }", "move the cut of the selected event's agent alone"],
  ["m", "move the cut to the closest consistent one"],
  ["p  n", "critical path: event before, event after"],
  ["k", "critical path on or off"],
  ["Space", "play, pause"],
  ["/", "search"],
  ["f", "only what was found"],
  ["?", "these keys"],
];
const AXES = { time: "time", depth: "causal depth" };
const MOST_OPTIONS = 1000;

function buildControls(view) {
  return make("div", { class: "controls", role: "toolbar", "aria-label": "controls" },
    zoomControls(view), axisControls(view), travelControls(view), findControls(view),
    group("more",
      button(view, "legendButton", "Legend", "what the signs mean", () => toggleLegend(view)),
      button(view, "helpButton", "?", "keys", () => toggleHelp(view))));
}

function group(name, ...children) { return make("span", { class: `group ${name}` }, ...children); }

function button(view, name, text, title, act) {
  const made = make("button", { type: "button", class: name, title, "aria-label": title, onclick: act }, text);
  view.dom[name] = made;
  return made;
}

function select(view, name, title, options, act) {
  const choices = options.map(([value, text]) => make("option", { value }, text));
  const onchange = (event) => act(event.target.value);
  view.dom[name] = make("select", { class: name, title, "aria-label": title, onchange }, ...choices);
  return view.dom[name];
}

function zoomControls(view) {
  return group("zoom",
    button(view, "out", "−", "zoom out", () => view.zoom(ZOOM)),
    button(view, "in", "+", "zoom in", () => view.zoom(1 / ZOOM)),
    button(view, "whole", "Fit", "show the whole log", () => view.fit()));
}

function axisControls(view) {
  const groups = GROUPS.map((name) => [name, `by ${name}`]);
  return group("axis",
    select(view, "axisKind", "along the axis", Object.entries(AXES), (kind) => view.setAxis(kind)),
    button(view, "idle", "Skip idle", "take idle time out", () => view.setCompress(!view.compress)),
    select(view, "grouping", "group by", groups, (name) => view.setGroup(name)));
}

function travelControls(view) {
  view.dom.cutRange = make("input", {
    type: "range", min: 0, max: 1000, step: 1, class: "cutRange", "aria-label": "place of the cut", hidden: true,
    oninput: (event) => view.cutAt((event.target.value / 1000) * view.axis.length),
  });
  const path = "show the critical path to the selection, or to the end";
  return group("travel",
    button(view, "play", "▶", "play", () => view.play()),
    button(view, "cutButton", "Cut", "show a cut", () => view.toggleCut()),
    view.dom.cutRange,
    button(view, "path", "Critical path", path, () => view.toggleCritical()));
}

function findControls(view) {
  const { header } = view.log;
  view.dom.search = make("input", {
    type: "search", class: "search", placeholder: "search", "aria-label": "search events", maxlength: 200,
    oninput: (event) => view.search({ text: event.target.value }),
  });
  const types = coded(header.types, "every type");
  const agents = coded(header.lanes.map(laneName), "every agent");
  return group("find", view.dom.search,
    select(view, "types", "event type", types, (type) => view.search({ type: Number(type) })),
    select(view, "agents", "agent", agents, (lane) => view.search({ lane: Number(lane) })),
    button(view, "previous", "↑", "found before", () => view.nextFound(-1)),
    button(view, "next", "↓", "found after", () => view.nextFound(1)),
    button(view, "only", "Only these", "show only what was found", () => view.setOnlyFound(!view.isOnlyFound)));
}

/** The options of a list of names, sorted; of too many to choose from, the search finds them. */
function coded(names, none) {
  if (names.length > MOST_OPTIONS) return [[-1, none]];
  const options = names.map((name, code) => [code, ellipsis(name, 40)]);
  return [[-1, none], ...options.sort((a, b) => (a[1] < b[1] ? -1 : 1))];
}

/** Sets the controls to what the view shows. */
function refreshControls(view) {
  const { dom } = view;
  const press = (element, on) => element.setAttribute("aria-pressed", String(Boolean(on)));
  dom.axisKind.value = view.axisKind;
  dom.grouping.value = view.group;
  press(dom.idle, view.compress && view.axis.idle.length);
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
  const rows = KEYS.map(([keys, words]) => make("tr", {},
    make("th", { scope: "row" }, make("kbd", {}, keys)), make("td", {}, words)));
  const mouse = "Click an event; Shift + click a second one. Drag the ruler to choose a range, "
    + "and the cut's handles to move one agent's.";
  const close = make("button", { type: "button", onclick: () => toggleHelp(view, false) }, "Close");
  view.dom.help.append(make("h3", {}, "Keys"), table([], rows), said("", mouse), close);
}
