// The three panels, as flowlab/figures/recovery_panels.py draws them.

const CURVE_POINTS = 120;
const MOST_DECADES = 7;
const NOTE_ROW = 16;
const MOST_TEETH = 50;
const PHASES = [["down", "faint", 0.45], ["load", "orange", 0.3], ["replay", "sky", 0.35], ["catch up", "green", 0.16]];

function measuredCost(m, c, seconds) { return (m.every ? fullS(c) / m.every : 0) + c.p * seconds; }

function costScales(frame, c, bests, measured) {
  const stars = SCHEMES.map((s) => bests[s].nStar).filter(Boolean);
  const places = [...stars, ...measured.map((m) => m.every).filter(Boolean), c.history];
  const [first, last] = decades(
    Math.max(1, Math.min(...places) / 12), Math.max(2.4 * bests.checkpoint.nStar, ...places),
  );
  const prices = [schemeCost("checkpoint", first, c), schemeCost("checkpoint", last, c),
    ...SCHEMES.map((s) => bests[s].cost), ...measured.map((m) => measuredCost(m, c, m.seconds))];
  const known = prices.filter((price) => price > 0 && price < Infinity);
  let [low, high] = decades(Math.min(...known), Math.max(...known));
  high = Math.min(high, low * 10 ** MOST_DECADES);
  return [new Scale(first, last, frame.left, frame.right, true), new Scale(low, high, frame.bottom, frame.top, true)];
}

function costPanel(frame, view) {
  const { costs: c, bests, measured, colours, looks } = view;
  const [x, y] = costScales(frame, c, bests, measured);
  const found = bests.checkpoint;
  const [low, high] = [x.at(found.low), x.at(found.high)];
  const parts = [area(low, frame.top, high - low, frame.bottom - frame.top, { fill: colours.sky, fill_opacity: 0.22 })];
  parts.push(...uprightAxis(frame, y, logTicks(y, 26).map((n) => [n, powerWords(n)]), colours));
  parts.push(...levelAxis(frame, x, tickEvents(logTicks(x, 56)), colours));
  parts.push(...costNotes(frame, x, view));
  const ends = [];
  for (const scheme of SCHEMES) {
    let piece = [];
    const pieces = [piece];
    let value = 0;
    for (let n = 0; n <= CURVE_POINTS; n++) {
      const at = x.value(x.start + ((x.end - x.start) * n) / CURVE_POINTS);
      value = schemeCost(scheme, at, c);
      if (value <= y.last) piece.push([x.at(at), y.at(value)]);
      else if (piece.length) pieces.push((piece = []));
    }
    for (const points of pieces.filter((one) => one.length > 1)) {
      parts.push(trace(wayOf(points), { ...looks[scheme].line, class: `curve ${scheme}` }));
    }
    ends.push(y.at(Math.min(value, y.last)));
    const best = bests[scheme];
    if (best.nStar && best.cost <= y.last) {
      const { name, fill, line } = looks[scheme];
      const least = `${eventsWords(Math.max(1, best.nStar))} events, ${secondsWords(best.cost)}`;
      const sign = signOf(scheme, x.at(best.nStar), y.at(best.cost), 5, fill, line.stroke);
      parts.push(told(`${name}: least at ${least}`, sign));
    }
  }
  parts.push(...letters(frame, SCHEMES, ends, view));
  for (const m of measured.filter((one) => one.every)) {
    const three = [m.low, m.seconds, m.high].map((s) => y.at(measuredCost(m, c, s)));
    parts.push(measuredMark(x.at(m.every), three, m, view));
  }
  const look = { fill: colours.muted, text_anchor: "end" };
  parts.push(written(frame.right, frame.bottom + 38, "events between checkpoints, N", look));
  return parts;
}

