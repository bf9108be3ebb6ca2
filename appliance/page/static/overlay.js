// What is drawn over a picture: boxes, tracks, outlines, joints, zones, privacy masks. Everything is given in pixels of
// the picture and scaled to those of the screen, so a box lies where the appliance says, at any size.

import { hueOf } from "./dom.js";

const TRAIL_MS = 2500;

/** Where numbered objects have been, for their trails. */
export class Trails {
  #tracks = new Map();

  note(detections, now) {
    for (const each of detections) {
      if (each.track === undefined) continue;
      const [left, top, right, bottom] = each.box;
      const trail = this.#tracks.get(each.track) ?? [];
      trail.push({ x: (left + right) / 2, y: (top + bottom) / 2, at: now });
      this.#tracks.set(each.track, trail);
    }
    for (const [track, trail] of this.#tracks) {
      while (trail.length && now - trail[0].at > TRAIL_MS) trail.shift();
      if (!trail.length) this.#tracks.delete(track);
    }
  }

  of(track) {
    return this.#tracks.get(track) ?? [];
  }
}

/**
 * `said`: results about this picture, or a little older ones, which are drawn faintly because they are not of it.
 * `scale`: pixels of the canvas per pixel of the picture; `unit`: those per CSS pixel.
 */
export function draw(context, { said, zones, masks, trails, scale, unit }) {
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.lineJoin = "round";
  for (const mask of masks) hatch(context, mask, scale, unit);
  for (const zone of zones) outline(context, zone, scale, unit);
  for (const { detections, exact } of said) {
    context.globalAlpha = exact ? 1 : 0.45;
    context.setLineDash(exact ? [] : [6 * unit, 4 * unit]);
    for (const each of detections) {
      const hue = hueOf(each.label);
      const line = `hsl(${hue} 90% 62%)`;
      trail(context, trails.of(each.track), hue, scale, unit);
      shape(context, each, hue, line, scale, unit);
    }
    context.setLineDash([]);
    for (const each of captions(context, detections, scale, unit)) caption(context, each, unit);
    context.globalAlpha = 1;
  }
}

function path(context, points, scale, close = true) {
  context.beginPath();
  points.forEach(([x, y], index) => context[index ? "lineTo" : "moveTo"](x * scale, y * scale));
  if (close) context.closePath();
}

function shape(context, each, hue, line, scale, unit) {
  for (const polygon of each.mask?.polygons ?? []) {
    path(context, polygon, scale);
    context.fillStyle = `hsl(${hue} 90% 55% / 0.3)`;
    context.fill();
  }
  if (each.corners) path(context, each.corners, scale);
  else {
    const [left, top, right, bottom] = each.box;
    context.beginPath();
    context.rect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
  }
  context.strokeStyle = "rgb(0 0 0 / 0.55)"; // seen on bright pictures as well
  context.lineWidth = 3.5 * unit;
  context.stroke();
  context.strokeStyle = line;
  context.lineWidth = 2 * unit;
  context.stroke();
  context.fillStyle = line;
  for (const { x, y, score } of each.pose?.points ?? []) {
    if (score < 0.3) continue;
    context.beginPath();
    context.arc(x * scale, y * scale, 3 * unit, 0, 7);
    context.fill();
  }
}

function trail(context, places, hue, scale, unit) {
  if (places.length < 2) return;
  context.lineWidth = 2 * unit;
  for (let index = 1; index < places.length; index++) {
    context.strokeStyle = `hsl(${hue} 90% 62% / ${(0.7 * index) / places.length})`;
    context.beginPath();
    context.moveTo(places[index - 1].x * scale, places[index - 1].y * scale);
    context.lineTo(places[index].x * scale, places[index].y * scale);
    context.stroke();
  }
}

/** Where captions lie, and what they say: one after the other, each as long as those before and its neighbours' leave
 * room for. */
export function captions(context, detections, scale, unit) {
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  const own = detections.map((each) => place(context, each, each.label, scale, unit));
  const taken = [];
  return detections.map((each, index) => {
    const percent = `${Math.round(each.score * 100)}%`;
    const number = each.track === undefined ? "" : ` #${each.track}`;
    const lengths = [`${each.label}${number} ${percent}`, `${each.label} ${percent}`, each.label];
    const places = lengths.map((words) => place(context, each, words, scale, unit));
    const others = [...taken, ...own.filter((_, other) => other !== index)];
    const free = places.find((one) => !others.some((other) => meet(one, other))) ?? own[index];
    taken.push(free);
    return { ...free, hue: hueOf(each.label) };
  });
}

/** Where a caption of these words lies: above its box, or below one that is at the top. */
function place(context, each, words, scale, unit) {
  const width = context.measureText(words).width + 10 * unit;
  const height = 18 * unit;
  const [left, top, , bottom] = each.box;
  const above = top * scale - height - unit;
  const x = Math.max(0, Math.min(left * scale - unit, context.canvas.width - width));
  const y = above >= 0 ? above : Math.min(bottom * scale + unit, context.canvas.height - height);
  return { words, x, y, width, height };
}

function meet(one, other) {
  return one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height;
}

function caption(context, { words, x, y, width, height, hue }, unit) {
  context.fillStyle = `hsl(${hue} 85% 68%)`;
  context.beginPath();
  context.roundRect(x, y, width, height, 4 * unit);
  context.fill();
  context.fillStyle = "#0b1220";
  context.textBaseline = "middle";
  context.fillText(words, x + 5 * unit, y + height / 2 + unit / 2);
}

function outline(context, zone, scale, unit) {
  path(context, zone.polygon, scale);
  context.fillStyle = "rgb(250 204 21 / 0.08)";
  context.fill();
  context.setLineDash([8 * unit, 5 * unit]);
  context.strokeStyle = "rgb(250 204 21 / 0.9)";
  context.lineWidth = 1.5 * unit;
  context.stroke();
  context.setLineDash([]);
  const [x, y] = zone.polygon.reduce((best, point) => (point[1] < best[1] ? point : best));
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  context.textBaseline = "top";
  const place = [Math.max(4 * unit, x * scale + 6 * unit), Math.max(4 * unit, y * scale + 5 * unit)];
  context.strokeStyle = "rgb(0 0 0 / 0.7)";
  context.lineWidth = 3 * unit;
  context.strokeText(zone.name, ...place);
  context.fillStyle = "#fde047";
  context.fillText(zone.name, ...place);
}

function hatch(context, mask, scale, unit) {
  context.save();
  path(context, mask, scale);
  context.clip();
  context.strokeStyle = "rgb(148 163 184 / 0.35)";
  context.lineWidth = unit;
  const { width, height } = context.canvas;
  context.beginPath();
  for (let x = -height; x < width; x += 10 * unit) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  context.restore();
}
