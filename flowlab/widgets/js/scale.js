// The axis: from a time or a causal depth to a place, and from a place to pixels.

const IDLE_SHARE = 0.01;
const IDLE_MEDIANS = 4;
const BREAK_SHARE = 0.025;
const ALL_BREAKS_SHARE = 0.5;
const MAX_BREAKS = 200;
const WORKING = new Set(["activity", "compensation", "child"]);

/** Where every row stands along the axis, with idle time taken out where that is asked for. */
class Axis {
  constructor(log, kind, compress) {
    this.kind = kind;
    this.values = kind === "time" ? log.time : Float64Array.from(log.depth);
    let last = 0;
    for (const value of this.values) if (value > last) last = value;
    this.last = last;
    this.idle = kind === "time" ? idleGaps(log) : [];
    this.gaps = compress ? this.idle : [];
    const gone = this.gaps.reduce((sum, [from, to]) => sum + to - from, 0);
    const share = Math.min(BREAK_SHARE, ALL_BREAKS_SHARE / Math.max(1, this.gaps.length));
    this.breakLength = Math.max(1e-9, (last - gone) * share) || 1;
    this.length = this.place(last) || 1;
    this.at = this.gaps.length ? this.values.map((value) => this.place(value)) : this.values;
  }

  /** Whether long idle time is most of the picture. */
  get isMostlyIdle() {
    const gone = this.idle.reduce((sum, [from, to]) => sum + to - from, 0);
    return gone > this.last / 2;
  }

  place(value) {
    let less = 0;
    for (const [from, to] of this.gaps) {
      if (value <= from) break;
      if (value < to) return from - less + this.breakLength * ((value - from) / (to - from));
      less += to - from - this.breakLength;
    }
    return value - less;
  }

  value(place) {
    let less = 0;
    for (const [from, to] of this.gaps) {
      const start = from - less;
      if (place <= start) break;
      if (place < start + this.breakLength) return from + (to - from) * ((place - start) / this.breakLength);
      less += to - from - this.breakLength;
    }
    return place + less;
  }

  get breaks() {
    return this.gaps.map(([from, to]) => ({
      from: this.place(from), to: this.place(to), label: duration(to - from),
    }));
  }

  /** Ticks at round values within a frame, at most one in `room` pixels. */
  ticks(frame, room) {
    const scale = frame.width / (frame.to - frame.from);
    const step = stepFor(room / scale, this.kind);
    // A first event has causal depth 1, as its Lamport clock, and stands at 0.
    const zero = this.kind === "time" ? 0 : 1;
    const first = Math.ceil((Math.max(0, this.value(frame.from)) + zero) / step) * step - zero;
    const ticks = [];
    let taken = -Infinity;
    for (let value = first; value <= this.last && ticks.length < 500; value += step) {
      const place = this.place(value);
      if (place > frame.to) break;
      const x = frame.x(place);
      if (x - taken < room * 0.7 || this.gaps.some(([from, to]) => value > from && value < to)) continue;
      ticks.push({ x, label: tickLabel(value + zero, step, this.kind) });
      taken = x;
    }
    return ticks;
  }
}

/** Gaps in which nothing happened and nobody worked: long ones, beside the whole and the others. */
function idleGaps(log) {
  if (!log.size) return [];
  const total = log.time[log.size - 1] - log.time[0];
  const spans = log.bars.filter((bar) => WORKING.has(bar.kind) && bar.ended >= 0)
    .map((bar) => [log.time[bar.asked], log.time[bar.ended]]).sort((a, b) => a[0] - b[0]);
  const gaps = [];
  let place = 0;
  let busy = -Infinity;
  for (let row = 1; row < log.size; row++) {
    const from = log.time[row - 1];
    const to = log.time[row];
    while (place < spans.length && spans[place][0] <= from) busy = Math.max(busy, spans[place++][1]);
    if (to > from && busy <= from) gaps.push([from, to]);
  }
  const usual = gaps.map(([from, to]) => to - from).sort((a, b) => a - b)[gaps.length >> 1] || 0;
  const least = Math.max(total * IDLE_SHARE, usual * IDLE_MEDIANS);
  return gaps.filter(([from, to]) => to - from > least).slice(0, MAX_BREAKS);
}

function stepFor(least, kind) {
  if (kind === "time" && least > 1e9 * 5) {
    const seconds = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
      172800, 432000, 864000, 1728000, 4320000, 8640000, 31536000, 315360000];
    return (seconds.find((s) => s * 1e9 >= least) || 3153600000) * 1e9;
  }
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least) || 10 * power;
}

function tickLabel(value, step, kind) {
  if (kind !== "time") return String(value);
  if (value === 0) return "0";
  const units = [[86400e9, "d"], [3600e9, "h"], [60e9, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  // Decimals keep numbers short: 684.5 s rather than 684500 ms.
  const least = step < 60e9 ? Math.min(value, 1e9) : step;
  const [unit, name] = units.find(([size]) => (step < 60e9 ? size <= least && step / size > 9e-4 : size <= step))
    || units[units.length - 1];
  return `${Number((value / unit).toFixed(3))} ${name}`;
}

/** The part of the axis that is on screen, and how wide it is in pixels. */
class Frame {
  constructor(length) {
    this.length = length;
    this.pad = 0.02 * length;
    this.width = 800;
    this.fit();
  }

  fit() { this.set(-this.pad, this.length + this.pad); }

  set(from, to) {
    const least = Math.max(this.length * 1e-7, 1e-6);
    const whole = this.length + 2 * this.pad;
    const span = Math.min(whole, Math.max(least, to - from));
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, -this.pad), this.length + this.pad - span);
    this.to = this.from + span;
  }

  x(place) { return ((place - this.from) / (this.to - this.from)) * this.width; }

  place(x) { return this.from + (x / this.width) * (this.to - this.from); }

  zoom(factor, x) {
    const fixed = this.place(x);
    this.set(fixed - (fixed - this.from) * factor, fixed + (this.to - fixed) * factor);
  }

  pan(pixels) {
    const by = (pixels / this.width) * (this.to - this.from);
    this.set(this.from + by, this.to + by);
  }

  get isWhole() { return this.to - this.from >= this.length + 2 * this.pad - 1e-9; }
}
