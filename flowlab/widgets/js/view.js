// The view: what is chosen, what follows from it, and when it is drawn.

const ZOOM = 1.4;

class View {
  /**
   * @param host the element that holds the view; its shadow root gets everything.
   * @param log the columns. @param answers says what needs the causal order or a payload.
   */
  constructor(host, log, answers) {
    Object.assign(this, { host, log, answers, listeners: [], disposers: [] });
    const several = log.header.worlds.length > 1;
    this.group = log.header.group === "auto" ? (several ? "run" : "agent") : log.header.group;
    this.axisKind = log.header.axis;
    this.opened = new Set();
    this.selected = [];
    this.filter = { text: "", type: -1, lane: -1 };
    this.isOnlyFound = false;
    Object.assign(this, { cut: null, cutPlace: null, cutMarks: null, cutBroken: [], critical: null });
    Object.assign(this, { classes: null, way: null, relation: null, about: null, found: null });
    Object.assign(this, { brush: null, scroll: 0, height: 300, radius: 4, arrows: [], ticks: [] });
    this.signs = readSigns(log.header);
    this.compress = new Axis(log, this.axisKind, false).isMostlyIdle;
    this.frame = new Frame(1);
    buildDom(this);
    this.retheme();
    this.rescale(true);
    this.disposers.push(watchTheme(() => this.retheme()));
    const resized = new ResizeObserver(() => this.resize());
    for (const element of [this.dom.stage, this.dom.scroller]) resized.observe(element);
    this.disposers.push(() => resized.disconnect());
    refreshControls(this);
  }

  dispose() {
    this.stop();
    for (const dispose of this.disposers) dispose();
  }

  /** Calls back with `selected`, `range` or `cut` when a person changes it. */
  listen(listener) { this.listeners.push(listener); }

  tell(what) { for (const listener of this.listeners) listener(what); }

  retheme() {
    const { colours, isDark, isHosted } = coloursFor(this.dom.root, this.log.header);
    this.colours = colours;
    this.dom.root.classList.toggle("dark", isDark);
    this.dom.root.classList.toggle("hosted", isHosted);
    for (const [role, colour] of Object.entries(colours)) this.dom.root.style.setProperty(`--${role}`, colour);
    this.draw();
  }

  /** Makes the axis again: its kind or its breaks have changed. */
  rescale(whole = false) {
    const row = this.selected[0];
    this.axis = new Axis(this.log, this.axisKind, this.compress && this.axisKind === "time");
    const { width } = this.frame;
    const share = whole ? null : (this.frame.to - this.frame.from) / this.frame.length;
    this.frame = new Frame(this.axis.length);
    this.frame.width = width;
    if (share !== null && share < 1 && row !== undefined) {
      const half = (share * this.axis.length) / 2;
      this.frame.set(this.axis.at[row] - half, this.axis.at[row] + half);
    }
    this.cutPlace = null;
    this.relayout();
    if (!whole) this.tell("range");
  }

  relayout() {
    const only = this.isOnlyFound && this.found ? this.found : null;
    this.layout = new Layout(this.log, this.axis, { group: this.group, opened: this.opened, only });
    this.dom.spacer.style.height = `${this.layout.height}px`;
    this.resize();
  }

  resize() {
    const width = Math.max(120, this.dom.scroller.clientWidth - this.dom.labelWidth);
    this.frame.width = width;
    this.height = Math.max(60, Math.min(this.layout.height, this.dom.scroller.clientHeight || 300));
    const scale = window.devicePixelRatio || 1;
    for (const [canvas, height] of [[this.dom.canvas, this.height], [this.dom.ruler, 26], [this.dom.overview, 30]]) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
      canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
    this.isOverviewStale = true;
    this.drawNow();
  }

  /** Draws at the next frame, once, however many things have changed. */
  draw() {
    if (this.pending || !this.layout) return;
    this.pending = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    if (this.pending) cancelAnimationFrame(this.pending);
    this.pending = 0;
    if (!this.layout) return;
    this.scroll = this.dom.scroller.scrollTop;
    this.chosen = chooseMarks(this.log, this.layout, this.frame, this.scroll, this.scroll + this.height);
    this.ticks = this.axis.ticks(this.frame, 84);
    this.radius = radiusOf(this);
    drawAll(this.dom.canvas.getContext("2d"), this);
    drawRuler(this.dom.ruler.getContext("2d"), this);
    drawOverview(this.dom.overview.getContext("2d"), this);
    showLanes(this);
    showStatus(this);
  }

  /** How high the sign of a row stands: a message that was lost stands between two lanes. */
  markY(row) {
    const y = this.layout.y(row);
    const source = this.sourceOf(row);
    return source < 0 || this.layout.laneOfRow[source] < 0 ? y : (y + this.layout.y(source)) / 2;
  }

  sourceOf(row) {
    if (!this.sources) {
      this.sources = new Map();
      const { adrift } = this.log;
      for (let n = 0; adrift && n < adrift.length; n += 3) this.sources.set(adrift[n], adrift[n + 1]);
    }
    return this.sources.has(row) ? this.sources.get(row) : -1;
  }

