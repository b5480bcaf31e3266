// Search and filter. Pure functions of columns.

/** Returns 1 for each row that has all the words, the type and the agent (negative: any). */
function matches(log, { text = "", type = -1, lane = -1 }) {
  const found = new Uint8Array(log.size);
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = wanted.length ? wordsByCode(log) : null;
  for (let row = 0; row < log.size; row++) {
    if (log.isHidden(row)) continue;
    if (type >= 0 && log.event_type[row] !== type) continue;
    if (lane >= 0 && log.lane[row] !== lane) continue;
    if (wanted.every((word) => hasWord(log, texts, row, word))) found[row] = 1;
  }
  return found;
}

function wordsByCode(log) {
  const lower = (list) => list.map((text) => String(text).toLowerCase());
  const { types, type_words: words, names, steps } = log.header;
  return {
    types: types.map((type, code) => `${type} ${words[code]}`.toLowerCase()),
    names: lower(names),
    steps: lower(steps || []),
    lanes: lower(log.header.lanes.map(laneName)),
    streams: lower(log.header.streams.map(laneName)),
  };
}

function hasWord(log, texts, row, word) {
  return texts.names[log.name_code[row]].includes(word)
    || texts.types[log.event_type[row]].includes(word)
    || texts.lanes[log.lane[row]].includes(word)
    || texts.streams[log.stream[row]].includes(word)
    || (log.step_id ? texts.steps[log.step_id[row]].includes(word) : false)
    || `${texts.streams[log.stream[row]]}/${log.sequence[row]}` === word
    || inPayload(log, row, word);
}

function inPayload(log, row, word) {
  const payload = log.payload(row);
  return payload !== null && payload.text.toLowerCase().includes(word);
}
