// One microphone: how loud it is, what it sounds like, which words were heard.

import { el, fit, hueOf, mark, ms, say, show } from "./dom.js";

const COLUMNS = 300; // twelve seconds
const WORDS = 12;
const FLOOR_DB = -60; // of the level meter
const QUIET = new Set(["silence", "unknown", "background"]);

/** From dark blue over violet and orange to pale yellow: brighter is louder, in every theme and for every eye. */
const PALETTE = palette([[0, 5, 8, 25], [0.25, 48, 18, 100], [0.5, 142, 41, 110], [0.72, 226, 92, 58], [0.88, 250, 175, 60], [1, 252, 250, 190]]);

function palette(stops) {
  const colours = new Uint8ClampedArray(256 * 4);
  for (let index = 0; index < 256; index++) {
    const at = index / 255;
    const next = stops.findIndex(([place]) => place >= at) || 1;
    const [from, ...low] = stops[next - 1];
    const [to, ...high] = stops[next];
    const share = (at - from) / (to - from);
    low.forEach((value, channel) => { colours[index * 4 + channel] = value + (high[channel] - value) * share; });
    colours[index * 4 + 3] = 255;
  }
  return colours;
}

export class Microphone {
  constructor(source, pipelines, controls) {
    this.name = source.name;
    this.columns = 0; // ever drawn
    this.#source = source;
    this.#pipelines = pipelines;
    this.#controls = controls;
    this.element = this.#build();
  }

  #source;
  #pipelines;
  #controls;
  #spectrum;
  #marks;
  #bar;
  #peak;
  #level;
  #state;
  #veil;
  #words;
  #rows = new Map();
  #heard = []; // {label, column, row}
  #peakDb = -100;
  #peakAt = 0;
  #arrived = 0;
  #status = "wait";
  #reason = "";
  #any = false;

