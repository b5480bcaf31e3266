// The keyboard: everything that the pointer does, and more.

function takeKeys(view) {
  const { root, canvas, search, help } = view.dom;
  const acts = keyActs(view);
  root.addEventListener("keydown", (event) => {
    if (!help.hidden) {
      keysOfHelp(view, event);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target === search) {
      if (event.key === "Enter") take(event, () => view.nextFound(event.shiftKey ? -1 : 1));
      if (event.key === "Escape") take(event, () => canvas.focus({ preventScroll: true }));
      return;
    }
    const isControl = target instanceof HTMLSelectElement || target instanceof HTMLInputElement;
    const isPressed = target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter");
    if (isControl || isPressed) return;
    const act = acts[event.key];
    if (act && (target === canvas || !event.key.startsWith("Arrow"))) take(event, () => act(event));
  });
}

function take(event, act) {
  event.preventDefault();
  event.stopPropagation();
  act();
}

function keysOfHelp(view, event) {
  if (event.key === "Escape" || event.key === "?") take(event, () => toggleHelp(view, false));
  // The only thing in it that takes the focus is the button that closes it.
  if (event.key === "Tab") event.preventDefault();
}

function keyActs(view) {
  const walk = (along, across) => (event) => view.walk(along, across, event.shiftKey);
  return {
    ArrowLeft: walk(-1, 0),
    ArrowRight: walk(1, 0),
    ArrowUp: walk(0, -1),
    ArrowDown: walk(0, 1),
    Enter: () => view.walk(0, 0, false),
    Escape: () => escape_(view),
    "+": () => view.zoom(1 / ZOOM, focusX(view)),
    "=": () => view.zoom(1 / ZOOM, focusX(view)),
    "-": () => view.zoom(ZOOM, focusX(view)),
    0: () => view.fit(),
    Home: () => view.fit(),
    PageUp: () => view.pan(-view.frame.width / 2),
    PageDown: () => view.pan(view.frame.width / 2),
    z: () => zoomToSelection(view),
    a: () => view.setAxis(view.axisKind === "time" ? "depth" : "time"),
    i: () => { if (view.axis.idle.length) view.setCompress(!view.compress); },
    g: () => view.setGroup(GROUPS[(GROUPS.indexOf(view.group) + 1) % GROUPS.length]),
    x: () => openLane(view),
    t: () => view.toggleCut(),
    "[": () => view.stepCut(-1),
    "]": () => view.stepCut(1),
    "{": () => nudge(view, -1),
    "}": () => nudge(view, 1),
    m: () => view.mendCut(),
    k: () => view.toggleCritical(),
    n: () => view.stepCritical(1),
    p: () => view.stepCritical(-1),
    c: () => view.goToNeighbour("cause"),
    e: () => view.goToNeighbour("effect"),
    " ": () => view.play(),
    "/": () => view.dom.search.focus(),
    f: () => { if (view.found) view.setOnlyFound(!view.isOnlyFound); },
    "?": () => toggleHelp(view, true),
  };
}

function escape_(view) {
  if (view.timer) view.stop();
  else if (view.selected.length) view.clear();
  else if (view.critical) view.toggleCritical();
  else if (view.cut) view.dropCut();
}

/** Zooming by key keeps the selected event where it is. */
function focusX(view) {
  const row = view.selected[view.selected.length - 1];
  const x = row === undefined ? -1 : view.frame.x(view.axis.at[row]);
  return x >= 0 && x <= view.frame.width ? x : view.frame.width / 2;
}

function zoomToSelection(view) {
  const rows = view.way || (view.classes ? null : view.selected) || view.selected;
  if (!rows.length) return;
  const places = rows.map((row) => view.axis.at[row]);
  const [from, to] = [Math.min(...places), Math.max(...places)];
  const pad = Math.max((to - from) * 0.2, (view.frame.to - view.frame.from) * (from === to ? 0.1 : 0.01));
  view.show(from - pad, to + pad);
}

function openLane(view) {
  const row = view.selected[view.selected.length - 1];
  if (row === undefined) return;
  const code = view.layout.outer.codes[row];
  view.toggleLane({ level: 0, code });
  view.reveal(row);
}

function nudge(view, by) {
  const row = view.selected[view.selected.length - 1];
  if (!view.cut || row === undefined) return;
  view.nudgeLane(view.log.lane[row], by);
}
