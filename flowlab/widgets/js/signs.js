// Signs and bars on a canvas. The signs are the static pictures' own, sent by Python as SVG.

const SVG_NS = "http://www.w3.org/2000/svg";

/** Turns the SVG of each sign into shapes whose colours are named by their role. */
function readSigns(header) {
  const roles = new Map(Object.entries(header.palette.light).map(([role, colour]) => [colour, role]));
  const signs = {};
  for (const [name, [svg]] of Object.entries(header.glyphs)) {
    const parsed = new DOMParser().parseFromString(`<svg xmlns="${SVG_NS}">${svg}</svg>`, "image/svg+xml");
    signs[name] = [...parsed.documentElement.children].map((shape) => readShape(shape, roles));
  }
  return signs;
}

function readShape(shape, roles) {
  const get = (name) => Number(shape.getAttribute(name) || 0);
  const outline = new Path2D(shape.getAttribute("d") || "");
  if (shape.tagName === "circle") outline.arc(get("cx"), get("cy"), get("r"), 0, 2 * Math.PI);
  if (shape.tagName === "rect") outline.rect(get("x"), get("y"), get("width"), get("height"));
  if (shape.tagName === "line") {
    outline.moveTo(get("x1"), get("y1"));
    outline.lineTo(get("x2"), get("y2"));
  }
  const role = (name) => roles.get(shape.getAttribute(name)) || null;
  return { outline, fill: role("fill"), stroke: role("stroke"), width: get("stroke-width") || 1 };
}

function drawSign(ctx, view, name, x, y, r) {
  ctx.save();
  ctx.translate(x, y);
  ctx.scale(r / 5, r / 5);
  for (const shape of view.signs[name] || view.signs.event) {
    if (shape.fill) {
      ctx.fillStyle = view.colours[shape.fill];
      ctx.fill(shape.outline);
    }
    if (shape.stroke) {
      ctx.strokeStyle = view.colours[lineRole(shape.stroke)];
      ctx.lineWidth = shape.width;
      ctx.stroke(shape.outline);
    }
  }
  ctx.restore();
}

/** Thin lines on dark ground need more light than areas. */
function lineRole(role) { return role === "blue" || role === "vermilion" ? `${role}_line` : role; }

const BAR_PAINTS = {
  activity: { fill: "blue", stroke: "blue", on: "on_bar" },
  compensation: { fill: "purple", stroke: "purple", opacity: 0.25, dashes: [5, 3] },
  timer: { fill: "faint", stroke: "muted", opacity: 0.2, dashes: [1, 2] },
  child: { fill: "sky", stroke: "blue", opacity: 0.35 },
  lock: { fill: "orange", stroke: "ink", opacity: 0.8 },
  barrier: { fill: "faint", stroke: "muted", opacity: 0.4 },
};

function paintOf(bar, result = "") {
  const paint = BAR_PAINTS[bar.kind];
  const failed = bar.status === "failed" || bar.status === "timed_out" || bar.cut >= 0;
  if (!failed || result === "committed") return paint;
  const red = { ...paint, fill: "vermilion", stroke: "vermilion" };
  return bar.kind === "activity" ? { ...red, on: "on_bar" } : red;
}

/** The parts of a bar in pixels. */
function segmentsOf(view, placed) {
  const { frame, layout } = view;
  const { at, length } = layout.axis;
  const x = (row) => frame.x(row < 0 ? length : at[row]);
  return placed.bar.parts.map((part) => {
    const x1 = x(part.from);
    const least = part.kind === "work" ? 3 : 0;
    return { kind: part.kind, result: part.result, x1, x2: Math.max(x1 + least, x(part.to)) };
  });
}

