// Lanes: whose events stand together, which of them are opened, and how high each is.

const GROUPS = ["agent", "workflow", "run"];
const LANE_PAD = 16;
const EVENT_LINE = 22;
const LEAST_HEIGHT = 46;
const TRACKS = [[4, 24], [10, 17], [Infinity, 8]];
const MAX_TRACKS = 40;
const MAX_SHARED_TRACKS = 12;
const THIN_BARS = new Set(["timer", "lock", "barrier"]);

/** What a grouping puts on one lane: first by `codes`, and in an opened lane by `inner`. */
function grouping(log, group) {
  const { lanes, workflows, worlds, lane_order: order } = log.header;
  const agents = { codes: log.lane, names: lanes, order, ofBar: (bar) => bar.lane };
  const flows = { codes: log.workflow, names: workflows, ofBar: (bar) => log.workflow[bar.asked] };
  const runs = { codes: log.world, names: worlds, ofBar: (bar) => log.world[bar.asked] };
  if (group === "workflow") return [flows, agents];
  if (group === "run") return [runs, agents];
  return [agents, flows];
}

/** The lanes as they are stacked, and the lane of every row and bar. */
class Layout {
  constructor(log, axis, { group, opened, only }) {
    this.log = log;
    this.axis = axis;
    this.laneOfRow = new Int32Array(log.size).fill(-1);
    this.barOfRow = new Int32Array(log.size).fill(-1);
    this.placed = new Array(log.bars.length);
    const [outer, inner] = grouping(log, group);
    this.lanes = this.stack(outer, inner, opened, only);
    this.assign(only);
    this.lanes.forEach((lane, index) => this.fill(lane, index));
    let top = 0;
    for (const lane of this.lanes) {
      this.measure(lane, top);
      top += lane.height;
    }
    this.height = top;
  }

  stack(outer, inner, opened, only) {
    const { log } = this;
    const shown = new Uint8Array(outer.names.length);
    const pairs = new Set();
    for (let row = 0; row < log.size; row++) {
      if (log.isHidden(row) || (only && !only[row])) continue;
      const code = outer.codes[row];
      shown[code] = 1;
      if (opened.size && opened.has(code)) pairs.add(code * inner.names.length + inner.codes[row]);
    }
    const within = new Map();
    for (const pair of [...pairs].sort((a, b) => a - b)) {
      const code = Math.floor(pair / inner.names.length);
      if (!within.has(code)) within.set(code, []);
      within.get(code).push(pair % inner.names.length);
    }
    const order = outer.order || outer.names.map((_, code) => code);
    const rank = inner.order && new Map(inner.order.map((code, place) => [code, place]));
    const lanes = [];
    this.outer = outer;
    this.inner = inner;
    this.first = new Int32Array(outer.names.length).fill(-1);
    this.deeper = new Map();
    for (const code of order) {
      if (!shown[code]) continue;
      const isOpen = opened.has(code);
      this.first[code] = lanes.length;
      lanes.push(newLane(outer.names[code], code, 0, isOpen));
      const codes = within.get(code) || [];
      lanes[lanes.length - 1].inside = codes.length;
      if (rank) codes.sort((a, b) => rank.get(a) - rank.get(b));
      for (const other of codes) {
        this.deeper.set(code * inner.names.length + other, lanes.length);
        lanes.push(newLane(inner.names[other], other, 1, false));
      }
    }
    return lanes;
  }

  laneFor(code, other) {
    const own = this.first[code];
    if (own < 0 || !this.lanes[own].isOpen) return own;
    const within = this.deeper.get(code * this.inner.names.length + other);
    return within === undefined ? -1 : within;
  }

  assign(only) {
    const { log, outer, inner, laneOfRow } = this;
    const onOwnLane = (bar, row) => (log.point ? !log.point[row] : log.lane[row] === bar.lane);
    for (let row = 0; row < log.size; row++) {
      if (log.isHidden(row) || (only && !only[row])) continue;
      laneOfRow[row] = this.laneFor(outer.codes[row], inner.codes[row]);
    }
    for (const bar of log.bars) {
      if (only && !bar.rows.some((row) => only[row])) continue;
      const index = this.laneFor(outer.ofBar(bar), inner.ofBar(bar));
      if (index < 0) continue;
      this.placed[bar.number] = { bar, lane: index, track: 0, y: 0, height: 0 };
      this.lanes[index].bars.push(bar);
      for (const row of bar.rows) {
        if (this.barOfRow[row] < 0 && onOwnLane(bar, row)) this.barOfRow[row] = bar.number;
      }
    }
    for (let at = 0; log.adrift && at < log.adrift.length; at += 3) {
      const [row, , lane] = log.adrift.subarray(at, at + 3);
      const index = outer.codes === log.lane ? this.laneFor(lane, inner.codes[row]) : -1;
      if (laneOfRow[row] >= 0 && index >= 0) laneOfRow[row] = index;
    }
    const lists = rowsByLane(laneOfRow, this.lanes.length);
    const { at } = this.axis;
    this.lanes.forEach((lane, index) => {
      lane.rows = lists[index];
      if (this.axis.kind !== "time") lane.rows.sort((a, b) => at[a] - at[b] || a - b);
    });
  }

