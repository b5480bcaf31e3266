// Light or dark: as JupyterLab's variables say, or else as the reader's system does.

/** Returns the colours by role; the ground and the ink are the host's, where it names them. */
function coloursFor(host, header) {
  const style = getComputedStyle(host);
  const named = (name) => style.getPropertyValue(name).trim();
  const ground = named("--jp-layout-color0");
  const isDark = ground ? luminance(ground, host) < 0.5 : matchMedia("(prefers-color-scheme: dark)").matches;
  const colours = { ...header.palette[isDark ? "dark" : "light"] };
  return { colours, isDark, isHosted: Boolean(ground) };
}

/** How light a CSS colour is, from 0 to 1. */
function luminance(colour, host) {
  const probe = document.createElement("span");
  probe.style.color = colour;
  host.append(probe);
  const [r, g, b] = (getComputedStyle(probe).color.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  probe.remove();
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

/** Calls back when the host or the system changes between light and dark; returns how to stop. */
function watchTheme(changed) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  const observer = new MutationObserver(changed);
  const what = { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] };
  observer.observe(document.body, what);
  observer.observe(document.documentElement, what);
  return () => {
    media.removeEventListener("change", changed);
    observer.disconnect();
  };
}

function isMotionReduced() { return matchMedia("(prefers-reduced-motion: reduce)").matches; }

/** Makes an element. Texts are set as text: nothing of a log ever becomes markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
