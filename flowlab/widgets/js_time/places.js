// A log as one travels through it: what each cell holds at a place, and what recovery would read.

const COLUMN_KINDS = { f64: Float64Array, i32: Int32Array, u32: Uint32Array, u8: Uint8Array };
const NO_VALUE = -1;

class Places {
  /** `data` is a DataView, a Uint8Array or an ArrayBuffer; `header` what `time_view.py` wrote. */
  constructor(header, data) {
    this.header = header;
    const view = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    const buffer = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    for (const [name, [kind, offset, length]] of Object.entries(header.columns)) {
      this[name] = new COLUMN_KINDS[kind](buffer, offset, length);
    }
    this.size = this.lane.length;
    this.rowsOfLane = header.lanes.map(() => []);
    this.lane.forEach((lane, row) => this.rowsOfLane[lane].push(row));
    this.marks = [...this.mark_row].map((row, n) => ({
      row, lane: this.mark_lane[n], at: this.mark_at[n], size: this.mark_size[n], isSavepoint: this.mark_save[n] === 1,
    }));
    this.decoder = new TextDecoder();
    this.number = Float64Array.from(this.lane, (_, row) => row);
    // A clock may run back: the line of time does not.
    this.risingTime = this.time.slice();
    for (let row = 1; row < this.size; row++) {
      this.risingTime[row] = Math.max(this.risingTime[row], this.risingTime[row - 1]);
    }
  }

  value(code) {
    const from = code ? this.value_end[code - 1] : 0;
    return this.decoder.decode(this.value_bytes.subarray(from, this.value_end[code]));
  }

  /** The code of each cell's value after a row: from the keyframe before it, and the changes since. */
  stateAt(row) {
    const upto = countUpTo(this.change_row, row);
    const { cells, key_every: every } = this.header;
    const frame = Math.floor(upto / every);
    const held = this.key_values.slice(frame * cells.length, (frame + 1) * cells.length);
    for (let n = frame * every; n < upto; n++) held[this.change_cell[n]] = this.change_value[n];
    return held;
  }

  /** The cells that the event of a row has written. */
  changedAt(row) {
    const found = new Set();
    for (let n = countUpTo(this.change_row, row - 1); n < this.change_row.length && this.change_row[n] === row; n++) {
      found.add(this.change_cell[n]);
    }
    return found;
  }

  /** The next row, or the one before, that changes one of some cells; -1 where there is none. */
  nextChange(row, step, isOne) {
    let n = step > 0 ? countUpTo(this.change_row, row) : countUpTo(this.change_row, row - 1) - 1;
    for (; n >= 0 && n < this.change_row.length; n += step) if (isOne(this.change_cell[n])) return this.change_row[n];
    return -1;
  }

  /** Of each lane, what recovery from after a row would read. */
  readingsAt(row) {
    const latest = new Map();
    for (const mark of this.marks) {
      const before = latest.get(mark.lane);
      if (mark.row <= row && (!before || mark.at >= before.at)) latest.set(mark.lane, mark);
    }
    return this.rowsOfLane.map((rows, lane) => {
      const replay = countUpTo(rows, row);
      const mark = latest.get(lane);
      let since = replay;
      if (mark) {
        since = 0;
        for (let n = replay - 1; n >= 0 && this.sequence[rows[n]] > mark.at; n--) since += 1;
      }
      return { checkpoints: mark ? 1 : 0, size: mark ? mark.size : 0, since, replay };
    });
  }

  word(column, row) { return this.header.words[column][this[column][row]] || ""; }

  /** Says which event a row is. */
  told(row) {
    const what = [this.word("event_type", row), this.word("name", row)].filter(Boolean).join(" ");
    const where = `${this.word("stream", row)}/${this.sequence[row]}`;
    const parts = [`event ${grouped(row + 1)} of ${grouped(this.size)}: ${where} ${what}`, this.word("agent", row)];
    return [...parts, moment(this, this.time[row])].filter(Boolean).join(", ");
  }
}

/** How many numbers of a rising list are at most one. */
function countUpTo(list, most) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= most) low = middle + 1; else high = middle;
  }
  return low;
}

function sizeWords(size) {
  if (size < 1024) return `${size} B`;
  let held = size / 1024;
  const units = ["kB", "MB", "GB", "TB"];
  while (held >= 1024 && units.length > 1) {
    held /= 1024;
    units.shift();
  }
  return `${held.toFixed(1).replace(/\.0$/, "")} ${units[0]}`;
}

/** What recovery reads, as a sentence. */
function readingWords(readings) {
  const sum = (name) => readings.reduce((total, one) => total + one[name], 0);
  const since = counted(sum("since"), "event");
  if (!sum("checkpoints")) return `Recovery from here reads ${since}: no checkpoint yet.`;
  const loaded = `${counted(sum("checkpoints"), "checkpoint")} (${sizeWords(sum("size"))})`;
  return `Recovery from here reads ${loaded} and ${since}; replay reads ${counted(sum("replay"), "event")}.`;
}