/** What the marks on the axis mean, each on a row of its own, above the plot. */
function costNotes(frame, x, view) {
  const { costs: c, colours, looks } = view;
  const found = view.bests.checkpoint;
  const blue = looks.checkpoint.line.stroke;
  const twice = 2 * found.nStar;
  const notes = [
    [found.nStar, `N* = ${eventsWords(Math.max(1, found.nStar))} events, for B`, blue, colours.ink],
    [found.low, `${eventsWords(found.low)} to ${eventsWords(found.high)}: at most 5 % more`, blue, colours.ink],
    [twice, `2 N* = ${eventsWords(twice)}: a shorter history needs none`, colours.ink, colours.ink],
    [c.history, `this history: ${eventsWords(c.history)}`, colours.muted, colours.muted],
  ];
  const rows = notes.map((_, n) => frame.top - NOTE_ROW * (notes.length - n) + 3);
  const parts = [];
  notes.forEach(([at, , stroke], n) => {
    if (n === 1) return;
    const dash = n > 1 ? "4 3" : null;
    parts.push(rule(x.at(at), rows[n] - 4, x.at(at), frame.bottom, { stroke, stroke_dasharray: dash }));
  });
  const [low, high] = [x.at(found.low), x.at(found.high)];
  const level = rows[1] - 4;
  parts.push(trace(wayOf([[low, frame.top], [low, level], [high, level], [high, frame.top]]), { stroke: blue }));
  notes.forEach(([at, words, , fill], n) => {
    const width = widthOf(words, 11) + 6;
    const right = n === 1 ? high : x.at(at);
    const place = right + width + 4 > frame.right + 20 ? x.at(at) - width - 3 : right + 4;
    const left = Math.max(frame.left - 60, place);
    parts.push(area(left, rows[n] - 10, width, 14, { fill: colours.panel }));
    parts.push(written(left + 3, rows[n] + 1, words, { fill }));
  });
  return parts;
}

/** The letters of schemes beside the ends of their curves. */
function letters(frame, schemes, ends, view) {
  const places = spreadOut(ends, frame.top, frame.bottom);
  return schemes.flatMap((scheme, n) => {
    const { line } = view.looks[scheme];
    return [
      rule(frame.right, ends[n], frame.right + 16, places[n], { stroke: line.stroke }),
      ...letterOf(view.looks[scheme], frame.right + 20, places[n], view.colours, line.stroke),
    ];
  });
}

function measuredMark(x, [low, middle, high], m, view) {
  const { stroke } = view.looks[m.scheme].line;
  const look = { stroke, stroke_width: 1.6 };
  const tip = `measured: ${view.looks[m.scheme].name}: ${secondsWords(m.seconds)}, from `
    + `${secondsWords(m.low)} to ${secondsWords(m.high)}`;
  return told(tip, rule(x, low, x, high, look), ...[low, high].map((end) => rule(x - 3, end, x + 3, end, look)),
    signOf(m.scheme, x, middle, 3.6, view.colours.panel, stroke));
}

function timePanel(frame, view) {
  const { costs: c, bests, measured, colours, looks } = view;
  const places = measured.map((m) => m.history || m.events_since);
  const across = roundTicks(Math.max(c.history, ...places), frame.right - frame.left > 300 ? 4 : 3);
  const x = new Scale(0, across[across.length - 1], frame.left, frame.right);
  const lines = ["replay", "checkpoint", "incremental", "cache"].map((s) => [s, sawOf(s, x.last, c, bests[s])]);
  const highs = lines.flatMap(([, found]) => found.map(([, , high]) => high));
  const most = Math.max(...highs, ...measured.map((m) => m.high));
  const up = timeTicks(most, 5);
  const y = new Scale(0, up[up.length - 1][0], frame.bottom, frame.top);
  const parts = [...uprightAxis(frame, y, up, colours), ...levelAxis(frame, x, tickEvents(across), colours)];
  const ends = [];
  for (const [scheme, found] of lines) {
    let over = found.map(([h, , high]) => [x.at(h), y.at(high)]);
    if (found.some(([, low, high]) => low !== high)) {
      const under = [...found].reverse().map(([h, low]) => [x.at(h), y.at(low)]);
      parts.push(trace(`${wayOf([...over, ...under])}Z`, { fill: looks[scheme].fill, fill_opacity: 0.18 }));
      over = found.map(([h, low, high]) => [x.at(h), y.at((low + high) / 2)]);
    }
    parts.push(trace(wayOf(over), { ...looks[scheme].line, stroke_width: 1.6 }));
    const [, low, high] = found[found.length - 1];
    ends.push(y.at((low + high) / 2));
  }
  parts.push(...letters(frame, lines.map(([s]) => s), ends, view));
  measured.forEach((m, n) => {
    if (m.scheme === "every_task") return;
    parts.push(measuredMark(x.at(places[n]), [m.low, m.seconds, m.high].map((s) => y.at(s)), m, view));
  });
  const look = { fill: colours.muted, text_anchor: "end" };
  parts.push(written(frame.right, frame.bottom + 38, "events of the history", look));
  return parts;
}

