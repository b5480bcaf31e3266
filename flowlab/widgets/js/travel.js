// Moving through a log: the cut, the critical path, play, and from event to event.

const PLAY_SECONDS = 12;
const MOST_BROKEN = 100;

Object.assign(View.prototype, {
  // -- the cut

  toggleCut() {
    if (this.cut) this.dropCut(); else this.cutAt((this.frame.from + this.frame.to) / 2);
  },

  dropCut() {
    this.stop();
    Object.assign(this, { cut: null, cutPlace: null, cutMarks: null, cutBroken: [] });
    this.afterCut();
  },

  /** Cuts every lane at one place of the axis. */
  cutAt(place) {
    this.cutPlace = Math.max(-1, Math.min(this.axis.length, place));
    this.setCut(frontierAt(this.log, this.axis.at, this.cutPlace));
  },

  setCut(frontier, isTold = true) {
    this.cut = frontier;
    this.cutMarks = new Uint8Array(this.log.size);
    for (let row = 0; row < this.log.size; row++) this.cutMarks[row] = isWithin(this.log, frontier, row) ? PAST : 0;
    this.cutBroken = this.log.hasEdges
      ? brokenEdges(this.log, frontier, MOST_BROKEN).map((edge) => [this.log.src[edge], this.log.dst[edge]]) : [];
    this.afterCut(isTold);
  },

  afterCut(isTold = true) {
    if (isTold) this.tell("cut");
    this.draw();
    showPanel(this);
    refreshControls(this);
  },

  /** Moves the cut of one agent by so many of its events. */
  nudgeLane(lane, by) {
    const cut = this.cut.slice();
    cut[lane] = Math.max(0, Math.min(this.log.rowsOfLane[lane].length, cut[lane] + by));
    this.cutPlace = null;
    this.setCut(cut);
  },

  cutLaneAt(lane, place) {
    const cut = this.cut.slice();
    const rows = this.log.rowsOfLane[lane];
    let count = 0;
    for (const row of rows) if (this.axis.at[row] <= place) count++;
    cut[lane] = count;
    this.cutPlace = null;
    this.setCut(cut);
  },

  mendCut() {
    if (!this.cut || !this.log.hasEdges) return;
    const cut = closestConsistent(this.log, this.log.graph(), this.cut);
    this.cutPlace = null;
    this.setCut(cut);
  },

  /** Where the cut crosses a lane, in pixels; null where none of the lane is shown. */
  cutX(lane) {
    if (this.cutPlace !== null) return this.frame.x(this.cutPlace);
    if (!lane.rows.length) return null;
    const { at } = this.axis;
    let last = -1;
    for (const row of lane.rows) if (this.cutMarks[row] && (last < 0 || at[row] >= at[last])) last = row;
    const next = lane.rows.find((row) => !this.cutMarks[row] && (last < 0 || at[row] >= at[last]));
    if (last < 0) return this.frame.x(at[lane.rows[0]]) - 10;
    if (next === undefined) return this.frame.x(at[last]) + 10;
    return this.frame.x((at[last] + at[next]) / 2);
  },

  /** The agent whose events alone stand on a lane; -1 where several agents' do. */
  agentOf(lane) {
    if (this.group === "agent") return lane.level ? -1 : lane.code;
    return lane.level ? lane.code : -1;
  },

  /** The place of the first event after the cut, or before it. */
  stepCut(step) {
    const from = this.cutPlace === null ? (step > 0 ? -1 : this.axis.length) : this.cutPlace;
    let best = null;
    for (let row = 0; row < this.log.size; row++) {
      const far = (this.axis.at[row] - from) * step;
      if (far > 0 && !this.log.isHidden(row) && (best === null || far < (best - from) * step)) {
        best = this.axis.at[row];
      }
    }
    if (best === null) return false;
    this.cutAt(best);
    this.follow(best);
    return true;
  },

  follow(place) {
    const span = this.frame.to - this.frame.from;
    if (place >= this.frame.from && place <= this.frame.to) return;
    this.frame.set(place - span * 0.1, place + span * 0.9);
    this.moved();
  },

  // -- play

  play() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (isMotionReduced()) {
      if (!this.stepCut(1)) this.cutAt(-1);
      return;
    }
    const isOver = this.cutPlace === null || this.cutPlace >= this.axis.length;
    let place = isOver ? Math.max(0, this.frame.from) : this.cutPlace;
    const speed = (this.frame.to - this.frame.from) / PLAY_SECONDS / 1000;
    let before = performance.now();
    const step = (now) => {
      place += Math.min(100, now - before) * speed;
      before = now;
      this.cutAt(place);
      this.follow(place);
      this.timer = place < this.axis.length ? requestAnimationFrame(step) : 0;
      if (!this.timer) refreshControls(this);
    };
    this.timer = requestAnimationFrame(step);
    refreshControls(this);
  },

  stop() {
    if (this.timer) cancelAnimationFrame(this.timer);
    this.timer = 0;
    if (this.dom && this.layout) refreshControls(this);
  },

  // -- the critical path

  async toggleCritical() {
    if (this.critical) {
      this.critical = null;
    } else {
      const end = this.selected.length ? this.selected[this.selected.length - 1] : this.lastRow();
      if (end < 0) return;
      const rows = await this.answers.critical(end, this.axisKind);
      this.critical = { rows, place: -1 };
    }
    this.draw();
    showPanel(this);
    refreshControls(this);
  },

  /** The event that is last along the axis: by time and then by depth, or the reverse. */
  lastRow() {
    const { time, depth, size } = this.log;
    const [first, second] = this.axisKind === "time" ? [time, depth] : [depth, time];
    let last = size - 1;
    for (let row = 0; row < size; row++) if ((first[row] - first[last] || second[row] - second[last]) > 0) last = row;
    return last;
  },

  async stepCritical(step) {
    if (!this.critical) await this.toggleCritical();
    if (!this.critical) return;
    const { rows, place } = this.critical;
    const next = place < 0 && step < 0 ? rows.length - 1 : place + step;
    this.critical.place = Math.max(0, Math.min(rows.length - 1, next));
    const row = rows[this.critical.place];
    await this.select(row);
    this.reveal(row);
  },

  // -- from event to event

  /** Moves the selection along its lane, or to the nearest event of another one. */
  walk(alongLane, acrossLanes, isSecond) {
    const here = this.selected[this.selected.length - 1];
    const lanes = this.layout.lanes.filter((lane) => lane.rows.length);
    if (!lanes.length) return;
    if (here === undefined || this.layout.laneOfRow[here] < 0) {
      this.goTo(this.firstOnScreen(lanes), false);
      return;
    }
    const lane = this.layout.lanes[this.layout.laneOfRow[here]];
    const { at } = this.axis;
    if (alongLane) {
      const place = lane.rows.indexOf(here) + alongLane;
      if (place >= 0 && place < lane.rows.length) this.goTo(lane.rows[place], isSecond);
      return;
    }
    const other = lanes[lanes.indexOf(lane) + acrossLanes];
    if (other) this.goTo(nearestOf(other.rows, (row) => Math.abs(at[row] - at[here])), isSecond);
  },

  firstOnScreen(lanes) {
    for (const lane of lanes) {
      const place = lowerBound(lane.rows, this.axis.at, this.frame.from);
      const row = lane.rows[place];
      if (row !== undefined && this.axis.at[row] <= this.frame.to) return row;
    }
    return lanes[0].rows[0];
  },

  goTo(row, isSecond) {
    this.select(row, isSecond);
    this.reveal(row);
  },

  /** Goes to the last cause of the selected event, or to its first effect. */
  async goToNeighbour(side) {
    const here = this.selected[this.selected.length - 1];
    if (here === undefined) return;
    const { causes, effects } = await this.answers.neighbours(here);
    const rows = (side === "cause" ? causes : effects).map(({ row }) => row)
      .filter((row) => this.layout.laneOfRow[row] >= 0);
    if (!rows.length) return;
    const { at } = this.axis;
    this.goTo(nearestOf(rows, (row) => Math.abs(at[here] - at[row])), false);
  },
});
