// Who knows the causal order and the payloads: the page itself, or the kernel behind it.

const KINDS = ["program", "message", "fork", "join", "timer", "fault", "lock", "assumed", "lane"];
const PATIENCE_MS = 20000;

Log.prototype.graph = function graph() {
  if (!this.graphMade) this.graphMade = new Graph(this.size, this.src, this.dst);
  return this.graphMade;
};

/** Answers from the columns that the page holds. */
class OwnAnswers {
  constructor(log) { this.log = log; }

  about(row) {
    if (!this.log.hasEdges) return { causes: [], effects: [], payload: null };
    const graph = this.log.graph();
    const past = graph.past(row);
    const future = graph.future(row);
    const clock = clockOf(past, row, this.log.lane, this.log.lanes);
    return { past, future, clock, ...this.neighbours(row), payload: this.log.payload(row) };
  }

  relate(first, second) {
    if (!this.log.hasEdges) return { word: "unknown", path: [] };
    return relate(this.log.graph(), first, second);
  }

  critical(row, kind) {
    if (!this.log.hasEdges) return [];
    const { time, depth } = this.log;
    const [first, second] = kind === "time" ? [time, depth] : [depth, time];
    return criticalPath(this.log.graph(), row, first, second);
  }

  neighbours(row) {
    if (!this.log.hasEdges) return { causes: [], effects: [] };
    const { causes, effects } = this.log.graph();
    const list = (side) => {
      const found = [];
      for (let n = side.start[row]; n < side.start[row + 1]; n++) {
        found.push({ row: side.neighbours[n], kind: KINDS[this.log.edge_kind[side.edges[n]]] });
      }
      return found;
    };
    return { causes: list(causes), effects: list(effects) };
  }
}

/** Asks the kernel; what the page can tell by itself it does. */
class KernelAnswers {
  constructor(log, model) {
    Object.assign(this, { log, model, waiting: new Map(), next: 0 });
    this.own = log.hasEdges ? new OwnAnswers(log) : null;
    model.on("msg:custom", (message, buffers) => this.hear(message, buffers));
  }

  ask(what, args) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Error("the kernel does not answer: is it busy, or gone? Run the cell again."));
      }, PATIENCE_MS);
      this.waiting.set(id, { resolve, reject, timer });
      this.model.send({ flowlab: what, id, ...args });
    });
  }

  hear(message, buffers) {
    const waiting = this.waiting.get(message && message.id);
    if (!waiting) return;
    this.waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(new Error(message.error)); else waiting.resolve({ ...message.answer, buffers });
  }

  async about(row) {
    const answer = await this.ask("about", { row, order: !this.own });
    const payload = { text: answer.payload, kept: answer.kept, size: answer.size };
    if (this.own) return { ...this.own.about(row), payload };
    const [past, future] = answer.buffers.map((buffer) => unpackBits(buffer, this.log.size));
    const clock = Int32Array.from(answer.clock);
    return { past, future, clock, causes: answer.causes, effects: answer.effects, payload };
  }

  async relate(first, second) {
    return this.own ? this.own.relate(first, second) : this.ask("relate", { first, second });
  }

  async critical(row, kind) {
    return this.own ? this.own.critical(row, kind) : (await this.ask("critical", { row, kind })).rows;
  }

  async neighbours(row) {
    return this.own ? this.own.neighbours(row) : this.ask("about", { row, order: true });
  }
}

/** One bit a row, the first row in the lowest bit of the first byte. */
function unpackBits(view, size) {
  const marks = new Uint8Array(size);
  for (let row = 0; row < size; row++) marks[row] = (view.getUint8(row >> 3) >> (row & 7)) & 1;
  return marks;
}
