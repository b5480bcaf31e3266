// What each scheme costs: the formulas of flowlab/figures/recovery_model.py, number for number.

const SCHEMES = ["replay", "checkpoint", "incremental", "cache", "every_task"];
const TOLERANCE = 0.05;
const TOO_LONG = 600;
const RARE = 1e-5;
const MOST_EVENTS = 1e15;
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const ROUNDS = 120;

function fullS(c) { return c.S + (c.growth * c.history) / 2; }

function loadS(c) { return c.L + (c.growth * c.history) / 2; }

/** Expected seconds an event of checkpoints and recoveries, one checkpoint every N events. */
function lawCost(N, S, L, p, c) {
  if (c.rate * (L + c.r * N) > TOO_LONG) return Infinity;
  if (N < 1) return lawCost(1, S, L, p, c) + S / N - S;
  if (c.rate === 0) return S / N + p * (L + c.D + (c.r * (N - 1)) / 2);
  if (c.rate * (L + c.r * N) < RARE) {
    const x = L + (c.r * (N - 1)) / 2;
    const square = L * L + L * c.r * (N - 1) + (c.r * c.r * (N - 1) * (2 * N - 1)) / 6;
    return S / N + p * (c.D + x + c.rate * (square / 2 + c.D * x));
  }
  const mean = Math.expm1(c.rate * c.r * N) / (N * Math.expm1(c.rate * c.r));
  const factor = (1 / c.rate + c.D) * Math.exp(c.rate * L);
  return S / N + p * (factor * mean - 1 / c.rate);
}

function fullEvery(N, c) {
  const gained = 2 * (1 - c.delta) * fullS(c);
  const lost = c.p * N * c.delta * loadS(c);
  const most = Math.max(1, c.history / N);
  return lost === 0 ? most : Math.min(most, Math.max(1, Math.sqrt(gained / lost)));
}

function schemeCost(scheme, N, c) {
  if (scheme === "checkpoint") return lawCost(N, fullS(c), loadS(c), c.p, c);
  if (scheme === "cache") return lawCost(N, fullS(c), loadS(c), c.p * (1 - c.hit_ratio), c);
  if (scheme === "incremental") {
    const m = fullEvery(N, c);
    const write = fullS(c) * (c.delta + (1 - c.delta) / m);
    return lawCost(N, write, loadS(c) * (1 + (c.delta * (m - 1)) / 2), c.p, c);
  }
  const replayed = lawCost(c.history, 1, 0, c.p, c) - 1 / c.history;
  if (scheme !== "every_task") return replayed;
  const activities = Math.max(0, Math.floor((c.history - 5) / 6));
  return replayed + (c.r * 3 * (activities + 1) ** 2) / c.history;
}

/** (x - 1) e^x + 1, exact for small x, too. */
function rising(x) {
  if (x < 0.01) return (x * x) / 2 + x ** 3 / 3 + x ** 4 / 8 + x ** 5 / 30 + x ** 6 / 144;
  return (x - 1) * Math.exp(x) + 1;
}

function bestInterval(c, p) {
  if (c.rate === 0) return Math.sqrt((2 * fullS(c)) / (p * c.r));
  const a = (p * (1 / c.rate + c.D) * Math.exp(c.rate * loadS(c))) / Math.expm1(c.rate * c.r);
  let [low, high] = [0, 700];
  for (let round = 0; round < 400; round++) {
    const middle = (low + high) / 2;
    if (rising(middle) > fullS(c) / a) high = middle; else low = middle;
  }
  return (low + high) / 2 / (c.rate * c.r);
}

/** Where a function with one valley is least, by golden section. */
function lowest(of) {
  let [low, high] = [0, Math.log(MOST_EVENTS)];
  let [a, b] = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
  let [atA, atB] = [of(a), of(b)];
  for (let round = 0; round < ROUNDS; round++) {
    if (atA <= atB) {
      [high, b, atB] = [b, a, atA];
      a = high - GOLDEN * (high - low);
      atA = of(a);
    } else {
      [low, a, atA] = [a, b, atB];
      b = low + GOLDEN * (high - low);
      atB = of(b);
    }
  }
  return (low + high) / 2;
}

function bestOf(scheme, c) {
  const found = { scheme, nStar: 0, cost: 0, low: 0, high: 0, fullEvery: 1 };
  if (scheme === "replay" || scheme === "every_task") {
    return { ...found, cost: schemeCost(scheme, 1, c) };
  }
  if (scheme === "incremental") {
    found.nStar = Math.exp(lowest((at) => schemeCost(scheme, Math.exp(at), c)));
    found.fullEvery = fullEvery(found.nStar, c);
  } else found.nStar = bestInterval(c, scheme === "checkpoint" ? c.p : c.p * (1 - c.hit_ratio));
  [found.low, found.high] = bandOf(scheme, found.nStar, c);
  found.cost = schemeCost(scheme, found.nStar, c);
  return found;
}

/** The part of a cost that N changes. */
function changedPart(scheme, N, c) {
  const p = scheme === "cache" ? c.p * (1 - c.hit_ratio) : c.p;
  let fixed = loadS(c) + c.D - c.r / 2;
  if (c.rate !== 0) {
    const struck = Math.exp(c.rate * loadS(c)) * (1 / c.rate + c.D);
    fixed = (struck * c.rate * c.r) / Math.expm1(c.rate * c.r) - 1 / c.rate;
  }
  return schemeCost(scheme, N, c) - p * fixed;
}

function bandOf(scheme, nStar, c) {
  const star = Math.max(1, nStar);
  const most = changedPart(scheme, star, c) * (1 + TOLERANCE);
  const end = (outer, inner) => {
    let [low, high] = [Math.log(outer), Math.log(inner)];
    for (let round = 0; round < ROUNDS; round++) {
      const middle = (low + high) / 2;
      if (changedPart(scheme, Math.exp(middle), c) > most) low = middle; else high = middle;
    }
    return Math.exp((low + high) / 2);
  };
  const low = changedPart(scheme, 1, c) <= most ? 1 : end(1, star);
  return [low, end(MOST_EVENTS, star)];
}

function isShort(c) { return c.history < 2 * bestInterval(c, c.p); }

/** Seconds of a recovery at event h of a history, not struck by failures. */
function recoveryTime(scheme, h, N, c) {
  let whole = c.D + c.r * h;
  if (scheme !== "replay" && scheme !== "every_task" && h >= N) {
    const taken = Math.floor(h / N);
    const chain = Math.max(1, Math.floor(fullEvery(N, c) + 0.5));
    const deltas = scheme === "incremental" ? (taken - 1) % chain : 0;
    const load = (c.L + c.growth * taken * N) * (1 + c.delta * deltas);
    whole = c.D + load + c.r * (h - taken * N);
  }
  return scheme === "cache" ? whole * (1 - c.hit_ratio) : whole;
}

function catchUp(n, load, c) {
  const back = c.D + load + c.r * n;
  return { back, caught: c.arrivals >= c.capacity ? Infinity : (back * c.capacity) / (c.capacity - c.arrivals) };
}
