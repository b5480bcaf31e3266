// Axes with round numbers, and the signs of the schemes, as flowlab/figures/recovery_axes.py has them.

const AXIS_UNITS = [
  [86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"],
];

class Scale {
  constructor(first, last, start, end, isLog = false) { Object.assign(this, { first, last, start, end, isLog }); }

  at(value) {
    const held = Math.min(Math.max(value, this.first), this.last);
    const share = this.isLog
      ? Math.log(held / this.first) / Math.log(this.last / this.first)
      : (held - this.first) / (this.last - this.first);
    return this.start + share * (this.end - this.start);
  }

  value(place) {
    const share = (place - this.start) / (this.end - this.start);
    if (this.isLog) return this.first * Math.exp(share * Math.log(this.last / this.first));
    return this.first + share * (this.last - this.first);
  }
}

function power(exponent) { return Number(`1e${exponent}`); }

function decades(low, high) {
  const first = Math.floor(Math.log10(low) + 1e-9);
  return [power(first), power(Math.max(Math.ceil(Math.log10(high) - 1e-9), first + 1))];
}

function logTicks(scale, room) {
  const [first, last] = [Math.round(Math.log10(scale.first)), Math.round(Math.log10(scale.last))];
  const step = Math.max(1, Math.ceil(room / (Math.abs(scale.end - scale.start) / Math.max(1, last - first))));
  const found = [];
  for (let exponent = first; exponent <= last; exponent += step) found.push(power(exponent));
  return found;
}

/** Round numbers from 0 up to at least the largest, so many steps at most. */
function roundTicks(most, steps) {
  if (most <= 0) return [0, 1];
  const base = power(Math.floor(Math.log10(most / steps)));
  const times = [1, 2, 5, 10].find((n) => n * base * steps >= most * (1 - 1e-9)) || 20;
  const step = times * base;
  const found = [];
  for (let n = 0; n <= Math.ceil(most / step - 1e-9); n++) found.push(Number((step * n).toPrecision(12)));
  return found;
}

function timeTicks(most, steps) {
  const unit = AXIS_UNITS.find(([size]) => most >= size * (size > 1 ? 2 : 1)) || AXIS_UNITS[6];
  const found = roundTicks(most / unit[0], steps);
  return found.map((n) => [n * unit[0], n ? `${n} ${unit[1]}` : "0"]);
}

function powerWords(value) {
  if (value >= 1) return value < 1e6 ? `${grouped(value)} s` : `${value} s`;
  const unit = AXIS_UNITS.slice(4).find(([size]) => value >= size * (1 - 1e-9));
  return unit ? `${Math.round(value / unit[0])} ${unit[1]}` : `${value} s`;
}

function tickEvents(found) { return found.map((n) => [n, n >= 1 || !n ? eventsWords(n) : String(n)]); }

function levelAxis(frame, scale, ticks, colours) {
  const parts = [rule(frame.left, frame.bottom, frame.right, frame.bottom, { stroke: colours.faint })];
  for (const [tick, words] of ticks) {
    const x = scale.at(tick);
    parts.push(rule(x, frame.bottom, x, frame.bottom + 4, { stroke: colours.faint }));
    parts.push(written(x, frame.bottom + 18, words, { fill: colours.muted, text_anchor: "middle" }));
  }
  return parts;
}

function uprightAxis(frame, scale, ticks, colours) {
  return ticks.flatMap(([tick, words]) => [
    rule(frame.left, scale.at(tick), frame.right, scale.at(tick), { stroke: colours.grid }),
    written(frame.left - 8, scale.at(tick) + 4, words, { fill: colours.muted, text_anchor: "end" }),
  ]);
}

/** The sign of a scheme: a shape of its own. */
function signOf(scheme, x, y, r, fill, colour) {
  const look = { fill, stroke: colour, stroke_width: 1.6 };
  if (scheme === "checkpoint") return disc(x, y, r, look);
  if (scheme === "incremental") return area(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8, look);
  const corners = {
    cache: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
    replay: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
  }[scheme] || [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]];
  return trace(`${wayOf(corners.map(([a, b]) => [x + r * a, y + r * b]))}Z`, look);
}

function letterOf(look, x, y, colours, stroke) {
  return [
    disc(x, y, 7.5, { fill: colours.panel, stroke, stroke_width: 2 }),
    written(x, y + 3.8, look.letter, {
      font_size: 10.5, font_weight: 700, fill: colours.ink, text_anchor: "middle",
    }),
  ];
}

/** Moves places apart, so that their letters do not cover each other. */
function spreadOut(places, top, bottom) {
  const order = places.map((_, n) => n).sort((a, b) => places[a] - places[b]);
  const found = [...places];
  let last = top - 16;
  for (const n of order) {
    found[n] = Math.max(found[n], last + 16);
    last = found[n];
  }
  let limit = bottom;
  for (const n of order.reverse()) {
    found[n] = Math.min(found[n], limit);
    limit = found[n] - 16;
  }
  return found;
}
