// The pointer: select, pan, zoom, brush a range, drag the cut, and say what lies below.

const STILL = 4;

function takePointer(view) {
  const { canvas, ruler, overview, scroller } = view.dom;
  const at = (element, event) => {
    const box_ = element.getBoundingClientRect();
    return { x: event.clientX - box_.left, y: event.clientY - box_.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    press(view, canvas, event, at(canvas, event));
  });
  canvas.addEventListener("pointermove", (event) => { if (!event.buttons) hover(view, event, at(canvas, event)); });
  canvas.addEventListener("pointerleave", () => hideTip(view));
  canvas.addEventListener("dblclick", (event) => view.zoom(1 / (ZOOM * ZOOM), at(canvas, event).x));
  canvas.addEventListener("wheel", (event) => wheel(view, event, at(canvas, event)), { passive: false });
  ruler.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    startBrush(view, ruler, event, at(ruler, event).x);
  });
  overview.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const move = (e) => {
      const middle = view.overviewPlace(at(overview, e).x);
      const half = (view.frame.to - view.frame.from) / 2;
      view.show(middle - half, middle + half);
    };
    move(event);
    drag(overview, event, move, () => {});
  });
  scroller.addEventListener("scroll", () => hideTip(view));
}

/** Follows a pointer until it is let go. */
function drag(element, event, move, end) {
  element.setPointerCapture(event.pointerId);
  const stop = (e) => {
    element.removeEventListener("pointermove", move);
    element.removeEventListener("pointerup", stop);
    element.removeEventListener("pointercancel", stop);
    end(e);
  };
  element.addEventListener("pointermove", move);
  element.addEventListener("pointerup", stop);
  element.addEventListener("pointercancel", stop);
}

function press(view, canvas, event, start) {
  hideTip(view);
  const y = start.y + view.scroll;
  const lane = view.layout.lanes.find((one) => y >= one.top && y < one.top + one.height);
  const cutX = view.cut && lane ? view.cutX(lane) : null;
  if (cutX !== null && Math.abs(cutX - start.x) < 7) {
    const own = view.agentOf(lane);
    const alone = own >= 0 && Math.abs(lane.top + lane.height / 2 - y) < 10;
    const left = canvas.getBoundingClientRect().left;
    drag(canvas, event, (e) => {
      const place = view.frame.place(e.clientX - left);
      if (alone) view.cutLaneAt(own, place); else view.cutAt(place);
    }, () => {});
    return;
  }
  const first = { x: event.clientX, scroll: view.scroll, y: event.clientY };
  let last = event.clientX;
  let moved = false;
  drag(canvas, event, (e) => {
    moved = moved || Math.hypot(e.clientX - first.x, e.clientY - first.y) > STILL;
    if (!moved) return;
    canvas.classList.add("dragged");
    view.frame.pan(last - e.clientX);
    view.dom.scroller.scrollTop = first.scroll + first.y - e.clientY;
    last = e.clientX;
    view.draw();
  }, (e) => {
    canvas.classList.remove("dragged");
    if (moved) view.tell("range"); else if (e.type === "pointerup") click(view, e, start);
  });
}

function click(view, event, { x, y }) {
  const found = hit(view, x, y + view.scroll);
  if (!found) view.clear();
  else if (found.bucket) openBucket(view, found.bucket);
  else view.select(found.row, event.shiftKey);
}

/** Opens the events that a mark stands for: one is selected, more are zoomed to. */
function openBucket(view, bucket) {
  const { at } = view.axis;
  if (bucket.to - bucket.from === 1) {
    view.select(bucket.first);
    return;
  }
  const pad = Math.max((at[bucket.last] - at[bucket.first]) * 0.5, (view.frame.to - view.frame.from) * 1e-3);
  view.show(at[bucket.first] - pad, at[bucket.last] + pad);
}

/** A wheel scrolls the lanes or the page; with Ctrl it zooms, sideways it pans. */
function wheel(view, event, { x }) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    view.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 240))), x);
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    view.pan(event.deltaX || event.deltaY);
  }
}

function startBrush(view, ruler, event, x) {
  const left = ruler.getBoundingClientRect().left;
  const from = view.frame.place(x);
  drag(ruler, event, (e) => {
    view.brush = [from, view.frame.place(e.clientX - left)];
    view.draw();
  }, (e) => {
    const to = view.frame.place(e.clientX - left);
    view.brush = null;
    if (Math.abs(view.frame.x(to) - view.frame.x(from)) > STILL) view.show(from, to);
    else if (view.cut) view.cutAt(from);
    view.draw();
  });
}

function hover(view, event, { x, y }) {
  const found = hit(view, x, y + view.scroll);
  view.dom.canvas.classList.toggle("pointed", Boolean(found));
  if (!found) {
    hideTip(view);
    return;
  }
  const { tip, root } = view.dom;
  setText(tip, tipOf(view, found));
  const box_ = root.getBoundingClientRect();
  tip.classList.add("shown");
  tip.style.left = `${Math.min(event.clientX - box_.left + 14, box_.width - tip.offsetWidth - 8)}px`;
  tip.style.top = `${event.clientY - box_.top + 18}px`;
}

function hideTip(view) { view.dom.tip.classList.remove("shown"); }

function tipOf(view, { bucket, bar, row }) {
  const { log } = view;
  if (bucket) {
    const bad = bucket.bad ? `, ${grouped(bucket.bad)} of them failures` : "";
    const [from, to] = [bucket.first, bucket.last].map((one) => moment(log, log.time[one]));
    return `${counted(bucket.count, "event")}${bad}, from ${from} to ${to}: click to open`;
  }
  if (bar && bar.tip) return ellipsis(bar.tip, 240);
  const parts = [log.typeWords(row), log.name(row), log.agent(row), log.id(row), moment(log, log.time[row])];
  return parts.filter(Boolean).map((part) => ellipsis(part, 80)).join(" · ");
}
