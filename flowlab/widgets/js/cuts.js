// Cuts: of each lane its first so many events. Pure functions of columns.

/** Returns how many events of each lane stand at or before a place along the axis. */
function frontierAt(log, place, at) {
  const frontier = new Int32Array(log.lanes);
  log.rowsOfLane.forEach((rows, lane) => {
    let count = 0;
    for (const row of rows) if (place[row] <= at) count++;
    frontier[lane] = count;
  });
  return frontier;
}

function isWithin(log, frontier, row) { return log.rank[row] < frontier[log.lane[row]]; }

/** Returns the edges that a cut breaks: the effect is within, its cause is not. At most `most`. */
function brokenEdges(log, frontier, most = Infinity) {
  const found = [];
  for (let edge = 0; edge < log.src.length && found.length < most; edge++) {
    if (isWithin(log, frontier, log.dst[edge]) && !isWithin(log, frontier, log.src[edge])) found.push(edge);
  }
  return found;
}

/** Returns the largest consistent cut within a cut: lanes give up events until no edge is broken. */
function closestConsistent(log, graph, frontier) {
  const cut = frontier.slice();
  const pending = [];
  const giveUp = (row) => {
    const lane = log.lane[row];
    const rows = log.rowsOfLane[lane];
    const kept = log.rank[row];
    for (let place = kept; place < cut[lane]; place++) pending.push(rows[place]);
    cut[lane] = Math.min(cut[lane], kept);
  };
  for (const edge of brokenEdges(log, cut)) {
    if (isWithin(log, cut, log.dst[edge])) giveUp(log.dst[edge]);
  }
  while (pending.length) {
    const row = pending.pop();
    for (let n = graph.effects.start[row]; n < graph.effects.start[row + 1]; n++) {
      const effect = graph.effects.neighbours[n];
      if (isWithin(log, cut, effect)) giveUp(effect);
    }
  }
  return cut;
}

/** Says what an agent is doing at the end of its part of a cut. */
function stateAt(log, bars, frontier, lane) {
  const rows = log.rowsOfLane[lane];
  const count = frontier[lane];
  if (!count) return { last: -1, words: "not begun" };
  const last = rows[count - 1];
  const known = (row) => row >= 0 && isWithin(log, frontier, row);
  const glyph = log.glyphName(last);
  if (glyph === "crash") return { last, words: "down" };
  for (const bar of bars) {
    if (bar.lane !== lane || known(bar.cut)) continue;
    const part = bar.parts.find((p) => p.kind === "work" && known(p.from) && !known(p.to));
    if (part) return { last, words: `works on ${bar.label}` };
  }
  const waiting = bars.filter((bar) => bar.lane === lane && known(bar.asked) && !known(bar.ended)
    && !known(bar.cut) && !bar.parts.some((p) => p.kind === "work" && known(p.to)));
  if (waiting.length) return { last, words: `${counted(waiting.length, "call")} waiting` };
  if (glyph === "end") return { last, words: "completed" };
  const type = log.header.types[log.event_type[last]];
  if (glyph === "failed" && type.startsWith("Workflow")) return { last, words: "failed" };
  return { last, words: count === rows.length ? "ended" : "idle" };
}
