// What the view says: the words of flowlab/figures/recovery_words.py, letter for letter.

const YEARS = 3.15576e11;

function secondsWords(value) {
  if (value === Infinity) return "without end";
  if (value > YEARS) return "over 10 000 years";
  if (value > 0 && value < 1e-9) return `${Number((value * 1e9).toPrecision(2))} ns`;
  return duration(Math.floor(value * 1e9 + 0.5));
}

function eventsWords(value) {
  if (value >= 1e12) return "over 10¹²";
  for (const [unit, word] of [[1e9, "billion"], [1e6, "million"]]) {
    if (value >= unit) return `${Number((value / unit).toPrecision(3))} ${word}`;
  }
  return grouped(Math.floor(value + 0.5));
}

function bestWords(found, c) {
  const price = `${secondsWords(found.cost)} an event`;
  if (!found.nStar) return price;
  const every = `every ${eventsWords(Math.max(1, found.nStar))}`;
  if (found.scheme === "incremental") {
    const near = eventsWords(Number(Math.max(1, found.nStar).toPrecision(3)));
    const full = Math.floor(found.fullEvery + 0.5);
    return `${price}, every ${near}, ${full === 1 ? "all" : `1 in ${eventsWords(full)}`} full`;
  }
  if (found.scheme === "cache") return `${price}, ${every}, ${Number((100 * c.hit_ratio).toPrecision(3))} % hits`;
  return `${price}, ${every} events`;
}

/** What is recommended, in sentences. */
function adviceOf(c, bests) {
  const found = bests.checkpoint;
  const plain = bests.replay.cost;
  const every = Math.max(1, Math.floor(found.nStar + 0.5));
  const history = `a history of ${eventsWords(c.history)} events`;
  const twice = `2 N* = ${eventsWords(2 * found.nStar)}`;
  if (isShort(c)) {
    return [
      `Write no checkpoint: ${history} is shorter than ${twice}.`,
      `Replay from the start costs ${secondsWords(plain)} an event.`,
      caughtWords("its last event", c.history - 1, 0, c),
    ];
  }
  if (plain <= found.cost) {
    return [
      `Write no checkpoint: ${history} is longer than ${twice}.`,
      "But loading one takes longer than it saves; replay from the start costs "
        + `${secondsWords(plain)} an event.`,
      caughtWords("its last event", c.history - 1, 0, c),
    ];
  }
  const less = `${timesWords(plain / found.cost)} less than replay from the start`;
  return [
    `Write a checkpoint every ${eventsWords(every)} events: ${secondsWords(found.cost)} an event, ${less}.`,
    `From ${eventsWords(found.low)} to ${eventsWords(found.high)} events, what the interval changes is `
      + "at most 5 % more.",
    caughtWords("the last event before one", every - 1, loadS(c), c),
  ];
}

function timesWords(ratio) {
  if (ratio >= 1e6) return "more than a million times";
  const value = Number(ratio.toPrecision(2));
  return `${value >= 1000 ? grouped(value) : value} times`;
}

function caughtWords(place, since, load, c) {
  const { back, caught } = catchUp(Math.max(0, since), load, c);
  const start = `A crash at ${place} is back after ${secondsWords(back)}`;
  if (caught === Infinity) return `${start}, and never catches up: as much arrives as can be worked off.`;
  return `${start}, caught up after ${secondsWords(caught)}.`;
}

function runWords(run) {
  const parts = [];
  if (run.down > run.crash) parts.push(`down ${secondsWords(run.down - run.crash)}`);
  if (run.loaded > run.down) parts.push(`load ${secondsWords(run.loaded - run.down)}`);
  parts.push(`replay ${secondsWords(run.back - run.loaded)}`);
  const crash = `Crash after ${secondsWords(run.crash)}, ${eventsWords(run.since)} events since a checkpoint: `;
  const said = `${crash}${parts.join(", ")}; back after ${secondsWords(run.back - run.crash)}, `;
  if (run.caught === Infinity) return `${said}never caught up.`;
  return `${said}caught up after ${secondsWords(run.caught - run.crash)}.`;
}
