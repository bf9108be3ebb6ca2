// Small helpers for building elements; nothing here ever parses HTML, so what devices say stays text.

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "class") made.className = value;
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list" && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Set text only when it differs, so that nothing is laid out or read aloud for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export function mark(element, key, value) {
  if (element.dataset[key] !== value) element.dataset[key] = value;
}

/** The value of a custom property of the theme. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const ms = (value) => (value < 10 ? value.toFixed(1) : Math.round(value).toString()) + " ms";

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const NAMED = { red: 352, orange: 28, yellow: 50, green: 130, blue: 212, purple: 272, violet: 272, pink: 330 };
const HUES = [168, 28, 262, 340, 205, 84, 300, 48];
const hues = new Map();

/** The same colour for the same label on every visit; labels share one only when there are more of them than colours. */
export function hueOf(label) {
  if (!hues.has(label)) {
    const named = NAMED[label.toLowerCase().split(/\W/).find((word) => word in NAMED)];
    let place = [...label].reduce((sum, character) => (sum * 31 + character.codePointAt(0)) >>> 0, 7) % HUES.length;
    const taken = new Set(hues.values());
    for (let tries = 0; tries < HUES.length && taken.has(HUES[place]); tries++) place = (place + 1) % HUES.length;
    hues.set(label, named ?? HUES[place]);
  }
  return hues.get(label);
}

/** Size a canvas to its place on the screen in device pixels; whether that changed anything. */
export function fit(canvas) {
  const scale = Math.min(devicePixelRatio || 1, 3);
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}
