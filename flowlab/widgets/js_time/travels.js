// The view: a scrubber, the lanes, what recovery reads, and the state of everything at the place.

const MOST_CELLS = 300;
const PLAY_MS = 120;
const SAID_LATER_MS = 400;

class TravelView {
  constructor(host, places) {
    Object.assign(this, { host, places, listeners: [], disposers: [], timer: 0, later: 0, axis: "event" });
    this.row = Math.max(0, places.header.at - 1);
    this.shownLanes = lanesShown(places);
    this.build();
    this.retheme();
    this.disposers.push(watchTheme(() => this.retheme()), () => this.stop(), () => clearTimeout(this.later));
    const resized = new ResizeObserver(() => this.draw());
    resized.observe(this.dom.root);
    this.disposers.push(() => resized.disconnect());
  }

  dispose() { for (const dispose of this.disposers) dispose(); }

  listen(listener) { this.listeners.push(listener); }

  build() {
    const { host, places } = this;
    const { title } = places.header;
    const shadow = host.shadowRoot || host.attachShadow({ mode: "open" });
    const dom = {};
    this.dom = dom;
    const button = (name, sign, label, act) => {
      dom[name] = make("button", { class: name, "aria-label": label, title: label, onclick: act }, sign);
      return dom[name];
    };
    dom.status = make("p", { class: "status" });
    const ends = { min: 1, max: Math.max(1, places.size), step: 1 };
    dom.range = make("input", { type: "range", ...ends, "aria-label": "place in the log" });
    dom.range.addEventListener("input", () => this.go(Number(dom.range.value) - 1));
    const hint = { placeholder: "search cells", "aria-label": "search cells" };
    dom.search = make("input", { type: "search", class: "search", ...hint });
    dom.search.addEventListener("input", () => this.search(dom.search.value));
    const axes = [["event", "by event"], ["time", "by time"]];
    dom.axis = make("select", { class: "axis", "aria-label": "axis of the lanes" },
      ...axes.map(([value, words]) => make("option", { value }, words)));
    dom.axis.addEventListener("change", () => {
      this.axis = dom.axis.value;
      this.draw();
    });
    dom.place = make("p", { class: "place" });
    dom.lanes = drawn("svg", { class: "lanes", role: "img", "aria-label": "lanes with events and checkpoints" });
    dom.reading = make("p", { class: "reading" });
    dom.note = make("p", { class: "note" });
    dom.body = make("tbody");
    dom.live = make("p", { class: "unseen", "aria-live": "polite" });
    dom.key = make("div", { class: "legend" });
    const head = make("tr", {}, ...["", "whose", "what", "value"].map((words) => make("th", { scope: "col" }, words)));
    dom.root = make("section", { class: "view", "aria-label": `Time travel: ${title}` },
      make("header", { class: "head" }, make("h2", {}, title), dom.status),
      make("div", { class: "controls" },
        button("before", "|◀", "change before", () => this.toChange(-1)),
        button("back", "◀", "one event back", () => this.step(-1)),
        button("play", "▶ play", "play", () => this.play()),
        button("on", "▶", "one event on", () => this.step(1)),
        button("after", "▶|", "next change", () => this.toChange(1)), dom.axis, dom.search),
      dom.range, dom.place, make("div", { class: "stage" }, dom.lanes), dom.key, dom.reading,
      make("table", {}, make("caption", { class: "unseen" }, "the state at this place"),
        make("thead", {}, head), dom.body),
      dom.note, dom.live);
    host.setAttribute("data-lm-suppress-shortcuts", "true");
    shadow.replaceChildren(make("style", {}, STYLE), dom.root);
    this.takeKeys();
    this.takePlace();
  }

  retheme() {
    const { colours, isDark } = coloursFor(this.dom.root, this.places.header);
    this.colours = colours;
    this.dom.root.classList.toggle("dark", isDark);
    for (const [role, colour] of Object.entries(colours)) this.dom.root.style.setProperty(`--${role}`, colour);
    const item = (words, isSavepoint, isPast) => make("span", { class: "item" },
      drawn("svg", { width: 16, height: 16, "aria-hidden": "true" },
        checkpointSign(8, 8, isSavepoint, isPast, colours)), words);
    this.dom.key.replaceChildren(item("checkpoint", false, true), item("savepoint", true, true),
      item("still to come", false, false), make("span", { class: "item" }, "▸ changed by this event"));
    this.draw();
  }

  draw() {
    if (!this.dom.lanes.parentElement.clientWidth || !this.colours) return;
    if (!this.places.size) {
      setText(this.dom.status, "showing 0 of 0 events: an empty log has no state");
      return;
    }
    const marks = drawLanes(this);
    const { size, header } = this.places;
    const parts = [`showing ${grouped(size)} of ${counted(size, "event")}`];
    const drawnEvents = this.shownLanes.reduce((sum, lane) => sum + this.places.rowsOfLane[lane].length, 0);
    if (drawnEvents < size || marks < size) {
      parts[0] = `showing ${grouped(drawnEvents)} of ${counted(size, "event")}, as ${counted(marks, "mark")}`;
    }
    if (this.shownLanes.length < header.lanes.length) {
      parts.push(`showing ${this.shownLanes.length} of ${counted(header.lanes.length, "lane")}`);
    }
    setText(this.dom.status, parts.join(" · "));
    this.show();
  }

  /** Shows the state of the place: everything that moves with it. */
  show() {
    const { dom, places, row } = this;
    const readings = places.readingsAt(row);
    drawPlace(this, readings);
    dom.range.value = String(row + 1);
    const said = places.told(row);
    dom.range.setAttribute("aria-valuetext", said);
    setText(dom.place, said);
    setText(dom.reading, readingWords(readings));
    dom.back.disabled = row <= 0;
    dom.on.disabled = row >= places.size - 1;
    this.showCells();
    clearTimeout(this.later);
    this.later = setTimeout(() => setText(dom.live, `${said}. ${dom.reading.textContent}`), SAID_LATER_MS);
  }

