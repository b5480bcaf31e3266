// One run with a crash: flowlab/figures/recovery_run.py, number for number.

const INTERVALS = 4;
const MAX_TEETH = 400;

function longestCrash(every, c) { return (INTERVALS * every) / c.arrivals; }

function crashedRun(every, c, crash) {
  const latest = longestCrash(every, c);
  const done = c.arrivals * crash;
  const taken = Math.floor(done / every + 1e-9);
  const since = Math.max(0, done - taken * every);
  const load = taken ? c.L + c.growth * taken * every : 0;
  const down = crash + c.D;
  const loaded = down + load;
  const back = loaded + c.r * since;
  const late = back - crash;
  const isNever = c.arrivals >= c.capacity;
  const caught = isNever ? Infinity : crash + (late * c.capacity) / (c.capacity - c.arrivals);
  const known = isNever ? back + late : caught;
  const end = Math.max(latest * 1.05, known + 0.1 * latest);
  const after = saw(back, done, c.capacity, known, every);
  if (!isNever) after.push(...saw(caught, c.arrivals * caught, c.arrivals, end, every).slice(1));
  const before = saw(0, 0, c.arrivals, crash, every);
  return { every, crash, since, down, loaded, back, caught, end, before, after };
}

/** The corners of the saw-tooth from one time to another. */
function saw(from, done, pace, to, every) {
  const taken = Math.floor(done / every + 1e-9);
  const points = [[from, Math.max(0, done - taken * every)]];
  for (let tooth = taken + 1; tooth < taken + MAX_TEETH; tooth++) {
    const at = from + (tooth * every - done) / pace;
    if (at >= to) break;
    points.push([at, every], [at, 0]);
  }
  const reached = done + pace * (to - from);
  points.push([to, Math.min(every, Math.max(0, reached - Math.floor(reached / every) * every))]);
  return points;
}