  /** Puts the bars of a lane on tracks, so that none lies over another. */
  fill(lane, index) {
    const { at, length } = this.axis;
    const ends = [];
    const most = lane.level === 0 && this.outer.names.length < this.inner.names.length
      ? MAX_SHARED_TRACKS : MAX_TRACKS;
    const spans = lane.bars.map((bar) => ({ bar, ...barSpan(bar, at, length) }))
      .sort((a, b) => a.from - b.from || a.bar.number - b.bar.number);
    lane.bars = spans;
    let alone = 0;
    for (const span of spans) {
      let track = ends.findIndex((end) => end <= span.from);
      if (track < 0) track = ends.length < most ? ends.push(0) - 1 : most - 1;
      ends[track] = Math.max(ends[track] || 0, span.to);
      this.placed[span.bar.number].track = track;
    }
    for (const row of lane.rows) if (this.barOfRow[row] < 0) alone++;
    lane.tracks = Math.max(1, ends.length);
    lane.apart = alone > 0 && spans.length > 0;
    lane.note = noteOf(this.log, lane);
    lane.index = index;
  }

  measure(lane, top) {
    const step = TRACKS.find(([most]) => lane.tracks <= most)[1];
    const line = lane.apart ? EVENT_LINE : 0;
    lane.top = top;
    lane.height = lane.isOpen ? LEAST_HEIGHT : Math.max(LEAST_HEIGHT, 2 * LANE_PAD + line + step * lane.tracks);
    const first = top + (lane.height - line - step * lane.tracks) / 2;
    lane.base = lane.isOpen ? top + lane.height / 2 : first + (line || step) / 2;
    for (const { bar } of lane.bars) {
      const placed = this.placed[bar.number];
      placed.y = first + line + step * (placed.track + 0.5);
      placed.height = Math.min(THIN_BARS.has(bar.kind) ? 8 : step - 4, step - 2);
    }
  }

  /** How high a row stands: on its bar, or on the line of its lane. */
  y(row) {
    const bar = this.barOfRow[row];
    if (bar >= 0 && this.placed[bar]) return this.placed[bar].y;
    const lane = this.laneOfRow[row];
    return lane < 0 ? NaN : this.lanes[lane].base;
  }

  /** The lanes between two heights. */
  between(top, bottom) {
    return this.lanes.filter((lane) => lane.top < bottom && lane.top + lane.height > top);
  }
}

/** Lists the rows of each lane in their order; rows of no lane are left out. */
function rowsByLane(laneOfRow, lanes) {
  const start = new Int32Array(lanes + 1);
  for (let row = 0; row < laneOfRow.length; row++) if (laneOfRow[row] >= 0) start[laneOfRow[row] + 1]++;
  for (let lane = 0; lane < lanes; lane++) start[lane + 1] += start[lane];
  const next = start.slice();
  const all = new Int32Array(start[lanes]);
  for (let row = 0; row < laneOfRow.length; row++) if (laneOfRow[row] >= 0) all[next[laneOfRow[row]]++] = row;
  return Array.from({ length: lanes }, (_, lane) => all.subarray(start[lane], start[lane + 1]));
}

function newLane(parts, code, level, isOpen) {
  return { name: laneName(parts), parts, code, level, isOpen, inside: 0, rows: new Int32Array(0), bars: [] };
}

function barSpan(bar, at, length) {
  const end = bar.ended >= 0 ? bar.ended : bar.cut;
  return { from: at[bar.asked], to: end < 0 ? length : Math.max(at[bar.asked], at[end]) };
}

function noteOf(log, lane) {
  if (lane.isOpen) return counted(lane.inside, "lane");
  const calls = lane.bars.filter(({ bar }) => bar.kind === "activity");
  let events = 0;
  for (const row of lane.rows) events += log.weight(row);
  const failed = calls.filter(({ bar }) => bar.status === "failed" || bar.status === "timed_out").length;
  const note = calls.length ? counted(calls.length, "call") : counted(events, "event");
  return failed ? `${note} · ${failed} failed` : note;
}

/** The first place in sorted rows whose value is not below a bound. */
function lowerBound(rows, at, bound) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at[rows[middle]] < bound) low = middle + 1; else high = middle;
  }
  return low;
}