  #build() {
    this.#spectrum = el("canvas", { width: COLUMNS, height: 64, class: "spectrum", role: "img", "aria-label": `Spectrogram of ${this.name}, the newest sound at the right` });
    this.#marks = el("canvas", { class: "over", "aria-hidden": "true" });
    this.#veil = el("p", { class: "veil" }, "waiting for sound");
    this.#bar = el("div", { class: "level-bar" });
    this.#peak = el("div", { class: "level-peak" });
    this.#level = el("div", { class: "level", role: "meter", "aria-label": `Level of ${this.name}`, "aria-valuemin": FLOOR_DB, "aria-valuemax": 0, "aria-valuenow": FLOOR_DB }, this.#bar, this.#peak);
    this.#state = el("span", { class: "badge", data: { state: "wait" } }, "waiting");
    this.#words = el("ol", { class: "words", "aria-label": `Heard by ${this.name}, newest first` }, el("li", { class: "none" }, "nothing heard yet"));
    const rows = this.#pipelines.map((pipeline) => {
      const row = { now: el("span", { class: "chips" }), why: el("p", { class: "why" }) };
      this.#rows.set(pipeline.name, row);
      return el("div", { class: "answer" }, el("p", { class: "answer-head" }, el("strong", {}, pipeline.name), row.now), row.why);
    });
    return el(
      "article",
      { class: "card source", "aria-label": `Microphone ${this.name}`, data: { source: this.name } },
      el("div", { class: "card-head" }, el("h3", {}, this.name), this.#state),
      el("div", { class: "stage sound" }, this.#spectrum, this.#marks, this.#veil),
      this.#level,
      this.#words,
      ...rows,
      this.#controls,
    );
  }

  /** A record `sound`: columns of 64 bands, the lowest first. */
  sound(head, columns) {
    this.#arrived = performance.now();
    this.#any = true;
    if (head.columns) this.#scroll(head, columns);
    this.#loudness(head);
  }

  #scroll(head, columns) {
    const count = Math.min(head.columns, COLUMNS);
    const context = this.#spectrum.getContext("2d");
    context.drawImage(this.#spectrum, -count, 0);
    const fresh = context.createImageData(count, head.bands);
    for (let column = 0; column < count; column++) {
      for (let band = 0; band < head.bands; band++) {
        const value = columns[column * head.bands + band];
        const place = ((head.bands - 1 - band) * count + column) * 4;
        fresh.data.set(PALETTE.subarray(value * 4, value * 4 + 4), place);
      }
    }
    context.putImageData(fresh, COLUMNS - count, 0);
    this.columns += head.columns;
    this.#mark();
  }

  #mark() {
    fit(this.#marks);
    const context = this.#marks.getContext("2d");
    const { width, height } = this.#marks;
    const unit = width / Math.max(1, this.#marks.clientWidth);
    context.clearRect(0, 0, width, height);
    context.font = `600 ${12 * unit}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    this.#heard = this.#heard.filter(({ column }) => this.columns - column < COLUMNS + 60);
    for (const { label, column, row } of this.#heard) {
      const x = width - ((this.columns - column) / COLUMNS) * width;
      const hue = hueOf(label);
      context.fillStyle = `hsl(${hue} 85% 68%)`;
      context.fillRect(x - unit, 0, 2 * unit, height);
      const wide = context.measureText(label).width + 10 * unit;
      const left = Math.min(x, width - wide);
      context.beginPath();
      const top = (4 + 22 * row) * unit;
      context.roundRect(left, top, wide, 18 * unit, 4 * unit);
      context.fill();
      context.fillStyle = "#0b1220";
      context.fillText(label, left + 5 * unit, top + 9.5 * unit);
    }
  }

  #loudness(head) {
    const now = performance.now();
    const share = (db) => Math.max(0, Math.min(1, 1 - db / FLOOR_DB));
    if (head.peak_db > this.#peakDb || now - this.#peakAt > 1500) {
      this.#peakDb = head.peak_db;
      this.#peakAt = now;
    }
    this.#bar.style.transform = `scaleX(${share(head.rms_db)})`;
    this.#peak.style.left = `${share(this.#peakDb) * 100}%`;
    mark(this.#level, "loud", String(this.#peakDb > -1));
    this.#level.setAttribute("aria-valuenow", Math.max(FLOOR_DB, Math.round(head.rms_db)));
    this.#level.setAttribute("aria-valuetext", `${Math.round(head.rms_db)} decibels`);
    this.#level.title = `${Math.round(head.rms_db)} dB, peak ${Math.round(this.#peakDb)} dB of full scale`;
  }

  result(result) {
    const row = this.#rows.get(result.pipeline);
    if (!row) return;
    const failed = result.status === "failed";
    const best = (result.labels ?? []).filter((label) => !QUIET.has(label.label));
    const chips = failed ? ["failed"] : best.length ? best.map((label) => `${label.label} ${Math.round(label.score * 100)}%`) : ["quiet"];
    row.now.replaceChildren(...chips.map((text) => el("span", { class: failed ? "chip bad" : best.length ? "chip" : "chip none" }, text)));
    mark(row.why, "bad", String(failed));
    const who = result.answered_by === "local" ? `here, ${result.engine}` : result.answered_by.replace("remote:", "service ");
    const total = result.latency_ms ? ` · ${ms(result.latency_ms.total)}` : "";
    say(row.why, failed ? result.reason : `${who}${total} · ${result.reason}`);
  }

  /** An event of this source: a sound that has begun is a word heard. */
  event(event, live) {
    if (event.event !== "new" || !event.after) return;
    if (live) this.#heard.push({ label: event.after.label, column: this.columns, row: this.#heard.length % 2 });
    this.#words.querySelector(".none")?.remove();
    const at = new Date(event.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const word = el("li", { title: `${at}, ${Math.round(event.after.score * 100)} % sure` }, event.after.label);
    word.style.setProperty("--hue", hueOf(event.after.label));
    this.#words.prepend(word);
    while (this.#words.children.length > WORDS) this.#words.lastElementChild.remove();
  }

  status(status, reason) {
    this.#status = status;
    this.#reason = reason;
    this.settle(performance.now());
  }

  settle(now, lost = false) {
    const age = (now - this.#arrived) / 1000;
    let words = null;
    if (lost) words = "connection lost";
    else if (this.#status === "disabled") words = "switched off";
    else if (this.#status === "offline") words = `no sound: ${this.#reason || "the microphone does not deliver"}`;
    else if (this.#status === "stale") words = `stale: ${this.#reason || "no new sound"}`;
    else if (!this.#any) words = "waiting for sound";
    else if (age > this.#source.stale_after_s) words = `no new sound for ${Math.round(age)} s`;
    show(this.#veil, words !== null);
    if (words !== null) say(this.#veil, words);
    mark(this.#veil.parentElement, "old", String(words !== null));
    const state = lost ? "lost" : this.#status === "online" && words !== null && this.#any ? "stale" : this.#status;
    mark(this.#state, "state", state);
    say(this.#state, state === "online" ? "live" : state === "wait" ? "waiting" : state);
  }
}
