// A log as columns: what Python packed, unpacked without a copy.

const ARRAYS = {
  f64: Float64Array, i32: Int32Array, u32: Uint32Array, i16: Int16Array, u16: Uint16Array,
  u8: Uint8Array,
};
const BAR_WIDTH = 8;
const PART_WIDTH = 5;

class Log {
  /** `data` is a DataView or an ArrayBuffer; `header` what `content.py` wrote. */
  constructor(header, data) {
    this.header = header;
    const buffer = data instanceof ArrayBuffer ? data : aligned(data);
    for (const [name, [kind, offset, length]] of Object.entries(header.columns)) {
      this[name] = new ARRAYS[kind](buffer, offset, length);
    }
    this.size = this.time ? this.time.length : 0;
    this.lanes = header.lanes.length;
    this.bars = readBars(this);
    this.hasEdges = Boolean(this.src);
    this.rank = new Int32Array(this.size);
    this.rowsOfLane = groupRows(this.lane, this.lanes, this.rank);
    const glyphs = Object.keys(header.glyphs);
    const place = new Map(glyphs.map((name, index) => [name, index]));
    this.glyphNames = glyphs;
    this.glyphOfType = (header.type_glyphs || []).map((name) => place.get(name));
    const bad = new Set(["failed", "timed_out", "crash", "dropped", "fault"]);
    this.badType = (header.type_glyphs || []).map((name) => (bad.has(name) ? 1 : 0));
  }

  /** The events that a row stands for: one, unless the page holds marks for many. */
  weight(row) { return this.count ? this.count[row] : 1; }

  isHidden(row) { return this.hidden ? this.hidden[row] === 1 : false; }

  glyph(row) { return this.glyphOfType[this.event_type[row]]; }

  glyphName(row) { return this.glyphNames[this.glyph(row)]; }

  isBad(row) { return this.badType[this.event_type[row]] === 1; }

  typeWords(row) { return this.header.type_words[this.event_type[row]]; }

  name(row) { return this.header.names[this.name_code[row]] || ""; }

  agent(row) { return laneName(this.header.lanes[this.lane[row]]); }

  step(row) { return this.step_id ? this.header.steps[this.step_id[row]] || "" : ""; }

  workflowName(row) { return laneName(this.header.workflows[this.workflow[row]]); }

  id(row) {
    const [, , stream] = this.header.streams[this.stream[row]];
    return `${stream}/${this.sequence[row]}`;
  }

  /** What a person calls an event: its name, or else its type in words. */
  title(row) { return this.name(row) || this.typeWords(row); }

  label(row) {
    if (this.label_code) return this.label_code[row] < 0 ? "" : this.header.labels[this.label_code[row]];
    const glyph = this.glyphName(row);
    if (QUIET.has(glyph)) return "";
    return this.isBad(row) ? this.typeWords(row) : this.title(row);
  }

  payload(row) {
    if (!this.payload_end) return null;
    const from = row ? this.payload_end[row - 1] : 0;
    const bytes = this.payload_bytes.subarray(from, this.payload_end[row]);
    return { text: new TextDecoder().decode(bytes), kept: bytes.length, size: this.payload_size[row] };
  }
}

const QUIET = new Set(["start", "end", "restart", "commit", "call", "answer", "arrived"]);

function aligned(view) {
  if (view.byteOffset % 8 === 0) {
    // Offsets of the directory count from the view's own beginning.
    if (view.byteOffset === 0) return view.buffer;
  }
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

function laneName(parts) { return parts[parts.length - 1] || "(no agent)"; }

/** Lists the rows of each group in their order; `rank` takes each row's place in its group. */
function groupRows(codes, groups, rank) {
  const counts = new Int32Array(groups + 1);
  for (let row = 0; row < codes.length; row++) counts[codes[row] + 1]++;
  for (let group = 0; group < groups; group++) counts[group + 1] += counts[group];
  const all = new Int32Array(codes.length);
  const next = counts.slice();
  for (let row = 0; row < codes.length; row++) {
    const code = codes[row];
    if (rank) rank[row] = next[code] - counts[code];
    all[next[code]++] = row;
  }
  const lists = [];
  for (let group = 0; group < groups; group++) lists.push(all.subarray(counts[group], counts[group + 1]));
  return lists;
}

function readBars(log) {
  const bars = [];
  if (!log.bar) return bars;
  const { bar_kinds: kinds, statuses, segments, results, labels } = log.header;
  const { bar, part } = log;
  for (let at = 0; at < bar.length; at += BAR_WIDTH) {
    bars.push({
      number: at / BAR_WIDTH, lane: bar[at], kind: kinds[bar[at + 1]], status: statuses[bar[at + 2]],
      asked: bar[at + 3], ended: bar[at + 4], cut: bar[at + 5], label: bar[at + 6] < 0 ? "" : labels[bar[at + 6]],
      tip: bar[at + 7] < 0 ? "" : labels[bar[at + 7]], parts: [], rows: [], open: bar[at + 4] < 0 && bar[at + 5] < 0,
    });
  }
  for (let at = 0; at < part.length; at += PART_WIDTH) {
    bars[part[at]].parts.push({
      kind: segments[part[at + 1]], from: part[at + 2], to: part[at + 3], result: results[part[at + 4]],
    });
  }
  for (let at = 0; at < log.bar_row.length; at += 2) bars[log.bar_row[at]].rows.push(log.bar_row[at + 1]);
  return bars;
}
