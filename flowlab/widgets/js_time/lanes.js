// The lanes: events as ticks, checkpoints as signs, and the place as a line that is dragged.

const LANE_HEIGHT = 24;
const MOST_LANES = 40;
const MOST_MARKS = 2000;
const READS_ROOM = 118;

/** The lanes that are drawn: all, or those in which most happens, in their order. */
function lanesShown(places) {
  const order = places.header.lanes.map((_, lane) => lane);
  order.sort((a, b) => places.rowsOfLane[b].length - places.rowsOfLane[a].length || a - b);
  return order.slice(0, MOST_LANES).sort((a, b) => a - b);
}

/** Draws what does not move with the place; returns how many marks stand for the events. */
function drawLanes(view) {
  const { places, colours, shownLanes, dom } = view;
  const wide = dom.lanes.parentElement.clientWidth;
  const names = wide < 560 ? 84 : 150;
  const right = wide - (wide < 560 ? 8 : READS_ROOM);
  view.scale = new LevelScale(names + 12, right, view.axis === "time" ? places.risingTime : places.number);
  view.namesRoom = names;
  const parts = [];
  const bin = binFor(view);
  let marks = 0;
  shownLanes.forEach((lane, n) => {
    const y = laneY(n);
    if (n % 2 === 0) parts.push(area(0, y - LANE_HEIGHT / 2, wide, LANE_HEIGHT, { fill: colours.band }));
    const [label, kind] = places.header.lanes[lane];
    const name = written(6, y + 4, fitted(label, 12, names), { font_size: 12, font_weight: 600, fill: colours.ink });
    parts.push(told(`${kind} ${label}`, name), rule(names + 12, y, right, y, { stroke: colours.grid }));
    const xs = new Set(places.rowsOfLane[lane].map((row) => Math.round(view.scale.at(row) / bin) * bin));
    marks += xs.size;
    const d = [...xs].map((x) => `M${x.toFixed(1)} ${y - 6}v12`).join("");
    if (d) parts.push(trace(d, { stroke: colours.muted, stroke_width: 1.2 }));
  });
  view.moving = drawn("g");
  const height = shownLanes.length * LANE_HEIGHT + 24;
  fillDrawing(dom.lanes, wide, height, [...parts, view.moving]);
  return marks;
}

/** A width in pixels of which each holds one mark at most, so that there are not too many. */
function binFor(view) {
  const { places, shownLanes, scale } = view;
  for (let bin = 0.5; ; bin *= 2) {
    let marks = 0;
    for (const lane of shownLanes) {
      marks += new Set(places.rowsOfLane[lane].map((row) => Math.round(scale.at(row) / bin))).size;
    }
    if (marks <= MOST_MARKS) return bin;
  }
}

function laneY(n) { return 18 + n * LANE_HEIGHT + LANE_HEIGHT / 2; }

/** From rows to pixels: evenly by event, or by time. */
class LevelScale {
  /** `at` is where each row stands, rising: its number, or its time. */
  constructor(start, end, at) {
    Object.assign(this, { start, end, places: at });
    this.first = at.length ? at[0] : 0;
    this.length = at.length ? at[at.length - 1] - this.first || 1 : 1;
  }

  at(row) { return this.start + ((this.end - this.start) * (this.places[row] - this.first)) / this.length; }

  /** The row nearest to a pixel. */
  row(x) {
    const place = this.first + ((x - this.start) / (this.end - this.start)) * this.length;
    const after = Math.min(this.places.length - 1, countUpTo(this.places, place));
    const before = Math.max(0, after - 1);
    return place - this.places[before] <= this.places[after] - place ? before : after;
  }
}

/** Draws what moves: the place, the checkpoints before and after it, and what is read of each lane. */
function drawPlace(view, readings) {
  const { places, colours, shownLanes, scale, row } = view;
  const parts = [];
  const seen = new Set();
  for (const mark of places.marks) {
    const n = shownLanes.indexOf(mark.lane);
    const x = Math.round(scale.at(mark.row) * 2) / 2;
    if (n < 0 || seen.has(`${n} ${x} ${mark.row <= row}`)) continue;
    seen.add(`${n} ${x} ${mark.row <= row}`);
    const kind = mark.isSavepoint ? "savepoint" : "checkpoint";
    const tip = `${kind} of ${places.header.lanes[mark.lane][0]} at ${mark.at}, ${sizeWords(mark.size)}`;
    parts.push(told(tip, checkpointSign(x, laneY(n), mark.isSavepoint, mark.row <= row, colours)));
  }
  if (view.dom.lanes.clientWidth >= 560) {
    shownLanes.forEach((lane, n) => {
      if (places.header.lanes[lane][1] === "resource") return;
      const { checkpoints, size, since } = readings[lane];
      const words = `${checkpoints ? `${sizeWords(size)} + ` : ""}${counted(since, "event")}`;
      parts.push(written(scale.end + 8, laneY(n) + 4, words, { fill: colours.muted }));
    });
  }
  const x = scale.at(row);
  const bottom = laneY(shownLanes.length - 1) + LANE_HEIGHT / 2;
  const red = colours.vermilion_line;
  parts.push(rule(x, 8, x, bottom, { stroke: red, stroke_width: 1.8 }));
  parts.push(trace(`M${x - 6} 2L${x + 6} 2L${x} 11Z`, { fill: red }));
  const own = shownLanes.indexOf(places.lane[row]);
  if (own >= 0) parts.push(disc(x, laneY(own), 4.5, { fill: red }));
  view.moving.replaceChildren(...parts);
}

/** A checkpoint is a diamond, a savepoint a square; one that is still to come is hollow. */
function checkpointSign(x, y, isSavepoint, isPast, colours) {
  const look = { fill: isPast ? colours.green : colours.panel, stroke: colours.green, stroke_width: 1.8 };
  if (isSavepoint) return area(x - 5, y - 5, 10, 10, look);
  return trace(`M${x} ${y - 7}L${x + 6} ${y}L${x} ${y + 7}L${x - 6} ${y}Z`, look);
}

function fitted(words, size, room) {
  if (widthOf(words, size) * 1.1 <= room) return words;
  let kept = words.length;
  while (kept > 1 && widthOf(`${words.slice(0, kept)}…`, size) * 1.1 > room) kept -= 1;
  return `${words.slice(0, kept)}…`;
}

function fillDrawing(svg, width, height, parts) {
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("font-family", LETTERING);
  svg.replaceChildren(...parts);
}
