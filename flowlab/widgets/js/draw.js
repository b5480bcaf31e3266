// One picture of what is on screen, from back to front.

const PAST = 1;
const FUTURE = 2;
const CONCURRENT = 3;
const SMALL = new Set(["call", "event", "sent", "received", "marker", "commit", "answer", "arrived"]);
const FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

function drawAll(ctx, view) {
  const { frame, chosen, colours, height } = view;
  ctx.clearRect(0, 0, frame.width, height);
  ctx.save();
  ctx.translate(0, -view.scroll);
  drawGround(ctx, view);
  drawGaps(ctx, view);
  if (chosen.detailed) {
    drawMeetings(ctx, view);
    view.arrows = chooseArrows(view.log, view.layout, chosen);
    drawArrows(ctx, view);
    for (const placed of chosen.bars) {
      ctx.globalAlpha = view.alphaOfBar(placed.bar);
      drawBar(ctx, view, placed);
    }
    ctx.globalAlpha = 1;
    drawPoints(ctx, view);
    drawLabels(ctx, view);
    drawClasses(ctx, view);
    drawFound(ctx, view);
  } else {
    drawBuckets(ctx, view);
  }
  drawWays(ctx, view);
  drawSelected(ctx, view);
  drawCut(ctx, view);
  ctx.restore();
  if (view.brush) drawBrush(ctx, view);
  ctx.globalAlpha = 1;
  ctx.fillStyle = colours.ink;
}

function drawGround(ctx, view) {
  const { frame, colours, chosen, layout } = view;
  for (const lane of chosen.lanes) {
    if (lane.index % 2 === 0) {
      ctx.fillStyle = colours.band;
      ctx.fillRect(0, lane.top, frame.width, lane.height);
    }
  }
  ctx.lineWidth = 1;
  ctx.strokeStyle = colours.grid;
  for (const { x } of view.ticks) line(ctx, x, view.scroll, x, view.scroll + view.height);
  ctx.strokeStyle = colours.faint;
  ctx.setLineDash([2, 4]);
  for (const { from, to } of layout.axis.breaks) {
    const x = frame.x((from + to) / 2);
    if (x > 0 && x < frame.width) line(ctx, x, view.scroll, x, view.scroll + view.height);
  }
  ctx.setLineDash([]);
  const first = Math.max(0, frame.x(0));
  const last = Math.min(frame.width, frame.x(layout.axis.length));
  if (!chosen.detailed) return;
  for (const lane of chosen.lanes) if (!lane.isOpen) line(ctx, first, lane.base, last, lane.base);
}

function line(ctx, x1, y1, x2, y2) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

function drawGaps(ctx, view) {
  const { log, layout, frame, colours } = view;
  for (let n = 0; log.gap && n < log.gap.length; n += 3) {
    const [, crash, restart] = log.gap.subarray(n, n + 3);
    const index = layout.laneOfRow[crash];
    if (index < 0 || (view.group !== "agent" && !layout.lanes[index].level)) continue;
    const lane = layout.lanes[index];
    const x1 = frame.x(layout.axis.at[crash]);
    const x2 = frame.x(restart < 0 ? layout.axis.length : layout.axis.at[restart]);
    if (x2 < 0 || x1 > frame.width) continue;
    const seen = { x1: Math.max(-5, x1), x2: Math.min(frame.width + 5, x2) };
    const place = [seen.x1, lane.top + 5, Math.max(2, seen.x2 - seen.x1), lane.height - 10];
    box(ctx, place, { fill: colours.wash, stroke: colours.vermilion_line, dashes: [3, 3] });
    if (seen.x2 - seen.x1 > 60) {
      say(ctx, "down", (seen.x1 + seen.x2) / 2 - 13, lane.top + 17, 10, colours.ink);
    }
  }
}

