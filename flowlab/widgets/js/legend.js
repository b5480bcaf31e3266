// The legend: a sample and words for what occurs in this log, and for what a selection adds.

const PART_WORDS = { work: "working", waiting: "waiting", attempt: "attempt that was tried again" };
const ARROW_WORDS = {
  asks: "asks for work",
  message: "message",
  cause: "causes",
  assumed: "causes, as far as the log tells",
  broken: "damage: would close a cycle",
};

function toggleLegend(view) {
  const { legend, legendButton } = view.dom;
  legend.hidden = !legend.hidden;
  legendButton.setAttribute("aria-pressed", String(!legend.hidden));
  if (!legend.hidden) drawLegend(view);
}

function drawLegend(view) {
  const samples = [...barSamples(view), ...signSamples(view), ...arrowSamples(view), ...choiceSamples(view)];
  view.dom.legend.replaceChildren(...samples.map(([words, paint]) => {
    const canvas = make("canvas", { width: 60, height: 36, "aria-hidden": "true", style: "width:30px;height:18px" });
    const ctx = canvas.getContext("2d");
    ctx.scale(2, 2);
    paint(ctx);
    return make("span", { class: "item" }, canvas, words);
  }));
}

function barSamples(view) {
  const { bars } = view.log;
  const kinds = new Set(bars.map((bar) => bar.kind));
  const parts = new Set(bars.flatMap((bar) => bar.parts.map((part) => part.kind)));
  const bar = (kind, part, isOpen = false) => (ctx) => {
    const height = kind === "timer" || kind === "lock" ? 8 : 13;
    const placed = { bar: { kind, status: "completed", cut: -1 }, y: 9, height };
    drawSegment(ctx, view, placed, { kind: part, x1: 2, x2: 26, result: "" });
    if (isOpen) drawOpenEnd(ctx, view, placed, { kind: "work", x2: 26 });
  };
  const samples = Object.keys(PART_WORDS).filter((part) => parts.has(part))
    .map((part) => [PART_WORDS[part], bar("activity", part)]);
  if (bars.some((one) => one.open)) samples.push(["goes on: no end shown", bar("activity", "work", true)]);
  for (const kind of ["compensation", "timer", "child", "lock"]) {
    if (kinds.has(kind)) samples.push([kind, bar(kind, "work")]);
  }
  return samples;
}

function signSamples(view) {
  const { log, layout, colours } = view;
  const samples = [];
  if (log.gap && log.gap.length) {
    const look = { fill: colours.wash, stroke: colours.vermilion_line, dashes: [3, 3] };
    samples.push(["agent down", (ctx) => box(ctx, [2, 3, 24, 12], look)]);
  }
  const hasMeetings = Boolean(log.meeting && log.meeting.length);
  if (hasMeetings) {
    samples.push(["barrier: all who took part go on", (ctx) => box(ctx, [12, 1, 5, 16], { fill: colours.ink })]);
  }
  const used = new Set(log.bars.map((bar) => bar.status));
  for (let row = 0; row < log.size; row++) {
    if (!log.isHidden(row) && layout.barOfRow[row] < 0) used.add(log.glyphName(row));
    if (log.damage && log.damage[row] >= 0) used.add("damage");
  }
  // The arrow of a call, and the bar of a barrier, say what their signs mean.
  used.delete("call");
  if (hasMeetings) used.delete("barrier");
  for (const [name, [, words]] of Object.entries(log.header.glyphs)) {
    if (used.has(name)) samples.push([words, (ctx) => drawSign(ctx, view, name, 14, 9, 5)]);
  }
  return samples;
}

function arrowSamples(view) {
  const { log } = view;
  const samples = Object.entries(ARROW_WORDS).filter(([name]) => hasArrow(log, name))
    .map(([name, words]) => [words, (ctx) => drawArrow(ctx, view, name, 2, 9, 27, 9, false)]);
  if (log.back && log.back.length) samples.push(["undoes", (ctx) => drawBackSample(ctx, view)]);
  return samples;
}

function hasArrow(log, name) {
  if (name === "asks") return log.bars.length > 0;
  if (name === "broken") return Boolean(log.broken && log.broken.length);
  if (!log.link) return name === "message" && log.hasEdges;
  const code = log.header.arrows.indexOf(name);
  for (let n = 2; n < log.link.length; n += 3) if (log.link[n] === code) return true;
  return false;
}

/** The arc from a compensation back to what it undoes. */
function drawBackSample(ctx, view) {
  ctx.strokeStyle = view.colours.purple;
  ctx.fillStyle = view.colours.purple;
  ctx.lineWidth = 1.6;
  ctx.setLineDash([5, 3]);
  ctx.beginPath();
  ctx.moveTo(26, 15);
  ctx.bezierCurveTo(24, 0, 8, 0, 4, 9);
  ctx.stroke();
  ctx.setLineDash([]);
  drawHead(ctx, 3, 14, -0.3, 0.95, 7);
  ctx.fill();
}

function choiceSamples(view) {
  return [[PAST, "before the selected event"], [FUTURE, "after it (paler: concurrent)"]]
    .map(([kind, words]) => [words, (ctx) => drawWedge(ctx, view, kind, 14, 9)]);
}