function drawBar(ctx, view, placed) {
  const segments = segmentsOf(view, placed);
  for (const segment of segments) {
    if (segment.x2 < -20 || segment.x1 > view.frame.width + 20) continue;
    drawSegment(ctx, view, placed, clipped(segment, view.frame.width));
  }
  const { bar } = placed;
  const last = segments[segments.length - 1];
  const r = placed.height >= 12 ? 5 : 3.5;
  const end = bar.ended >= 0 ? view.frame.x(view.layout.axis.at[bar.ended]) : last.x2;
  if (bar.open) drawOpenEnd(ctx, view, placed, last);
  if (["failed", "timed_out", "canceled"].includes(bar.status)) drawSign(ctx, view, bar.status, end, placed.y, r);
  else if (bar.kind === "timer" && !bar.open) drawSign(ctx, view, "timer", end, placed.y, 5);
  else if (last.result === "aborted") drawSign(ctx, view, "failed", end, placed.y, 5);
  else if (bar.kind === "lock" && last.kind === "work") drawSign(ctx, view, "lock", last.x1 + 1, placed.y, 4);
}

/** Canvas dashes of a bar that is a million pixels long would take a second. */
function clipped(segment, width) {
  return { ...segment, x1: Math.max(segment.x1, -20), x2: Math.min(segment.x2, width + 20) };
}

function drawSegment(ctx, view, placed, { kind, x1, x2, result }) {
  const colour = view.colours;
  const half = placed.height / 2;
  const paint = paintOf(placed.bar, result);
  const edge = colour[lineRole(paint.stroke)];
  const whole = [x1, placed.y - half, x2 - x1, placed.height];
  if (kind === "waiting") {
    const thin = Math.min(4, half);
    const look = { fill: colour[paint.fill], stroke: edge, fade: 0.22, edge: 0.55, dashes: [2, 2] };
    box(ctx, [x1, placed.y - thin, x2 - x1, 2 * thin], look);
  } else if (kind === "attempt") {
    box(ctx, whole, { fill: colour.vermilion, stroke: colour.vermilion_line, round: 3, fade: 0.25 });
    if (x2 - x1 > 10) drawSign(ctx, view, "failed", x2 - 5, placed.y, 3);
  } else {
    const round = Math.min(3, half, (x2 - x1) / 2);
    if (paint.opacity) box(ctx, whole, { fill: colour.panel, round });
    box(ctx, whole, { fill: colour[paint.fill], stroke: edge, round, fade: paint.opacity, dashes: paint.dashes });
    if (placed.bar.kind === "child" && x2 - x1 > 8) {
      const inner = [x1 + 2.5, placed.y - half + 2.5, x2 - x1 - 5, placed.height - 5];
      box(ctx, inner, { stroke: edge, edge: 0.6 });
    }
  }
}

/** A rectangle: `fill` and `stroke` are colours, `fade` and `edge` how much of each is seen. */
function box(ctx, [x, y, width, height], { fill, stroke, round = 0, fade = 1, edge = 1, dashes = [] }) {
  const alpha = ctx.globalAlpha;
  ctx.beginPath();
  if (round) ctx.roundRect(x, y, Math.max(0.5, width), height, round);
  else ctx.rect(x, y, Math.max(0.5, width), height);
  if (fill) {
    ctx.globalAlpha = alpha * fade;
    ctx.fillStyle = fill;
    ctx.fill();
  }
  if (stroke) {
    ctx.globalAlpha = alpha * edge;
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 1;
    ctx.setLineDash(dashes);
    ctx.stroke();
    ctx.setLineDash([]);
  }
  ctx.globalAlpha = alpha;
}

function drawOpenEnd(ctx, view, placed, last) {
  const half = last.kind === "work" ? placed.height / 2 : Math.min(4, placed.height / 2);
  const x = Math.min(last.x2, view.frame.width + 20);
  ctx.fillStyle = view.colours.panel;
  ctx.fillRect(x - 5, placed.y - half, 5, 2 * half);
  ctx.strokeStyle = view.colours[lineRole(paintOf(placed.bar).stroke)];
  ctx.lineWidth = 1;
  for (const shift of [7, 3]) {
    ctx.beginPath();
    ctx.moveTo(x - shift, placed.y - half);
    ctx.lineTo(x - shift, placed.y + half);
    ctx.stroke();
  }
}
