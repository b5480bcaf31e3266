// Arrows: calls, messages and other causes across lanes, ways and cuts.

const ARROW_STYLES = {
  asks: { colour: "muted", width: 1.3, dashes: [] },
  message: { colour: "blue_line", width: 1.5, dashes: [] },
  cause: { colour: "muted", width: 1.1, dashes: [] },
  assumed: { colour: "muted", width: 1.1, dashes: [4, 3], hollow: true },
  broken: { colour: "vermilion_line", width: 1.8, dashes: [7, 2, 1, 2] },
};
const MANY_ARROWS = 150;

function drawArrows(ctx, view) {
  const { layout, frame, log, arrows, chosen } = view;
  const at = layout.axis.at;
  const many = arrows.length + chosen.bars.length > MANY_ARROWS;
  const alpha = many ? Math.max(0.25, Math.min(0.6, 300 / arrows.length)) : 0.85;
  for (const [cause, effect, style] of arrows) {
    const y1 = view.markY(cause);
    const y2 = view.markY(effect);
    const sign = y2 > y1 ? 1 : -1;
    ctx.globalAlpha = alpha * view.alphaOfArrow(cause, effect);
    drawArrow(ctx, view, style, frame.x(at[cause]), y1 + sign * (halfHeight(view, cause) - 0.5),
      frame.x(at[effect]), y2 - sign * (halfHeight(view, effect) + 1.5), many);
  }
  const lost = lostRows(log);
  for (const placed of chosen.bars) {
    const { asked, kind, parts } = placed.bar;
    if (kind === "barrier" || lost.has(asked) || layout.barOfRow[asked] >= 0 || layout.laneOfRow[asked] < 0) continue;
    const x = frame.x(at[asked]);
    const y = view.markY(asked);
    if (x < -5 || x > frame.width + 5 || Math.abs(placed.y - y) < 1) continue;
    const sign = placed.y > y ? 1 : -1;
    const thin = parts[0].kind === "waiting" ? 4 : placed.height / 2;
    ctx.globalAlpha = alpha * Math.min(view.alphaOf(asked), view.alphaOfBar(placed.bar));
    drawArrow(ctx, view, "asks", x, y + sign * (view.radius - 0.5), x, placed.y - sign * (thin + 1.5), many);
  }
  ctx.globalAlpha = 1;
  for (let n = 0; log.broken && n < log.broken.length; n += 2) {
    const [cause, effect] = log.broken.subarray(n, n + 2);
    if (layout.laneOfRow[cause] < 0 || layout.laneOfRow[effect] < 0) continue;
    const [from, to] = [cause, effect].map((row) => [frame.x(at[row]), view.markY(row)]);
    drawArrow(ctx, view, "broken", ...from, ...to, false);
  }
  drawBacks(ctx, view);
  drawFlying(ctx, view);
}

/** The requests that were dropped on their way reach nobody: their arrows end at the cross. */
function lostRows(log) {
  const rows = new Set();
  for (let n = 0; log.adrift && n < log.adrift.length; n += 3) {
    if (log.glyphName(log.adrift[n]) === "dropped") rows.add(log.adrift[n + 1]);
  }
  return rows;
}

function halfHeight(view, row) {
  const bar = view.layout.barOfRow[row];
  return bar >= 0 && view.layout.placed[bar] ? view.layout.placed[bar].height / 2 : view.radius;
}

function drawArrow(ctx, view, name, x1, y1, x2, y2, many) {
  const style = ARROW_STYLES[name];
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const dx = (x2 - x1) / length;
  const dy = (y2 - y1) / length;
  const size = many ? 4 : 7;
  const stop = Math.min(size * 0.8, length / 2);
  ctx.strokeStyle = view.colours[style.colour];
  ctx.lineWidth = many ? 0.7 : style.width;
  ctx.setLineDash(style.dashes);
  line(ctx, x1, y1, x2 - dx * stop, y2 - dy * stop);
  ctx.setLineDash([]);
  drawHead(ctx, x2, y2, dx, dy, size);
  ctx.fillStyle = style.hollow ? view.colours.panel : ctx.strokeStyle;
  ctx.fill();
  if (style.hollow) ctx.stroke();
}

function drawHead(ctx, x, y, dx, dy, size) {
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(x - dx * size - dy * size * 0.45, y - dy * size + dx * size * 0.45);
  ctx.lineTo(x - dx * size + dy * size * 0.45, y - dy * size - dx * size * 0.45);
  ctx.closePath();
}

