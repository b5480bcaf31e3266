// Elements of a drawing, and how wide words are.

const SVG_NAMES = "http://www.w3.org/2000/svg";
const LETTERING = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const PEN = document.createElement("canvas").getContext("2d");

/** Makes an element of a drawing; texts are set as text. */
function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG_NAMES, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name.replace(/_/g, "-"), value);
  }
  element.append(...children);
  return element;
}

function rule(x1, y1, x2, y2, more) { return drawn("line", { x1, y1, x2, y2, ...more }); }

function area(x, y, width, height, more) { return drawn("rect", { x, y, width: Math.max(0, width), height, ...more }); }

function disc(cx, cy, r, more) { return drawn("circle", { cx, cy, r, ...more }); }

function trace(d, more) { return drawn("path", { d, fill: "none", ...more }); }

/** Joins points to a way. */
function wayOf(points) { return `M${points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L")}`; }

function written(x, y, words, more) { return drawn("text", { x, y, font_size: 11, ...more }, words); }

/** A part of a drawing that says something when pointed at. */
function told(words, ...parts) { return drawn("g", {}, drawn("title", {}, words), ...parts); }

function widthOf(words, size) {
  PEN.font = `400 ${size}px ${LETTERING}`;
  return PEN.measureText(words).width;
}