function drawMeetings(ctx, view) {
  const { log, layout, frame, colours } = view;
  const lanesOf = new Map();
  for (let n = 0; log.meeting && n < log.meeting.length; n += 2) {
    const row = log.meeting[n];
    if (layout.laneOfRow[row] < 0) continue;
    const agent = log.meeting[n + 1];
    const lanes = layout.lanes.filter((lane) => view.agentOf(lane) === agent && !lane.isOpen);
    if (!lanesOf.has(row)) lanesOf.set(row, []);
    lanesOf.get(row).push(...lanes);
  }
  for (const [row, lanes] of lanesOf) {
    const x = frame.x(layout.axis.at[row]);
    if (!lanes.length || x < -5 || x > frame.width + 5) continue;
    const y = view.markY(row);
    ctx.strokeStyle = colours.ink;
    ctx.fillStyle = colours.ink;
    ctx.lineWidth = 1.2;
    const top = Math.min(y, ...lanes.map((lane) => lane.top + 4));
    line(ctx, x, top, x, Math.max(y, ...lanes.map((lane) => lane.top + lane.height - 4)));
    for (const lane of lanes) ctx.fillRect(x - 2.5, lane.top + 4, 5, lane.height - 8);
  }
}

/** Smaller signs where events stand close. */
function radiusOf(view) {
  const wide = view.chosen.rows.length / Math.max(1, view.chosen.lanes.length);
  const room = view.frame.width / Math.max(1, wide);
  return Math.max(2.4, Math.min(4.5, room * 0.3));
}

function drawPoints(ctx, view) {
  const { log, layout, frame, chosen } = view;
  const at = layout.axis.at;
  const small = [];
  const large = [];
  for (const row of chosen.rows) {
    if (layout.barOfRow[row] < 0) (SMALL.has(log.glyphName(row)) ? small : large).push(row);
  }
  for (const row of [...small, ...large]) {
    const name = log.glyphName(row);
    ctx.globalAlpha = view.alphaOf(row);
    const r = SMALL.has(name) ? view.radius : Math.max(view.radius, 3.6);
    drawSign(ctx, view, name, frame.x(at[row]), view.markY(row), r);
  }
  ctx.globalAlpha = 1;
  for (const row of chosen.rows) {
    if (log.damage && log.damage[row] >= 0) drawSign(ctx, view, "damage", frame.x(at[row]), view.markY(row) - 13, 6);
  }
}

/** What came before and after the selected event: a wedge below its sign, beside the colour. */
function drawClasses(ctx, view) {
  if (!view.classes) return;
  const { layout, frame, chosen } = view;
  for (const row of chosen.rows) {
    const kind = view.classes[row];
    if (kind !== PAST && kind !== FUTURE) continue;
    const x = frame.x(layout.axis.at[row]);
    const bar = layout.barOfRow[row];
    const y = view.markY(row) + (bar >= 0 ? layout.placed[bar].height / 2 + 4 : view.radius + 5);
    drawWedge(ctx, view, kind, x, y);
  }
}

