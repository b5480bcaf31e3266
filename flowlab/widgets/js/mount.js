// Where views live: in the output of a cell, as a widget of its own, or in a page.

const PLACEHOLDER = "data-flowlab-view";
const MOST_FORGOTTEN = 3;

/** Shows a view of a model's log in an element; returns how to end it. */
function showModel(model, element) {
  const started = performance.now();
  const header = JSON.parse(model.get("_header"));
  const log = new Log(header, model.get("_data"));
  const answers = header.local ? new OwnAnswers(log) : new KernelAnswers(log, model);
  const host = make("div", { class: "flowlab-live" });
  element.replaceChildren(host);
  const view = new View(host, log, answers);
  host.flowlab = view;
  const unlink = linkModel(view, model);
  tellDrawn(host, started);
  return () => {
    unlink();
    view.dispose();
  };
}

/** Says on the element how long it took from the data to the first picture. */
function tellDrawn(host, started) {
  performance.mark("flowlab-drawn");
  host.setAttribute("data-drawn-ms", (performance.now() - started).toFixed(1));
}

/** Keeps the selection, the range and the cut of a view and of its model the same. */
function linkModel(view, model) {
  let isOurs = false;
  const put = (name, value) => {
    isOurs = true;
    try {
      model.set(name, value);
      model.save_changes();
    } catch (error) {
      // The kernel is gone: what the page holds it still shows.
      console.warn("flowlab: the kernel no longer hears of this view", error);
    }
    isOurs = false;
  };
  let timer = 0;
  view.listen((what) => {
    if (what === "selected") put("_rows", [...view.selected]);
    else {
      // A pan or a play changes these with every frame: the kernel hears where they come to rest.
      clearTimeout(timer);
      timer = setTimeout(() => {
        put("_range", rangeOf(view));
        put("_cut", view.cut ? [...view.cut] : []);
      }, 150);
    }
  });
  const heard = {
    "change:_rows": () => { if (!isOurs) view.choose(model.get("_rows")); },
    "change:_range": () => { if (!isOurs) showRange(view, model.get("_range")); },
    "change:_cut": () => { if (!isOurs) takeCut(view, model.get("_cut")); },
  };
  for (const [name, act] of Object.entries(heard)) model.on(name, act);
  if (model.get("_range").length) showRange(view, model.get("_range"));
  if (model.get("_cut").length) takeCut(view, model.get("_cut"));
  if (model.get("_rows").length) view.choose(model.get("_rows"));
  return () => {
    clearTimeout(timer);
    for (const [name, act] of Object.entries(heard)) model.off(name, act);
  };
}

/** The times on screen, in ns since the log's first event; nothing where all of it is. */
function rangeOf(view) {
  if (view.frame.isWhole || view.axisKind !== "time") return [];
  return [view.axis.value(view.frame.from), view.axis.value(view.frame.to)].map(Math.round);
}

function showRange(view, range) {
  if (!range.length) view.frame.fit();
  else {
    if (view.axisKind !== "time") view.setAxis("time");
    view.frame.set(view.axis.place(range[0]), view.axis.place(range[1]));
  }
  view.draw();
}

function takeCut(view, counts) {
  view.cutPlace = null;
  if (counts.length) view.setCut(Int32Array.from(counts), false); else if (view.cut) view.dropCut();
}

/** Shows a model wherever its placeholder stands in the page, now or later. */
function initialize({ model }) {
  const shown = new Map();
  const selector = `[${PLACEHOLDER}="${CSS.escape(model.get("_place"))}"]`;
  const look = () => {
    endForgotten(shown);
    for (const element of document.querySelectorAll(selector)) {
      if (!shown.has(element)) shown.set(element, showModel(model, element));
    }
  };
  let pending = 0;
  const observer = new MutationObserver(() => {
    // A notebook changes at every key: one look a frame is enough.
    pending = pending || requestAnimationFrame(() => {
      pending = 0;
      look();
    });
  });
  observer.observe(document.body, { childList: true, subtree: true });
  look();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(pending);
  };
}

/**
 * Ends the views that have been out of the page longest. A few stay: a notebook takes cells that
 * are far away out of the page, and puts them back as they were.
 */
function endForgotten(shown) {
  const gone = [...shown].filter(([element]) => !element.isConnected);
  for (const [element, end] of gone.slice(0, Math.max(0, gone.length - MOST_FORGOTTEN))) {
    end();
    shown.delete(element);
  }
}

/** The ordinary view of the widget, for hosts that keep each output apart. */
function render({ model, el }) {
  const element = make("div");
  el.append(element);
  return showModel(model, element);
}

/** Shows the log that a page holds. */
function openPage() {
  const started = performance.now();
  const header = JSON.parse(document.getElementById("flowlab-header").textContent);
  const text = atob(document.getElementById("flowlab-data").textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  const log = new Log(header, bytes.buffer);
  const host = make("div", { class: "flowlab-live" });
  document.getElementById("flowlab-view").replaceChildren(host);
  const view = new View(host, log, new OwnAnswers(log));
  host.flowlab = view;
  tellDrawn(host, started);
  return view;
}

export default { initialize, render };
