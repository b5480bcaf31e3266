// Words and numbers as the static pictures write them.

const THIN = "\u202f";
const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
const LONG_UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
const WALL_FROM_NS = 1e17;
const UNSTAMPED = -(2n ** 63n);

function grouped(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

function counted(number, noun) {
  if (number === 1) return `1 ${noun}`;
  const many = /(ss|sh|ch)$/.test(noun) ? `${noun}es` : /[^aeo]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${grouped(number)} ${many}`;
}

function figures(value) {
  const text = value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Rounds as Python does: a half goes to the even number. */
function roundEven(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

function duration(ns) {
  if (ns < 0) return `-${duration(-ns)}`;
  const seconds = ns / 1e9;
  if (seconds >= 119.5) {
    const whole = roundEven(seconds);
    for (const [unit, name, smaller, smallerName] of LONG_UNITS) {
      if (whole >= unit) {
        const count = Math.floor(whole / unit);
        const part = Math.floor((whole % unit) / smaller);
        return `${grouped(count)} ${name}${part && count < 100 ? ` ${part} ${smallerName}` : ""}`;
      }
    }
  }
  for (const [unit, name] of UNITS) if (ns >= unit * 0.9995) return `${figures(ns / unit)} ${name}`;
  return "0 s";
}

/** Writes a time in ns since the log's first event as a moment: a date, or a virtual time. */
function moment(log, ns) {
  const base = BigInt(log.header.base_ns);
  const total = base + BigInt(Math.round(ns));
  if (total === UNSTAMPED) return "no time";
  if (total < BigInt(WALL_FROM_NS)) return duration(Number(total));
  const date = new Date(Number(total / 1000000n));
  if (Number.isNaN(date.getTime())) return `${total} ns`;
  return `${date.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

function bytesInWords(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${figures(count / 1024)} kB`;
  return `${figures(count / 1024 / 1024)} MB`;
}

function ellipsis(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
