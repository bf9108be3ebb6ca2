// Where the time goes: a stacked bar for every half second of the last minute, one pipeline at a time.

import { byId, colour, el, fit, mark, ms, say } from "./dom.js";

const STAGES = ["capture", "wait", "travel", "prepare", "infer", "decode"];
const WORDS = { capture: "capture", wait: "wait", travel: "travel", prepare: "prepare", infer: "infer", decode: "decode" };
const BUCKET_MS = 500;
const BUCKETS = 120;

export class Latency {
  constructor() {
    this.bars = 0; // ever begun, of the pipeline that is shown
    byId("latency-legend").replaceChildren(...STAGES.map((stage) => {
      const value = el("b", {}, "–");
      this.#values.set(stage, value);
      return el("li", { data: { stage } }, WORDS[stage], " ", value);
    }), el("li", { data: { stage: "total" } }, "total ", this.#total));
    new ResizeObserver(() => this.draw()).observe(this.#canvas);
    addEventListener("theme", () => this.draw());
    setInterval(() => this.draw(), BUCKET_MS);
  }

  #canvas = byId("latency");
  #values = new Map();
  #total = el("b", {}, "–");
  #pipelines = new Map(); // name: [{at, count, sums, worst}]
  #shown = null;

  pipelines(names) {
    for (const name of [...this.#pipelines.keys()]) if (!names.includes(name)) this.#pipelines.delete(name);
    for (const name of names) if (!this.#pipelines.has(name)) this.#pipelines.set(name, []);
    if (!names.includes(this.#shown)) this.#shown = names[0] ?? null;
    byId("latency-tabs").replaceChildren(...names.map((name) =>
      el("button", { type: "button", class: "tab", "aria-pressed": String(name === this.#shown), onclick: () => this.#choose(name) }, name)));
    this.draw();
  }

  #choose(name) {
    this.#shown = name;
    this.bars = 0;
    for (const tab of byId("latency-tabs").children) tab.setAttribute("aria-pressed", String(tab.textContent === name));
    this.draw();
  }

  result(result) {
    const buckets = this.#pipelines.get(result.pipeline);
    if (!buckets || !result.latency_ms) return;
    const at = Math.floor(performance.now() / BUCKET_MS);
    let bucket = buckets.at(-1);
    if (!bucket || bucket.at !== at) {
      bucket = { at, count: 0, sums: Object.fromEntries(STAGES.map((stage) => [stage, 0])), totals: 0, worst: 0 };
      buckets.push(bucket);
      if (result.pipeline === this.#shown) this.bars += 1;
      while (buckets.length && at - buckets[0].at > BUCKETS) buckets.shift();
    }
    bucket.count += 1;
    for (const stage of STAGES) bucket.sums[stage] += Math.max(0, result.latency_ms[stage] ?? 0);
    bucket.totals += Math.max(0, result.latency_ms.total);
    bucket.worst = Math.max(bucket.worst, result.latency_ms.total);
  }

  draw() {
    const canvas = this.#canvas;
    if (!canvas.clientWidth) return;
    fit(canvas);
    const context = canvas.getContext("2d");
    const unit = canvas.width / canvas.clientWidth;
    const now = performance.now() / BUCKET_MS;
    const buckets = (this.#pipelines.get(this.#shown) ?? []).filter(({ at }) => now - at < BUCKETS);
    const area = { left: 44 * unit, right: canvas.width - 2 * unit, top: 8 * unit, bottom: canvas.height - 20 * unit };
    const most = nice(Math.max(1, ...buckets.map((bucket) => bucket.totals / bucket.count), usual(buckets)));
    context.clearRect(0, 0, canvas.width, canvas.height);
    this.#grid(context, area, most, unit);
    const step = (area.right - area.left) / BUCKETS;
    for (const bucket of buckets) {
      const x = area.right - (now - bucket.at) * step;
      if (x < area.left) continue;
      let y = area.bottom;
      for (const stage of STAGES) {
        const height = (bucket.sums[stage] / bucket.count / most) * (area.bottom - area.top);
        context.fillStyle = colour(`--stage-${stage}`);
        context.fillRect(x, y - height, Math.max(1, step - unit * 0.75), height);
        y -= height;
      }
      context.fillStyle = colour("--quiet");
      context.fillRect(x, area.bottom - Math.min(1, bucket.worst / most) * (area.bottom - area.top), Math.max(1, step - unit * 0.75), 1.5 * unit);
    }
    this.#figures(buckets);
  }

  #grid(context, area, most, unit) {
    context.font = `${11 * unit}px system-ui, sans-serif`;
    context.fillStyle = colour("--quiet");
    context.strokeStyle = colour("--line");
    context.lineWidth = unit;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let part = 0; part <= 4; part++) {
      const y = Math.round(area.bottom - (part / 4) * (area.bottom - area.top)) + 0.5;
      context.beginPath();
      context.moveTo(area.left, y);
      context.lineTo(area.right, y);
      context.stroke();
      const value = (most * part) / 4;
      const words = part === 0 ? "0 ms" : value >= 10 ? `${Math.round(value)}` : value.toFixed(1);
      context.fillText(words, area.left - 6 * unit, y);
    }
    context.textBaseline = "bottom";
    context.textAlign = "left";
    context.fillText("a minute ago", area.left, context.canvas.height - unit);
    context.textAlign = "right";
    context.fillText("now", area.right, context.canvas.height - unit);
    context.textAlign = "left";
  }

  #figures(buckets) {
    const recent = buckets.slice(-10);
    const count = recent.reduce((sum, bucket) => sum + bucket.count, 0);
    for (const stage of STAGES) {
      const value = count ? recent.reduce((sum, bucket) => sum + bucket.sums[stage], 0) / count : null;
      const element = this.#values.get(stage);
      say(element, value === null ? "–" : ms(value));
      element.parentElement.hidden = stage === "travel" && !value;
    }
    const total = count ? recent.reduce((sum, bucket) => sum + bucket.totals, 0) / count : null;
    say(this.#total, total === null ? "–" : ms(total));
    const label = `Latency per stage of ${this.#shown} during the last minute${total === null ? "" : `: ${ms(total)} in total just now`}`;
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
    mark(this.#canvas, "empty", String(!buckets.length));
  }
}

/** The worst of a half second, as it usually is: one outlier does not flatten everything else. */
function usual(buckets) {
  const worst = buckets.map((bucket) => bucket.worst).sort((one, other) => one - other);
  return worst[Math.floor(worst.length * 0.9)] ?? 1;
}

/** The next round number at or above. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((round) => round >= value * 1.05) ?? 10 * power * 1.2;
}
