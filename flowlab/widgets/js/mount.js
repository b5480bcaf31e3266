// A view of a log and its model: what one chooses, the other hears.

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

/** Shows the log that a page holds. */
function openPage() {
  return openWith((header, bytes, host) => {
    const log = new Log(header, bytes.buffer);
    return new View(host, log, new OwnAnswers(log));
  });
}