function drawWedge(ctx, view, kind, x, y) {
  const way = kind === PAST ? -1 : 1;
  ctx.fillStyle = kind === PAST ? view.colours.blue_line : view.colours.orange;
  ctx.strokeStyle = view.colours.panel;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(x + way * 5, y);
  ctx.lineTo(x - way * 4, y - 4.5);
  ctx.lineTo(x - way * 4, y + 4.5);
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

function drawFound(ctx, view) {
  if (!view.found) return;
  const { layout, frame, chosen, colours } = view;
  ctx.strokeStyle = colours.purple;
  ctx.lineWidth = 2;
  for (const row of chosen.rows) {
    if (!view.found[row]) continue;
    const x = frame.x(layout.axis.at[row]);
    ctx.strokeRect(x - 7, view.markY(row) - 7, 14, 14);
  }
}

function drawBuckets(ctx, view) {
  const { chosen, colours, layout } = view;
  const most = chosen.buckets.reduce((max, b) => Math.max(max, b.count), 1);
  for (const bucket of chosen.buckets) {
    const { lane } = bucket;
    const full = Math.min(lane.height - 10, 44);
    const height = Math.max(3, full * Math.sqrt(bucket.count / most));
    const bottom = lane.top + lane.height / 2 + full / 2;
    const width = Math.max(1.5, bucket.width - 1.5);
    let rest = 1;
    for (const [share, colour] of sharesOf(view, bucket)) {
      ctx.fillStyle = colour;
      ctx.fillRect(bucket.x, bottom - height * rest, width, height * share);
      // What comes after is striped too: it is told by more than its colour.
      ctx.fillStyle = colours.panel;
      for (let y = 2; colour === colours.orange && y < height * share; y += 4) {
        ctx.fillRect(bucket.x, bottom - height * rest + y, width, 1.2);
      }
      rest -= share;
    }
    if (bucket.bad) {
      ctx.fillStyle = colours.vermilion_line;
      ctx.fillRect(bucket.x, bottom - height - 4, width, 3);
    }
    if (view.found && countIn(view.found, lane, bucket)) {
      ctx.strokeStyle = colours.purple;
      ctx.lineWidth = 1.5;
      ctx.strokeRect(bucket.x - 0.5, bottom - height - 1.5, width + 1, height + 3);
    }
  }
  ctx.strokeStyle = colours.faint;
  ctx.lineWidth = 1;
  for (const lane of chosen.lanes) {
    const y = lane.top + lane.height / 2 + Math.min(lane.height - 10, 44) / 2;
    line(ctx, Math.max(0, view.frame.x(0)), y, Math.min(view.frame.width, view.frame.x(layout.axis.length)), y);
  }
}

function countIn(marks, lane, bucket) {
  let count = 0;
  for (let n = bucket.from; n < bucket.to; n++) count += marks[lane.rows[n]] ? 1 : 0;
  return count;
}

/** The colours of a bucket, from the top: after, concurrent and before, as shares of its events. */
function sharesOf(view, bucket) {
  const { colours } = view;
  const marks = view.classes || view.cutMarks;
  if (!marks) return [[1, colours.blue]];
  const counts = [0, 0, 0, 0];
  for (let n = bucket.from; n < bucket.to; n++) counts[marks[bucket.lane.rows[n]]]++;
  const total = bucket.to - bucket.from;
  if (!view.classes) return [[(total - counts[PAST]) / total, colours.faint], [counts[PAST] / total, colours.blue]];
  const rest = total - counts[PAST] - counts[FUTURE];
  const shares = [[counts[FUTURE], colours.orange], [rest, colours.faint], [counts[PAST], colours.blue]];
  return shares.map(([count, colour]) => [count / total, colour]);
}

function drawSelected(ctx, view) {
  const { layout, frame, colours } = view;
  view.selected.forEach((row, place) => {
    if (layout.laneOfRow[row] < 0) return;
    const x = frame.x(layout.axis.at[row]);
    const y = view.markY(row);
    for (const [r, colour, width] of [[view.radius + 5, colours.panel, 5], [view.radius + 5, colours.ink, 2.2]]) {
      ctx.beginPath();
      ctx.arc(x, y, r, 0, 2 * Math.PI);
      ctx.strokeStyle = colour;
      ctx.lineWidth = width;
      ctx.setLineDash(place && colour === colours.ink ? [4, 2.5] : []);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    if (view.selected.length > 1) {
      const left = x + view.radius + 24 > frame.width ? x - view.radius - 20 : x + view.radius + 9;
      tag(ctx, view, place ? "B" : "A", left, y - view.radius - 8);
    }
  });
}

function tag(ctx, view, text, x, y) {
  ctx.fillStyle = view.colours.ink;
  ctx.beginPath();
  ctx.roundRect(x - 2, y - 9, 13, 14, 3);
  ctx.fill();
  say(ctx, text, x + 1, y + 2, 10, view.colours.panel, 700);
}

function drawBrush(ctx, view) {
  const [from, to] = view.brush.map((place) => view.frame.x(place));
  const place = [Math.min(from, to), 0, Math.abs(to - from), view.height];
  box(ctx, place, { fill: view.colours.sky, stroke: view.colours.blue_line, fade: 0.2 });
}

function say(ctx, text, x, y, size, colour, weight = 400) {
  ctx.font = `${weight} ${size}px ${FONT}`;
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}