/** A line as [events, low, high]: equal ends for a line, others for an area. */
function sawOf(scheme, last, c, best) {
  const every = Math.max(1, Math.floor(best.nStar + 0.5));
  const at = (h) => recoveryTime(scheme, h, every, c);
  if (scheme === "replay" || every >= last) return [0, last].map((h) => [h, at(h), at(h)]);
  const teeth = Math.floor(last / every);
  if (teeth <= MOST_TEETH) {
    const found = [[0, at(0), at(0)]];
    for (let tooth = 1; tooth <= teeth; tooth++) {
      const [high, low] = [at(tooth * every - 1e-9 * every), at(tooth * every)];
      found.push([tooth * every, high, high], [tooth * every, low, low]);
    }
    return [...found, [last, at(last), at(last)]];
  }
  const found = [];
  for (let n = 0; n <= MOST_TEETH; n++) {
    const h = (last * n) / MOST_TEETH;
    const m = Math.floor(h / every);
    const low = m ? recoveryTime("checkpoint", m * every, every, c) : 0;
    const share = scheme === "cache" ? 1 - c.hit_ratio : 1;
    const chain = Math.max(0, Math.floor(best.fullEvery + 0.5) - 1);
    const extra = scheme === "incremental" ? 1 + c.delta * Math.min(chain, Math.max(0, m - 1)) : 1;
    const high = c.D + Math.max(0, low - c.D) * extra + c.r * Math.min(h, every);
    found.push([h, (m ? low : c.D) * share, high * share]);
  }
  return found;
}

/** Draws the run, and returns the axis of its time: a pointer places the crash on it. */
function runPanel(frame, view) {
  const { run, colours, looks } = view;
  const x = new Scale(0, run.end, frame.left, frame.right);
  const up = roundTicks(run.every, 4);
  const y = new Scale(0, up[up.length - 1], frame.bottom, frame.top);
  const bounds = [run.crash, run.down, run.loaded, run.back, Math.min(run.caught, run.end)];
  const parts = [];
  PHASES.forEach(([words, role, fade], n) => {
    const [left, right] = [x.at(bounds[n]), x.at(bounds[n + 1])];
    const look = { fill: colours[role], fill_opacity: fade };
    const height = frame.bottom - frame.top;
    if (right > left) parts.push(told(words, area(left, frame.top, right - left, height, look)));
  });
  parts.push(...uprightAxis(frame, y, tickEvents(up), colours));
  const across = timeTicks(run.end, frame.right - frame.left > 300 ? 5 : 3).filter(([at]) => at <= run.end);
  parts.push(...levelAxis(frame, x, across, colours));
  const { stroke } = looks.checkpoint.line;
  for (const points of [run.before, run.after]) {
    parts.push(trace(wayOf(points.map(([at, since]) => [x.at(at), y.at(since)])), { stroke, stroke_width: 2.2 }));
  }
  const [at, lost] = [x.at(run.crash), y.at(run.since)];
  parts.push(trace(
    wayOf([[at, lost], [at, frame.bottom], [x.at(run.loaded), frame.bottom], [x.at(run.back), lost]]),
    { stroke, stroke_width: 2.2, stroke_dasharray: "3 3" },
  ));
  const red = { stroke: colours.vermilion_line, stroke_width: 1.6 };
  parts.push(rule(at, frame.top - 4, at, frame.bottom, red));
  parts.push(disc(at, frame.top - 8, 5, { fill: colours.vermilion_line }));
  parts.push(...crossOf(at, lost, 5, red));
  return { parts, x };
}

function crossOf(x, y, r, look) {
  const wide = { ...look, stroke_width: 2.6 };
  return [rule(x - r, y - r, x + r, y + r, wide), rule(x + r, y - r, x - r, y + r, wide)];
}
