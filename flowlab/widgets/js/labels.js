// Labels: the first free place beside what they name, and never one over another.

const BAR_SIZE = 11;
const POINT_SIZE = 10;
const MOST_LABELS = 300;
const LEAST_SPACE = 26;
const URGENT = new Set(["failed", "timed_out", "crash", "pivot", "dropped", "barrier", "fault"]);

class Room {
  constructor() { this.boxes = new Map(); }

  cells(box) {
    const cells = [];
    for (let cx = Math.floor(box.x1 / 60); cx <= Math.floor(box.x2 / 60); cx++) {
      for (let cy = Math.floor(box.y1 / 30); cy <= Math.floor(box.y2 / 30); cy++) cells.push(cx * 100003 + cy);
    }
    return cells;
  }

  take(box) {
    for (const cell of this.cells(box)) {
      if (!this.boxes.has(cell)) this.boxes.set(cell, []);
      this.boxes.get(cell).push(box);
    }
  }

  isFree(box) {
    return !this.cells(box).some((cell) => (this.boxes.get(cell) || []).some((other) => box.x1 < other.x2
      && other.x1 < box.x2 && box.y1 < other.y2 && other.y1 < box.y2));
  }
}

function drawLabels(ctx, view) {
  const room = new Room();
  const { layout, frame, chosen } = view;
  const at = layout.axis.at;
  const wanted = [];
  for (const placed of chosen.bars) {
    const segments = segmentsOf(view, placed);
    const { x1, x2 } = { x1: Math.min(...segments.map((s) => s.x1)), x2: Math.max(...segments.map((s) => s.x2)) };
    if (x2 < 0 || x1 > frame.width) continue;
    const half = placed.height / 2;
    const [left, right] = [Math.max(-100, x1), Math.min(frame.width + 100, x2)];
    room.take({ x1: left, x2: right, y1: placed.y - half, y2: placed.y + half });
    const urgent = placed.bar.status === "failed" || placed.bar.kind === "compensation";
    if (placed.bar.label) wanted.push({ order: urgent ? 0 : 1, x: x1, placed, segments });
  }
  for (const row of chosen.rows) {
    if (layout.barOfRow[row] >= 0) continue;
    const x = frame.x(at[row]);
    const y = view.markY(row);
    room.take({ x1: x - view.radius, x2: x + view.radius, y1: y - view.radius, y2: y + view.radius });
    const text = view.log.label(row);
    if (text) wanted.push({ order: URGENT.has(view.log.glyphName(row)) ? 0 : 2, x, row, text });
  }
  // Where events stand close, the names of ordinary ones would be a clutter.
  const isCrowded = (frame.width * chosen.lanes.length) / Math.max(1, chosen.rows.length) < LEAST_SPACE;
  const kept = isCrowded ? wanted.filter((want) => want.order < 2) : wanted;
  kept.sort((a, b) => a.order - b.order || a.x - b.x);
  for (const want of kept.slice(0, MOST_LABELS)) {
    if (want.placed) labelBar(ctx, view, room, want); else labelPoint(ctx, view, room, want);
  }
  ctx.globalAlpha = 1;
}

function labelBar(ctx, view, room, { placed, segments }) {
  const width = view.frame.width;
  const works = segments.filter((s) => s.kind === "work");
  const work = works.sort((a, b) => (b.x2 - b.x1) - (a.x2 - a.x1))[0] || segments[segments.length - 1];
  ctx.font = `400 ${BAR_SIZE}px ${FONT}`;
  const left = Math.max(work.x1, 0);
  const inside = Math.min(work.x2, width) - left - 10;
  const alpha = view.alphaOfBar(placed.bar);
  ctx.globalAlpha = view.alphaOfWords(alpha);
  if (placed.height >= 13 && inside > 22) {
    const text = fitted(ctx, placed.bar.label, inside);
    const paint = paintOf(placed.bar, work.result);
    if (text) {
      const ink = work.kind === "work" && alpha === 1 && paint.on ? paint.on : "ink";
      say(ctx, text, left + 5, placed.y + 4, BAR_SIZE, view.colours[ink]);
      return;
    }
  }
  if (placed.height < 7) return;
  const text = fitted(ctx, placed.bar.label, 190);
  const long = ctx.measureText(text).width;
  const last = Math.max(...segments.map((s) => s.x2));
  const first = Math.min(...segments.map((s) => s.x1));
  const middle = placed.y + 4;
  const places = [[last + 7, middle], [first - long - 6, middle], [first, placed.y + placed.height / 2 + 11]];
  put(ctx, view, room, text, long, places, BAR_SIZE, placed.lane);
}

function labelPoint(ctx, view, room, { row, x, text }) {
  ctx.font = `400 ${POINT_SIZE}px ${FONT}`;
  const shown = fitted(ctx, text, 190);
  const long = ctx.measureText(shown).width;
  const y = view.markY(row);
  const r = view.radius + 4;
  const start = Math.min(x - long / 2, view.frame.width - long - 2);
  const places = [[x + r, y + 3.5], [start, y - r - 2], [start, y + r + 9], [x - r - long, y + 3.5]];
  ctx.globalAlpha = view.alphaOfWords(view.alphaOf(row));
  put(ctx, view, room, shown, long, places, POINT_SIZE, laneShown(view.layout, row));
}

function put(ctx, view, room, text, long, places, size, lane) {
  for (const [x, y] of places) {
    const space = { x1: x, x2: x + long, y1: y - size * 0.85, y2: y + size * 0.25 };
    if (x < 0 || x + long > view.frame.width || !room.isFree(space)) continue;
    room.take(space);
    const alpha = ctx.globalAlpha;
    ctx.globalAlpha = 0.85;
    ctx.fillStyle = lane % 2 === 0 ? view.colours.band : view.colours.panel;
    ctx.fillRect(x - 1, y - size * 0.85, long + 2, size * 1.15);
    ctx.globalAlpha = alpha;
    say(ctx, text, x, y, size, view.colours.ink);
    return;
  }
}

/** Shortens a text to a width; empty if not even three letters fit. */
function fitted(ctx, text, room) {
  const short = ellipsis(text, 120);
  if (ctx.measureText(short).width <= room) return short;
  let low = 0;
  let high = short.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ctx.measureText(`${short.slice(0, middle)}…`).width <= room) low = middle; else high = middle - 1;
  }
  return low >= 3 ? `${short.slice(0, low)}…` : "";
}
