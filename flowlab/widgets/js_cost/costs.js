// The view of recovery costs: numbers from sliders, three panels, a table, and what follows in words.

const SAID_AFTER_MS = 500;

class CostView {
  constructor(host, header) {
    Object.assign(this, { host, header, sliders: new Map(), listeners: [], disposers: [] });
    this.first = { ...header.costs };
    this.costs = { ...header.costs };
    this.measured = header.measured;
    this.firstShare = header.crash_share;
    this.crashShare = header.crash_share;
    this.build();
    this.retheme();
    this.disposers.push(watchTheme(() => this.retheme()));
    const resized = new ResizeObserver(() => this.draw());
    resized.observe(this.dom.root);
    this.disposers.push(() => resized.disconnect(), () => clearTimeout(this.timer));
  }

  dispose() { for (const dispose of this.disposers) dispose(); }

  listen(listener) { this.listeners.push(listener); }

  build() {
    const { host, header } = this;
    const shadow = host.shadowRoot || host.attachShadow({ mode: "open" });
    const dom = {};
    this.dom = dom;
    const picture = (name, words) => {
      dom[name] = drawn("svg", { role: "img", "aria-label": words, class: name });
      return dom[name];
    };
    dom.case = make("p", { class: "status" });
    dom.table = make("table", { class: "schemes" });
    dom.advice = make("div", { class: "advice" });
    dom.told = make("p", { class: "toldRun" });
    dom.live = make("p", { class: "unseen", "aria-live": "polite" });
    dom.crash = make("input", { type: "range", min: 0, max: 1000, step: 1, id: "crash", class: "crash" });
    dom.crash.addEventListener("input", () => this.placeCrash(Number(dom.crash.value) / 1000));
    const key = PHASES.map(([words]) => make("span", { class: "item" },
      make("span", { class: `swatch ${words.replace(" ", "")}` }), words));
    dom.root = make("section", { class: "view", "aria-label": `Live view: ${header.title}` },
      make("header", { class: "head" }, make("h2", {}, header.title), dom.case),
      make("div", { class: "columns" }, buildSliders(this),
        make("div", { class: "plots" },
          make("h3", {}, "Cost of an event, by the events between checkpoints"),
          picture("cost", "cost of an event of each scheme; the table below has where each is least"),
          dom.table, dom.advice,
          make("div", { class: "pair" },
            make("div", {}, make("h3", {}, "Time of a recovery, by the history"),
              picture("time", "time of a recovery of each scheme, by the events of the history")),
            make("div", {}, make("h3", {}, "One run: events since the last checkpoint"),
              picture("run", "events since the last checkpoint, over time"),
              make("div", { class: "crashRow" }, make("label", { for: "crash" }, "crash"), dom.crash),
              make("div", { class: "legend" }, ...key), dom.told)))),
      dom.live);
    host.setAttribute("data-lm-suppress-shortcuts", "true");
    shadow.replaceChildren(make("style", {}, STYLE), dom.root);
    this.takeCrash();
  }

  retheme() {
    const { colours, isDark } = coloursFor(this.dom.root, this.header);
    this.colours = colours;
    this.dom.root.classList.toggle("dark", isDark);
    for (const [role, colour] of Object.entries(colours)) this.dom.root.style.setProperty(`--${role}`, colour);
    this.looks = {};
    for (const [scheme, look] of Object.entries(this.header.looks)) {
      const stroke = colours[`${look.role}_line`] || colours[look.role];
      const line = { stroke, stroke_width: look.width, stroke_dasharray: look.dash || null };
      this.looks[scheme] = { ...look, fill: colours[look.role], line };
    }
    this.compute();
  }

  change(name, value) {
    this.costs = { ...this.costs, [name]: value };
    this.compute();
    this.tell();
  }

  reset() {
    this.costs = { ...this.first };
    this.crashShare = this.firstShare;
    this.compute();
    this.tell();
  }

  /** Takes numbers from outside; nobody is told. */
  take(costs, share) {
    this.costs = { ...this.costs, ...costs };
    this.crashShare = share;
    this.compute();
  }

  tell() { for (const listener of this.listeners) listener(); }

  placeCrash(share) {
    this.crashShare = Math.min(1, Math.max(0, share));
    this.compute();
    this.tell();
  }

  compute() {
    const c = this.costs;
    this.bests = Object.fromEntries(SCHEMES.map((scheme) => [scheme, bestOf(scheme, c)]));
    const every = Math.max(1, Math.floor(this.bests.checkpoint.nStar + 0.5));
    this.run = crashedRun(every, c, this.crashShare * longestCrash(every, c));
    this.advice = adviceOf(c, this.bests);
    this.draw();
    this.say();
  }