/** An arc above its ends, from a compensation back to what it undoes. */
function drawBacks(ctx, view) {
  const { log, layout, frame, colours } = view;
  for (let n = 0; log.back && n < log.back.length; n += 2) {
    const placed = layout.placed[log.back[n]];
    const row = log.back[n + 1];
    if (!placed || layout.laneOfRow[row] < 0) continue;
    const x1 = frame.x(layout.axis.at[placed.bar.asked]);
    const x2 = frame.x(layout.axis.at[row]);
    if (Math.max(x1, x2) < 0 || Math.min(x1, x2) > frame.width) continue;
    const y1 = placed.y - placed.height / 2;
    const y2 = view.markY(row) - halfHeight(view, row);
    const top = Math.min(y1, y2) - Math.min(60, 18 + Math.abs(x1 - x2) * 0.06);
    const near = x2 + Math.min(30, Math.abs(x1 - x2) * 0.15);
    ctx.globalAlpha = view.alphaOfBar(placed.bar);
    ctx.strokeStyle = colours.purple;
    ctx.fillStyle = colours.purple;
    ctx.lineWidth = 1.6;
    ctx.setLineDash([5, 3]);
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.bezierCurveTo(x1 - 10, top, near, top, x2 + 1, y2 - 6);
    ctx.stroke();
    ctx.setLineDash([]);
    const length = Math.hypot(x2 - near, y2 - top) || 1;
    drawHead(ctx, x2, y2, (x2 - near) / length, (y2 - top) / length, 8);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

function drawFlying(ctx, view) {
  const { log, layout, frame, colours, radius } = view;
  for (const row of log.flying || []) {
    if (layout.laneOfRow[row] < 0) continue;
    const x = frame.x(layout.axis.at[row]);
    const y = view.markY(row);
    ctx.strokeStyle = colours.blue_line;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([2, 3]);
    line(ctx, x + radius * 0.7, y + radius * 0.7, x + radius + 9, y + radius + 9);
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.arc(x + radius + 9, y + radius + 9, 2.2, 0, 2 * Math.PI);
    ctx.fillStyle = colours.panel;
    ctx.fill();
    ctx.stroke();
  }
}

/** The way between two selected events, and the critical path: a thick line through its events. */
function drawWays(ctx, view) {
  if (view.critical) drawWay(ctx, view, view.critical.rows, view.colours.vermilion_line, [], view.critical.place);
  if (view.way) drawWay(ctx, view, view.way, view.colours.ink, [], -1);
}

function drawWay(ctx, view, rows, colour, dashes, here) {
  const { layout, frame, colours } = view;
  const points = rows.filter((row) => layout.laneOfRow[row] >= 0)
    .map((row) => ({ row, x: frame.x(layout.axis.at[row]), y: view.markY(row) }));
  for (const [width, stroke] of [[6, colours.panel], [3, colour]]) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width;
    ctx.lineJoin = "round";
    ctx.setLineDash(width === 3 ? dashes : []);
    ctx.beginPath();
    points.forEach(({ x, y }, n) => (n ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.stroke();
  }
  ctx.setLineDash([]);
  for (const { row, x, y } of points) {
    ctx.beginPath();
    ctx.arc(x, y, row === rows[here] ? 7 : 4, 0, 2 * Math.PI);
    ctx.fillStyle = row === rows[here] ? colour : colours.panel;
    ctx.strokeStyle = colour;
    ctx.lineWidth = 2;
    ctx.fill();
    ctx.stroke();
  }
}

/** The cut: a line through the lanes, with a handle on each; broken arrows in vermilion. */
function drawCut(ctx, view) {
  if (!view.cut) return;
  const { layout, frame, colours, chosen } = view;
  const points = [];
  for (const lane of chosen.lanes) {
    const x = view.cutX(lane);
    if (x === null) continue;
    points.push({ x, top: lane.top, bottom: lane.top + lane.height, y: lane.top + lane.height / 2 });
  }
  ctx.strokeStyle = colours.green;
  ctx.lineWidth = 2.5;
  ctx.setLineDash([7, 4]);
  ctx.beginPath();
  points.forEach(({ x, top, bottom }, n) => {
    if (n) ctx.lineTo(x, top); else ctx.moveTo(x, top);
    ctx.lineTo(x, bottom);
  });
  ctx.stroke();
  ctx.setLineDash([]);
  const handle = { fill: colours.panel, stroke: colours.green, round: 3 };
  for (const { x, y } of points) box(ctx, [x - 4, y - 7, 8, 14], handle);
  for (const [cause, effect] of view.cutBroken.slice(0, 20)) {
    if (layout.laneOfRow[cause] < 0 || layout.laneOfRow[effect] < 0) continue;
    drawWay(ctx, view, [cause, effect], colours.vermilion_line, [6, 3], -1);
  }
}
