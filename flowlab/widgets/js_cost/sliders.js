// The sliders: each holds a number exactly until it is moved; most are logarithmic.

const STEPS_OF_DECADE = 20;
const SLIDERS = [
  { name: "p", words: "a recovery in", from: 0, to: 9, isInverse: true, say: (v) => `${eventsWords(1 / v)} events` },
  { name: "S", words: "write a checkpoint (S)", from: -6, to: 4, say: secondsWords },
  { name: "L", words: "load one (L)", from: -6, to: 4, hasZero: true, say: secondsWords },
  { name: "r", words: "replay an event (r)", from: -9, to: 2, say: secondsWords },
  { name: "growth", words: "state growth, an event", from: -12, to: -1, hasZero: true, say: secondsWords },
  { name: "history", words: "history", from: 0, to: 8, isWhole: true, say: (v) => `${eventsWords(v)} events` },
  { name: "D", words: "downtime (D)", from: -3, to: 5, hasZero: true, say: secondsWords },
  { name: "rate", words: "recoveries struck (λ)", from: -9, to: 0, hasZero: true,
    say: (v) => (v ? `one in ${secondsWords(1 / v)}` : "never") },
  { name: "arrivals", words: "events arriving (a)", from: -3, to: 6, say: rateWords },
  { name: "capacity", words: "capacity (μ)", from: -3, to: 7, say: rateWords },
  { name: "hit_ratio", words: "cache hits", isShare: true, from: 0, to: 0.99, say: shareWords },
  { name: "delta", words: "an increment's share", isShare: true, from: 0.01, to: 1, say: shareWords },
];

function rateWords(value) { return `${value >= 1000 ? eventsWords(value) : Number(value.toPrecision(3))} a second`; }

function shareWords(value) { return `${Number((100 * value).toPrecision(3))} %`; }

/** The place of a number on its slider: whole steps, 0 for zero where there is one. */
function placeOf(slider, value) {
  if (slider.isShare) return Math.round((value - slider.from) * 100);
  if (slider.hasZero && value === 0) return 0;
  const size = Math.log10(slider.isInverse ? 1 / value : value);
  const least = slider.hasZero ? 1 : 0;
  return Math.max(least, Math.round((size - slider.from) * STEPS_OF_DECADE) + least);
}

/** The number at a place, with three figures. */
function numberAt(slider, place) {
  if (slider.isShare) return Number((slider.from + place / 100).toFixed(2));
  if (slider.hasZero && place === 0) return 0;
  const size = slider.from + (place - (slider.hasZero ? 1 : 0)) / STEPS_OF_DECADE;
  const value = Number((10 ** size).toPrecision(3));
  if (slider.isInverse) return 1 / value;
  return slider.isWhole ? Math.max(1, Math.round(value)) : value;
}

function mostOf(slider) {
  if (slider.isShare) return Math.round((slider.to - slider.from) * 100);
  return Math.round((slider.to - slider.from) * STEPS_OF_DECADE) + (slider.hasZero ? 1 : 0);
}

/** Makes the sliders of a view; each calls it back with its name and its number. */
function buildSliders(view) {
  const rows = SLIDERS.map((slider) => {
    const input = make("input", { type: "range", min: 0, max: mostOf(slider), step: 1, id: `slider-${slider.name}` });
    const output = make("output", { for: `slider-${slider.name}` });
    input.addEventListener("input", () => view.change(slider.name, numberAt(slider, Number(input.value))));
    view.sliders.set(slider.name, { slider, input, output });
    return make("div", { class: "slider" },
      make("label", { for: `slider-${slider.name}` }, slider.words), output, input);
  });
  const reset = make("button", { class: "reset", onclick: () => view.reset() }, "Back to the first numbers");
  return make("div", { class: "sliders", role: "group", "aria-label": "the numbers of the case" }, ...rows, reset);
}

function showSliders(view) {
  for (const [name, { slider, input, output }] of view.sliders) {
    const value = view.costs[name];
    const place = String(placeOf(slider, value));
    if (numberAt(slider, Number(input.value)) !== value && input.value !== place) input.value = place;
    const words = slider.say(value);
    setWords(output, words);
    input.setAttribute("aria-valuetext", words);
  }
}

/** Sets a text only if it differs: what is set again is read out again. */
function setWords(element, words) { if (element.textContent !== words) element.textContent = words; }
