// The causal order: pasts, futures, ways between two events. Pure functions of columns.

/** Puts edges in rows of a sparse matrix: of each row, where its neighbours begin, and they. */
function adjacency(size, from, to) {
  const start = new Int32Array(size + 1);
  for (let edge = 0; edge < from.length; edge++) start[from[edge] + 1]++;
  for (let row = 0; row < size; row++) start[row + 1] += start[row];
  const next = start.slice(0, size);
  const neighbours = new Int32Array(from.length);
  const edges = new Int32Array(from.length);
  for (let edge = 0; edge < from.length; edge++) {
    const at = next[from[edge]]++;
    neighbours[at] = to[edge];
    edges[at] = edge;
  }
  return { start, neighbours, edges };
}

class Graph {
  constructor(size, src, dst) {
    this.size = size;
    this.causes = adjacency(size, dst, src);
    this.effects = adjacency(size, src, dst);
  }

  past(row) { return reached(this.causes, row, this.size); }

  future(row) { return reached(this.effects, row, this.size); }
}

/** Marks what a row leads to; a row on a cycle leads to itself, and is not marked. */
function reached(side, row, size) {
  const marks = new Uint8Array(size);
  const stack = [row];
  marks[row] = 1;
  while (stack.length) {
    const at = stack.pop();
    for (let n = side.start[at]; n < side.start[at + 1]; n++) {
      const other = side.neighbours[n];
      if (!marks[other]) {
        marks[other] = 1;
        stack.push(other);
      }
    }
  }
  marks[row] = 0;
  return marks;
}

/** Returns the rows of a shortest way along causes, both ends included; null if there is none. */
function causalPath(graph, from, to) {
  const before = new Map([[from, -1]]);
  let ring = [from];
  while (ring.length && !before.has(to)) {
    const next = [];
    for (const row of ring) {
      for (let n = graph.effects.start[row]; n < graph.effects.start[row + 1]; n++) {
        const other = graph.effects.neighbours[n];
        if (!before.has(other)) {
          before.set(other, row);
          next.push(other);
        }
      }
    }
    ring = next;
  }
  if (!before.has(to)) return null;
  const rows = [];
  for (let row = to; row >= 0; row = before.get(row)) rows.push(row);
  return rows.reverse();
}

/** Says how two events stand to each other: `before`, `after`, `same` or `concurrent`, and the way. */
function relate(graph, first, second) {
  if (first === second) return { word: "same", path: [first] };
  const forth = causalPath(graph, first, second);
  if (forth) return { word: "before", path: forth };
  const back = causalPath(graph, second, first);
  if (back) return { word: "after", path: back };
  return { word: "concurrent", path: [] };
}

/** Counts the events of each lane in a past, the row itself included: its vector clock. */
function clockOf(past, row, lane, lanes) {
  const counts = new Int32Array(lanes);
  for (let other = 0; other < past.length; other++) counts[lane[other]] += past[other];
  counts[lane[row]]++;
  return counts;
}

/**
 * Returns the chain that ends with a row, in which each event is preceded by the last of its causes:
 * the one it waited for. Last is by `first`, then by `second`: by times and depths, or the reverse.
 */
function criticalPath(graph, row, first, second) {
  const isLater = (one, other) => first[one] - first[other] || second[one] - second[other] || one - other;
  const rows = [row];
  const seen = new Set(rows);
  for (let at = row; ;) {
    let best = -1;
    for (let n = graph.causes.start[at]; n < graph.causes.start[at + 1]; n++) {
      const cause = graph.causes.neighbours[n];
      if (!seen.has(cause) && (best < 0 || isLater(cause, best) > 0)) best = cause;
    }
    if (best < 0) return rows.reverse();
    rows.push(best);
    seen.add(best);
    at = best;
  }
}
