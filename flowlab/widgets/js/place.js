// Where views live: in the output of a cell, as a widget of its own, or in a page.

const PLACEHOLDER = "data-flowlab-view";
const MOST_FORGOTTEN = 3;

/** Says on the element how long it took from the data to the first picture. */
function tellDrawn(host, started) {
  performance.mark("flowlab-drawn");
  host.setAttribute("data-drawn-ms", (performance.now() - started).toFixed(1));
}

/** Shows a model wherever its placeholder stands in the page, now or later. */
function initialize({ model }) {
  const shown = new Map();
  const selector = `[${PLACEHOLDER}="${CSS.escape(model.get("_place"))}"]`;
  const look = () => {
    endForgotten(shown);
    for (const element of document.querySelectorAll(selector)) {
      if (!shown.has(element)) shown.set(element, showModel(model, element));
    }
  };
  let pending = 0;
  const observer = new MutationObserver(() => {
    // A notebook changes at every key: one look a frame is enough.
    pending = pending || requestAnimationFrame(() => {
      pending = 0;
      look();
    });
  });
  observer.observe(document.body, { childList: true, subtree: true });
  look();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(pending);
  };
}

/**
 * Ends the views that have been out of the page longest. A few stay: a notebook takes cells that
 * are far away out of the page, and puts them back as they were.
 */
function endForgotten(shown) {
  const gone = [...shown].filter(([element]) => !element.isConnected);
  for (const [element, end] of gone.slice(0, Math.max(0, gone.length - MOST_FORGOTTEN))) {
    end();
    shown.delete(element);
  }
}

/** The ordinary view of the widget, for hosts that keep each output apart. */
function render({ model, el }) {
  const element = make("div");
  el.append(element);
  return showModel(model, element);
}

/** Shows what a page holds: `show` makes the view of its header and its bytes in an element. */
function openWith(show) {
  const started = performance.now();
  const header = JSON.parse(document.getElementById("flowlab-header").textContent);
  const text = atob(document.getElementById("flowlab-data").textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  const host = make("div", { class: "flowlab-live" });
  document.getElementById("flowlab-view").replaceChildren(host);
  const view = show(header, bytes, host);
  host.flowlab = view;
  tellDrawn(host, started);
  return view;
}

export default { initialize, render };