  draw() {
    const wide = this.dom.cost.parentElement.clientWidth;
    if (!wide || !this.bests) return;
    const { dom } = this;
    const frame = { left: 66, top: 74, right: wide - 36, bottom: 74 + 230 };
    fill(dom.cost, wide, 74 + 230 + 46, costPanel(frame, this));
    const half = dom.time.parentElement.clientWidth;
    const small = { left: 66, top: 18, right: half - 36, bottom: 18 + 170 };
    fill(dom.time, half, 18 + 170 + 46, timePanel(small, this));
    const { parts, x } = runPanel({ ...small, right: half - 14 }, this);
    this.runScale = x;
    fill(dom.run, half, 18 + 170 + 26, parts);
    showSliders(this);
    dom.crash.value = String(Math.round(this.crashShare * 1000));
    dom.crash.setAttribute("aria-valuetext", runWords(this.run));
    this.showWords();
  }

  showWords() {
    const { dom, costs: c, looks, colours } = this;
    const row = (scheme) => {
      const look = looks[scheme];
      const sample = drawn("svg", { width: 62, height: 18, "aria-hidden": "true" },
        ...letterOf(look, 9, 9, colours, look.line.stroke), trace("M22 9L58 9", look.line));
      if (this.bests[scheme].nStar) sample.append(signOf(scheme, 40, 9, 4.4, look.fill, look.line.stroke));
      const name = make("th", { scope: "row" }, make("span", { class: "unseen" }, `${look.letter} `), look.name);
      const told = bestWords(this.bests[scheme], c);
      return make("tr", {}, make("td", { class: "sample" }, sample), name, make("td", {}, told));
    };
    dom.table.replaceChildren(make("tbody", {}, ...SCHEMES.map(row)));
    dom.advice.replaceChildren(...this.advice.map((words, n) => make("p", n ? {} : { class: "first" }, words)));
    setWords(dom.told, runWords(this.run));
    const state = `write ${secondsWords(fullS(c))}, load ${secondsWords(loadS(c))}`;
    const hollow = `; ${counted(this.measured.length, "measured recovery")} drawn hollow`;
    const measured = this.measured.length ? hollow : "";
    setWords(dom.case, `state at the middle of the history: ${state}${measured}`);
  }

  /** Tells a screen reader where the sliders come to rest. */
  say() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      setWords(this.dom.live, `${this.advice.join(" ")} ${runWords(this.run)}`);
    }, SAID_AFTER_MS);
  }

  /** Lets a pointer drag the crash along the run. */
  takeCrash() {
    const { run } = this.dom;
    const move = (event) => {
      const scale = this.runScale;
      const at = scale.value(event.clientX - run.getBoundingClientRect().left);
      this.placeCrash(at / longestCrash(this.run.every, this.costs));
    };
    run.addEventListener("pointerdown", (event) => {
      run.setPointerCapture(event.pointerId);
      run.classList.add("dragged");
      move(event);
    });
    run.addEventListener("pointermove", (event) => { if (run.hasPointerCapture(event.pointerId)) move(event); });
    run.addEventListener("lostpointercapture", () => run.classList.remove("dragged"));
  }
}

function fill(svg, width, height, parts) {
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("font-family", LETTERING);
  svg.replaceChildren(...parts);
}

/** Shows the costs of a model, and keeps both the same; returns how to end it. */
function showModel(model, element) {
  const started = performance.now();
  const host = make("div", { class: "flowlab-live" });
  element.replaceChildren(host);
  const view = new CostView(host, JSON.parse(model.get("_header")));
  host.flowlab = view;
  let isOurs = false;
  let timer = 0;
  view.listen(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isOurs = true;
      try {
        model.set("_numbers", { ...view.costs });
        model.set("_share", view.crashShare);
        model.save_changes();
      } catch (error) {
        // The kernel is gone: the view goes on without it.
        console.warn("flowlab: the kernel no longer hears of this view", error);
      }
      isOurs = false;
    }, 150);
  });
  const heard = () => { if (!isOurs) view.take(model.get("_numbers"), model.get("_share")); };
  for (const name of ["change:_numbers", "change:_share"]) model.on(name, heard);
  heard();
  tellDrawn(host, started);
  return () => {
    clearTimeout(timer);
    for (const name of ["change:_numbers", "change:_share"]) model.off(name, heard);
    view.dispose();
  };
}

function openPage() { return openWith((header, bytes, host) => new CostView(host, header)); }
