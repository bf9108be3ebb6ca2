// What happened, newest first, with a small picture where there is one.

import { byId, el } from "./dom.js";

const MOST = 60;
const SIGNS = { new: "+", update: "~", end: "−", gap: "!" };
const WORDS = { new: "new", update: "update", end: "ended", gap: "lost" };

export class Events {
  constructor() {
    const updates = byId("updates");
    const apply = () => byId("events").classList.toggle("with-updates", updates.checked);
    updates.addEventListener("change", apply);
    this.#list.replaceChildren(el("li", { class: "none" }, "nothing has happened yet"));
  }

  #list = byId("events");
  #known = new Set();

  /** Whether it was not known yet: after a lost connection the newest are told again. */
  add(event, jpeg) {
    const kind = event.type === "gap" ? "gap" : event.event;
    const key = `${event.id ?? event.at}/${kind}/${event.seq ?? event.first}`;
    if (this.#known.has(key)) return false;
    this.#known.add(key);
    this.#list.querySelector(".none")?.remove();
    const item = this.#item(event, kind, jpeg);
    item.dataset.key = key;
    this.#list.prepend(item);
    while (this.#list.children.length > MOST) {
      const last = this.#list.lastElementChild;
      const image = last.querySelector("img");
      if (image) URL.revokeObjectURL(image.src);
      this.#known.delete(last.dataset.key);
      last.remove();
    }
    return true;
  }

  #item(event, kind, jpeg) {
    const state = event.after ?? event.before ?? {};
    const label = kind === "gap" ? `${event.count} documents were lost` : state.label;
    const at = new Date(event.at);
    const time = el("time", { dateTime: event.at, title: at.toLocaleString() }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
    const place = [event.pipeline, event.track === undefined ? null : `#${event.track}`, state.zones?.length ? `in ${state.zones.join(", ")}` : null, kind === "end" ? `after ${event.seconds.toFixed(1)} s` : null];
    const picture = jpeg.length
      ? el("img", { src: URL.createObjectURL(new Blob([jpeg], { type: "image/jpeg" })), alt: `Picture of ${label}`, width: 44, height: 44, loading: "lazy" })
      : el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]);
    return el(
      "li",
      { data: { kind } },
      picture,
      el("div", {}, el("p", { class: "what" }, el("strong", {}, label), el("span", { class: "kind" }, WORDS[kind])), el("p", { class: "quiet" }, [...place.filter(Boolean), event.reason].join(" · "))),
      time,
    );
  }
}