  showCells() {
    const { dom, places, row } = this;
    const held = places.stateAt(row);
    const changed = places.changedAt(row);
    const { cells } = places.header;
    const values = new Map();
    const valueOf = (code) => {
      if (code === NO_VALUE) return "(gone)";
      if (!values.has(code)) values.set(code, places.value(code));
      return values.get(code);
    };
    const words = this.wanted || [];
    const isFound = (n) => {
      const [, , owner, key] = cells[n];
      const text = words.length ? `${owner} ${key} ${valueOf(held[n])}`.toLowerCase() : "";
      return words.every((word) => text.includes(word));
    };
    const all = places.header.cell_order.filter((n) => held[n] !== NO_VALUE || changed.has(n));
    const found = all.filter(isFound);
    let shown = found;
    if (found.length > MOST_CELLS) {
      const first = found.filter((n) => changed.has(n));
      const rest = found.filter((n) => !changed.has(n)).slice(0, MOST_CELLS - first.length);
      shown = [...first, ...rest];
    }
    const line = (n) => {
      const [kind, , owner, key] = cells[n];
      const isNew = changed.has(n);
      return make("tr", { class: isNew ? "new" : null },
        make("td", { class: "sign", "aria-label": isNew ? "changed" : null }, isNew ? "▸" : ""),
        make("th", { scope: "row" }, owner, " ", make("small", {}, kind)), make("td", {}, key),
        make("td", { class: "value" }, valueOf(held[n])));
    };
    dom.body.replaceChildren(...shown.map(line));
    const many = shown.length < found.length ? `showing ${shown.length} of ` : "";
    const total = counted(all.length, "cell");
    const of = words.length ? `${grouped(found.length)} of ${total} found` : `${total} hold a value`;
    setText(dom.note, many + of);
  }

  search(text) {
    this.wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.showCells();
  }

  /** Whether a cell is one of those searched for, by whose it is and which. */
  isWanted(n) {
    const [, , owner, key] = this.places.header.cells[n];
    const text = `${owner} ${key}`.toLowerCase();
    return (this.wanted || []).every((word) => text.includes(word));
  }

  toChange(step) {
    const row = this.places.nextChange(this.row, step, (n) => this.isWanted(n));
    if (row >= 0) this.go(row);
  }

  step(by) { this.go(this.row + by); }

  go(row, isOurs = true) {
    const to = Math.max(0, Math.min(this.places.size - 1, row));
    if (to === this.row) return;
    this.row = to;
    this.show();
    if (isOurs) for (const listener of this.listeners) listener();
  }

  /** Plays to the end; with reduced motion, goes one event on. */
  play() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (isMotionReduced()) {
      this.step(1);
      return;
    }
    if (this.row >= this.places.size - 1) this.go(0);
    const by = Math.max(1, Math.round(this.places.size / 400));
    this.timer = setInterval(() => {
      this.go(this.row + by);
      if (this.row >= this.places.size - 1) this.stop();
    }, PLAY_MS);
    this.showPlay();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.showPlay();
  }

  showPlay() {
    setText(this.dom.play, this.timer ? "❚❚ stop" : "▶ play");
    this.dom.play.setAttribute("aria-label", this.timer ? "stop" : "play");
  }

  takeKeys() {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, PageUp: -0.1, PageDown: 0.1 };
    this.dom.root.addEventListener("keydown", (event) => {
      const target = event.composedPath()[0];
      if (target === this.dom.search || event.ctrlKey || event.metaKey || event.altKey || !(event.key in steps)) return;
      const by = steps[event.key];
      const page = Math.max(1, Math.round(this.places.size / 10));
      this.go(Math.abs(by) === 0.1 ? this.row + Math.sign(by) * page : this.row + by);
      event.preventDefault();
    });
  }

  /** Lets a pointer drag the place along the lanes. */
  takePlace() {
    const { lanes } = this.dom;
    const move = (event) => this.go(this.scale.row(event.clientX - lanes.getBoundingClientRect().left));
    lanes.addEventListener("pointerdown", (event) => {
      lanes.setPointerCapture(event.pointerId);
      move(event);
    });
    lanes.addEventListener("pointermove", (event) => { if (lanes.hasPointerCapture(event.pointerId)) move(event); });
  }
}

/** Sets a text only if it differs: what is set again is read out again. */
function setText(element, text) { if (element.textContent !== text) element.textContent = text; }

/** Shows the log of a model, and keeps its place and the view's the same; returns how to end it. */
function showModel(model, element) {
  const started = performance.now();
  const host = make("div", { class: "flowlab-live" });
  element.replaceChildren(host);
  const view = new TravelView(host, new Places(JSON.parse(model.get("_header")), model.get("_data")));
  host.flowlab = view;
  let timer = 0;
  let isOurs = false;
  view.listen(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isOurs = true;
      try {
        model.set("_at", view.row + 1);
        model.save_changes();
      } catch (error) {
        // The kernel is gone: what the page holds it still shows.
        console.warn("flowlab: the kernel no longer hears of this view", error);
      }
      isOurs = false;
    }, 150);
  });
  const heard = () => { if (!isOurs) view.go(model.get("_at") - 1, false); };
  model.on("change:_at", heard);
  heard();
  tellDrawn(host, started);
  return () => {
    clearTimeout(timer);
    model.off("change:_at", heard);
    view.dispose();
  };
}

function openPage() {
  return openWith((header, bytes, host) => new TravelView(host, new Places(header, bytes)));
}