  alphaOf(row) {
    if (this.cut && !isWithin(this.log, this.cut, row)) return 0.3;
    return this.classes && this.classes[row] === CONCURRENT ? 0.3 : 1;
  }

  /** A bar is as pale as what its own agent did of it: that somebody asked for it says nothing. */
  alphaOfBar(bar) {
    const own = bar.rows.filter((row) => this.log.lane[row] === bar.lane);
    const rows = own.length ? own : bar.rows;
    return rows.reduce((most, row) => Math.max(most, this.alphaOf(row)), 0);
  }

  /** Words stay readable where their sign pales. */
  alphaOfWords(alpha) { return alpha < 1 ? 0.62 : 1; }

  alphaOfArrow(cause, effect) { return Math.min(this.alphaOf(cause), this.alphaOf(effect)); }

  // -- selection

  async select(row, isSecond = false, isTold = true) {
    const first = this.selected[0];
    this.selected = isSecond && first !== undefined && first !== row ? [first, row] : [row];
    if (isTold) this.tell("selected");
    await this.refer();
  }

  async choose(rows) {
    this.selected = rows.slice(0, 2);
    await this.refer();
    if (rows.length) this.reveal(rows[rows.length - 1]);
  }

  clear() {
    if (!this.selected.length) return;
    this.selected = [];
    this.tell("selected");
    this.refer();
  }

  /** Asks what follows from the selection; a later one makes the answer void. */
  async refer() {
    const asked = this.selected;
    Object.assign(this, { classes: null, way: null, relation: null, about: null });
    this.draw();
    showPanel(this);
    try {
      if (asked.length === 1) {
        const about = await this.answers.about(asked[0]);
        if (this.selected !== asked) return;
        this.about = about;
        this.classes = classesOf(this.log.size, asked[0], about);
      } else if (asked.length === 2) {
        const relation = await this.answers.relate(asked[0], asked[1]);
        if (this.selected !== asked) return;
        Object.assign(this, { relation, way: relation.path.length > 1 ? relation.path : null });
      }
    } catch (error) {
      if (this.selected !== asked) return;
      this.about = { error: String(error.message || error) };
    }
    this.draw();
    showPanel(this);
    announce(this);
  }

  /** Brings a row on screen, along the axis and between the lanes. */
  reveal(row) {
    const lane = this.layout.laneOfRow[row];
    if (lane < 0) return;
    const at = this.axis.at[row];
    const span = this.frame.to - this.frame.from;
    if (at < this.frame.from + span * 0.03 || at > this.frame.to - span * 0.03) {
      this.frame.set(at - span / 2, at + span / 2);
      this.tell("range");
    }
    const { top, height } = this.layout.lanes[lane];
    const { scroller } = this.dom;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + height > scroller.scrollTop + this.height) scroller.scrollTop = top + height - this.height;
    this.draw();
  }

  // -- what is on screen

  zoom(factor, x = this.frame.width / 2) {
    this.frame.zoom(factor, x);
    this.moved();
  }

  pan(pixels) {
    this.frame.pan(pixels);
    this.moved();
  }

  fit() {
    this.frame.fit();
    this.moved();
  }

  show(from, to) {
    this.frame.set(Math.min(from, to), Math.max(from, to));
    this.moved();
  }

  moved() {
    this.draw();
    this.tell("range");
  }

  setGroup(group) {
    this.group = group;
    this.opened = new Set();
    this.relayout();
    refreshControls(this);
  }

  setAxis(kind) {
    this.axisKind = kind;
    this.rescale();
    refreshControls(this);
  }

  setCompress(compress) {
    this.compress = compress;
    this.rescale();
    refreshControls(this);
  }

  toggleLane(lane) {
    if (lane.level) return;
    if (this.opened.has(lane.code)) this.opened.delete(lane.code); else this.opened.add(lane.code);
    this.relayout();
  }

  // -- search

  search(filter) {
    Object.assign(this.filter, filter);
    const { text, type, lane } = this.filter;
    const isAny = !text.trim() && type < 0 && lane < 0;
    this.found = isAny ? null : matches(this.log, this.filter);
    this.foundRows = [];
    if (this.found) for (let row = 0; row < this.found.length; row++) if (this.found[row]) this.foundRows.push(row);
    if (this.isOnlyFound) this.relayout(); else this.draw();
    refreshControls(this);
  }

  setOnlyFound(isOnly) {
    this.isOnlyFound = isOnly;
    this.relayout();
    refreshControls(this);
  }

  nextFound(step) {
    const rows = this.foundRows || [];
    if (!rows.length) return;
    const here = this.selected.length ? rows.indexOf(this.selected[0]) : -1;
    const next = rows[(here < 0 && step < 0 ? rows.length - 1 : here + step + rows.length) % rows.length];
    this.select(next);
    this.reveal(next);
  }
}

function classesOf(size, row, { past, future }) {
  const classes = new Uint8Array(size);
  if (!past) return null;
  for (let other = 0; other < size; other++) {
    classes[other] = past[other] ? PAST : future[other] ? FUTURE : CONCURRENT;
  }
  classes[row] = 0;
  return classes;
}
