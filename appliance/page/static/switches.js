// What may be changed while it runs; the appliance's own word, not the click, moves a switch.

import { el, say } from "./dom.js";
import { ask } from "./stream.js";

/** Switches of one source and its pipelines, and `set(path, value)` for the states that the appliance tells. */
export class Switches {
  constructor(source, pipelines, complain) {
    this.#complain = complain;
    const rows = [this.#toggle(`source/${source.name}`, "enabled", source.kind === "camera" ? "Camera on" : "Microphone on")];
    for (const pipeline of pipelines) {
      rows.push(el("fieldset", {}, el("legend", {}, pipeline.name),
        this.#toggle(`pipeline/${pipeline.name}`, "enabled", "Answers"),
        source.kind === "camera" ? this.#toggle(`pipeline/${pipeline.name}`, "snapshot", "Publishes snapshots") : null,
        this.#threshold(`pipeline/${pipeline.name}`)));
    }
    this.element = el("details", { class: "controls" }, el("summary", {}, "Controls"), ...rows);
  }

  #complain;
  #takers = new Map(); // path: [state => …]

  set(path, state) {
    for (const take of this.#takers.get(path) ?? []) take(state);
  }

  #taker(path, take) {
    this.#takers.set(path, [...(this.#takers.get(path) ?? []), take]);
  }

  async #ask(path, change, undo) {
    try {
      await ask(`/api/${path}/set`, change);
    } catch (error) {
      undo();
      this.#complain(error.message);
    }
  }

  #toggle(path, key, words) {
    const box = el("input", { type: "checkbox", role: "switch", disabled: true });
    let told = false;
    box.addEventListener("change", () => this.#ask(path, { [key]: box.checked }, () => { box.checked = told; }));
    this.#taker(`${path}/state`, (state) => {
      box.disabled = state === null;
      told = Boolean(state?.[key]);
      box.checked = told;
    });
    return el("label", { class: "switch" }, box, el("span", {}, words));
  }

  #threshold(path) {
    const value = el("output", {}, "the model's own");
    const slider = el("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0.5, disabled: true });
    const reset = el("button", { type: "button", class: "plain small", disabled: true }, "the model's own");
    let told = null;
    const write = (threshold) => {
      slider.value = threshold ?? 0.5;
      slider.classList.toggle("unset", threshold === null);
      say(value, threshold === null ? "the model's own" : Number(threshold).toFixed(2));
      reset.disabled = threshold === null;
    };
    slider.addEventListener("input", () => { say(value, Number(slider.value).toFixed(2)); });
    slider.addEventListener("change", () => this.#ask(path, { threshold: Number(slider.value) }, () => write(told)));
    reset.addEventListener("click", () => this.#ask(path, { threshold: null }, () => write(told)));
    this.#taker(`${path}/state`, (state) => {
      slider.disabled = state === null;
      told = state?.threshold ?? null;
      write(told);
    });
    return el("div", { class: "threshold" }, el("label", {}, el("span", {}, "Least score ", value), slider), reset);
  }
}
