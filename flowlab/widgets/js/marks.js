// What is on screen: events one by one, or, where they are too many, a mark for each stretch.

const MAX_MARKS = 2000;
const MAX_ARROWS = 2000;
const BUCKET_WIDTH = 7;

/** Chooses what is drawn between two heights: `{lanes, detailed, rows, bars, buckets, events}`. */
function chooseMarks(log, layout, frame, top, bottom) {
  const at = layout.axis.at;
  const lanes = layout.between(top, bottom);
  const spans = lanes.map((lane) => [
    lowerBound(lane.rows, at, frame.from), lowerBound(lane.rows, at, frame.to + 1e-9),
  ]);
  const bars = [];
  let rows = 0;
  let events = 0;
  lanes.forEach((lane, place) => {
    const [from, to] = spans[place];
    for (let n = from; n < to; n++) events += log.weight(lane.rows[n]);
    rows += to - from;
    for (const span of lane.bars) {
      if (span.from <= frame.to && span.to >= frame.from) bars.push(layout.placed[span.bar.number]);
    }
  });
  const detailed = rows + bars.length <= MAX_MARKS && !log.count;
  const chosen = { lanes, detailed, rows: [], bars: [], buckets: [], events, marks: 0 };
  if (detailed) {
    lanes.forEach((lane, place) => {
      for (let n = spans[place][0]; n < spans[place][1]; n++) chosen.rows.push(lane.rows[n]);
    });
    chosen.bars = bars;
    chosen.marks = chosen.rows.length;
  } else {
    const width = Math.max(BUCKET_WIDTH, (frame.width * lanes.length) / MAX_MARKS);
    lanes.forEach((lane, place) => {
      chosen.buckets.push(...bucketsOf(log, lane, spans[place], at, frame, width));
    });
    chosen.marks = chosen.buckets.length;
  }
  return chosen;
}

/** Puts the rows of a lane into stretches of the axis of so many pixels. */
function bucketsOf(log, lane, [from, to], at, frame, width) {
  const buckets = [];
  let bucket = null;
  for (let n = from; n < to; n++) {
    const row = lane.rows[n];
    const place = Math.floor(frame.x(at[row]) / width);
    if (!bucket || bucket.place !== place) {
      bucket = { lane, place, x: place * width, width, first: row, last: row, count: 0, bad: 0, from: n, to: n };
      buckets.push(bucket);
    }
    const weight = log.weight(row);
    bucket.count += weight;
    if (log.isBad(row)) bucket.bad += weight;
    bucket.last = row;
    bucket.to = n + 1;
  }
  return buckets;
}

/** Returns the arrows between what is drawn: `[cause, effect, style]`, at most MAX_ARROWS. */
function chooseArrows(log, layout, chosen) {
  if (!chosen.detailed) return [];
  if (log.link) return linkArrows(log, layout, chosen);
  if (!log.hasEdges) return [];
  const graph = log.graph();
  const found = [];
  const styles = log.header.arrows;
  for (const effect of chosen.rows) {
    for (let n = graph.causes.start[effect]; n < graph.causes.start[effect + 1]; n++) {
      const cause = graph.causes.neighbours[n];
      if (layout.laneOfRow[cause] < 0 || layout.laneOfRow[cause] === layout.laneOfRow[effect]) continue;
      const kind = log.edge_kind[graph.causes.edges[n]];
      found.push([cause, effect, kind === 1 ? "message" : kind === 7 ? "assumed" : styles[2]]);
      if (found.length >= MAX_ARROWS) return found;
    }
  }
  return found;
}

function linkArrows(log, layout, chosen) {
  const shown = new Uint8Array(log.size);
  for (const row of chosen.rows) shown[row] = 1;
  const found = [];
  for (let n = 0; n < log.link.length && found.length < MAX_ARROWS; n += 3) {
    const [cause, effect, style] = log.link.subarray(n, n + 3);
    if (!shown[cause] && !shown[effect]) continue;
    const from = laneShown(layout, cause);
    const to = laneShown(layout, effect);
    if (from < 0 || to < 0 || from === to) continue;
    found.push([cause, effect, log.header.arrows[style]]);
  }
  return found;
}

function laneShown(layout, row) {
  const bar = layout.barOfRow[row];
  return bar >= 0 && layout.placed[bar] ? layout.placed[bar].lane : layout.laneOfRow[row];
}

/** Finds what lies under a point: `{row}`, `{bar}`, `{bucket}` or null. */
function hit(view, x, y) {
  const { log, layout, frame, chosen } = view;
  const at = layout.axis.at;
  if (!chosen.detailed) {
    const found = chosen.buckets.find((b) => x >= b.x && x < b.x + b.width && y >= b.lane.top
      && y < b.lane.top + b.lane.height);
    return found ? { bucket: found } : null;
  }
  let best = null;
  let nearest = 10 * 10;
  for (const row of chosen.rows) {
    if (layout.barOfRow[row] >= 0) continue;
    const dx = frame.x(at[row]) - x;
    const dy = view.markY(row) - y;
    // Where several stand in one place, the one that says most lies on top.
    const far = dx * dx + dy * dy - (SMALL.has(log.glyphName(row)) ? 0 : 1);
    if (far < nearest) [best, nearest] = [{ row }, far];
  }
  if (best) return best;
  for (const placed of chosen.bars) {
    if (Math.abs(placed.y - y) > Math.max(6, placed.height / 2 + 1)) continue;
    const { from, to } = barSpan(placed.bar, at, layout.axis.length);
    if (x < frame.x(from) - 3 || x > Math.max(frame.x(to), frame.x(from) + 3) + 3) continue;
    return { bar: placed.bar, row: nearestOf(placed.bar.rows, (row) => Math.abs(frame.x(at[row]) - x)) };
  }
  return null;
}

function nearestOf(rows, far) {
  return rows.reduce((best, row) => (far(row) < far(best) ? row : best), rows[0]);
}
