// One camera: its picture with everything that is said of exactly this picture.

import { el, fit, mark, ms, say, show } from "./dom.js";
import { Trails, draw } from "./overlay.js";

const RECENT_MS = 1000; // for so long a result of another picture is still shown, faintly

export class Camera {
  constructor(source, pipelines, controls) {
    this.name = source.name;
    this.drawn = null; // {seq, width, height, results}: what is on the screen
    this.#source = source;
    this.#pipelines = pipelines;
    this.#controls = controls;
    this.element = this.#build();
    new ResizeObserver(() => this.#overlay()).observe(this.#over);
  }

  #source;
  #pipelines;
  #controls;
  #picture;
  #over;
  #state;
  #veil;
  #said = new Map(); // pipeline: {result, at}
  #rows = new Map();
  #trails = new Trails();
  #decoding = false;
  #next = null;
  #arrived = 0;
  #frames = [];

  #build() {
    this.#picture = el("canvas", { width: 16, height: 9, class: "picture", role: "img", "aria-label": `Picture of ${this.name}` });
    this.#over = el("canvas", { class: "over", "aria-hidden": "true" });
    this.#state = el("span", { class: "badge", data: { state: "wait" } }, "waiting");
    this.#veil = el("p", { class: "veil" }, "waiting for the first picture");
    const stage = el("div", { class: "stage" }, this.#picture, this.#over, this.#veil);
    const rows = this.#pipelines.map((pipeline) => {
      const row = { counts: el("span", { class: "chips" }), why: el("p", { class: "why" }) };
      this.#rows.set(pipeline.name, row);
      return el("div", { class: "answer" }, el("p", { class: "answer-head" }, el("strong", {}, pipeline.name), row.counts), row.why);
    });
    const full = el("button", { class: "plain", type: "button", title: "Full screen", "aria-label": `Full screen: ${this.name}`, onclick: () => this.#full(stage) }, "⛶");
    if (!document.fullscreenEnabled) full.hidden = true;
    return el(
      "article",
      { class: "card source", "aria-label": `Camera ${this.name}`, data: { source: this.name } },
      el("div", { class: "card-head" }, el("h3", {}, this.name), this.#state, el("span", { class: "gap" }), full),
      stage,
      ...rows,
      this.#controls,
    );
  }

  #full(stage) {
    if (document.fullscreenElement) document.exitFullscreen();
    else stage.requestFullscreen();
  }

  /** A record `picture`: the newest counts, an older one that is still being decoded is shown first. */
  picture(head, jpeg) {
    this.#arrived = performance.now();
    this.#next = { head, jpeg };
    if (!this.#decoding) this.#decode();
  }

  async #decode() {
    this.#decoding = true;
    try {
      while (this.#next) {
        const { head, jpeg } = this.#next;
        this.#next = null;
        const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
        this.#paint(head, bitmap);
        bitmap.close();
      }
    } finally {
      this.#decoding = false;
    }
  }

  #paint(head, bitmap) {
    if (this.#picture.width !== bitmap.width || this.#picture.height !== bitmap.height) {
      this.#picture.width = bitmap.width;
      this.#picture.height = bitmap.height;
      this.#picture.parentElement.style.setProperty("--ratio", (head.width / head.height).toFixed(5));
    }
    this.#picture.getContext("2d").drawImage(bitmap, 0, 0);
    this.drawn = { seq: head.seq, width: head.width, height: head.height, results: [] };
    for (const result of head.results) this.#note(result);
    const now = performance.now();
    this.#frames = [...this.#frames.filter((at) => now - at < 2000), now];
    this.#overlay();
    this.settle(performance.now());
  }

  /** A result that came without its picture: it may belong to the one that is shown. */
  result(result) {
    this.#note(result);
    this.#overlay();
  }

  #note(result) {
    const now = performance.now();
    this.#said.set(result.pipeline, { result, at: now });
    if (result.detections) this.#trails.note(result.detections, now);
    this.#explain(result);
  }

  #explain(result) {
    const row = this.#rows.get(result.pipeline);
    if (!row) return;
    const counts = new Map();
    for (const each of result.detections ?? result.labels ?? []) counts.set(each.label, (counts.get(each.label) ?? 0) + 1);
    const words = [...counts].sort().map(([label, count]) => (count > 1 ? `${label} × ${count}` : label));
    const failed = result.status === "failed";
    const chips = failed ? ["failed"] : words.length ? words : ["nothing"];
    if (row.shown !== chips.join("\n")) {
      row.shown = chips.join("\n");
      row.counts.replaceChildren(...chips.map((text) => el("span", { class: failed ? "chip bad" : words.length ? "chip" : "chip none" }, text)));
    }
    mark(row.why, "bad", String(failed));
    const who = result.answered_by === "local" ? `here, ${result.engine}` : result.answered_by.replace("remote:", "service ");
    const total = result.latency_ms ? ` · ${ms(result.latency_ms.total)}` : "";
    say(row.why, failed ? result.reason : `${who}${total} · ${result.reason}`);
  }

  #overlay() {
    if (!this.drawn) return;
    fit(this.#over);
    const now = performance.now();
    const said = [];
    this.drawn.results = [];
    for (const { result, at } of this.#said.values()) {
      const exact = result.seq === this.drawn.seq;
      if (exact) this.drawn.results.push(result);
      if (result.detections && (exact || now - at < RECENT_MS)) said.push({ detections: result.detections, exact });
    }
    said.sort((one, other) => one.exact - other.exact);
    draw(this.#over.getContext("2d"), {
      said,
      zones: this.#pipelines.flatMap((pipeline) => pipeline.zones),
      masks: this.#source.masks,
      trails: this.#trails,
      scale: this.#over.width / this.drawn.width,
      unit: this.#over.width / Math.max(1, this.#over.clientWidth),
    });
  }

  status(status, reason) {
    this.#status = status;
    this.#reason = reason;
    this.settle(performance.now());
  }

  #status = "wait";
  #reason = "";

  /** Say plainly how old what is shown is; called now and then. */
  settle(now, lost = false) {
    const age = (now - this.#arrived) / 1000;
    let words = null;
    if (lost) words = this.drawn ? "connection lost: this is the last picture" : "no connection";
    else if (this.#status === "disabled") words = "switched off";
    else if (this.#status === "offline") words = `no picture: ${this.#reason || "the camera does not deliver"}`;
    else if (this.#status === "stale") words = `stale: ${this.#reason || "the picture does not change any more"}`;
    else if (!this.drawn) words = "waiting for the first picture";
    else if (age > this.#source.stale_after_s) words = `no new picture for ${Math.round(age)} s`;
    show(this.#veil, words !== null);
    if (words !== null) say(this.#veil, words);
    mark(this.#veil.parentElement, "old", String(words !== null));
    const rate = this.#frames.filter((at) => now - at < 2000).length / 2;
    const state = lost ? "lost" : this.#status === "online" && words !== null && this.drawn ? "stale" : this.#status;
    mark(this.#state, "state", state);
    say(this.#state, state === "online" && this.drawn ? `live · ${Math.round(rate)}/s` : state === "wait" ? "waiting" : state);
  }
}
