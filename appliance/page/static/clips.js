// What the recorder kept: newest first; a clip opens in a player with a link to take it along.

import { byId, el, say, show } from "./dom.js";

export class Clips {
  #list = byId("clips");
  #seen = "";
  #player = byId("player");

  constructor() {
    byId("player-close").addEventListener("click", () => this.#player.close());
    this.#player.addEventListener("close", () => byId("player-stage").replaceChildren());
    this.#player.addEventListener("click", (event) => {
      if (event.target === this.#player) this.#player.close();
    });
  }

  /** From every health document: whether there is anything new to list. */
  standing(recorder) {
    const decks = Object.values(recorder);
    show(byId("clips-section"), decks.length > 0);
    if (!decks.length) return;
    const megabytes = decks.reduce((sum, deck) => sum + deck.bytes, 0) / 1e6;
    const recording = decks.some((deck) => deck.recording) ? "recording now · " : "";
    say(byId("clips-standing"), `${recording}${megabytes < 10 ? megabytes.toFixed(1) : Math.round(megabytes)} MB`);
    const seen = JSON.stringify(decks.map((deck) => [deck.clips, deck.waiting]));
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#look();
  }

  async #look() {
    try {
      const answer = await fetch("/api/clips");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { clips } = await answer.json();
      const items = clips.map((clip) => this.#item(clip));
      this.#list.replaceChildren(...(items.length ? items : [el("li", { class: "none" }, "nothing has been recorded yet")]));
    } catch {
      this.#seen = ""; // with the next health document
    }
  }

  #item(clip) {
    const at = new Date(clip.began_at);
    const what = clip.labels.join(", ");
    const picture = clip.kind === "video"
      ? el("img", { src: address(clip, `${clip.name}.jpg`), alt: "", width: 72, height: 44, loading: "lazy" })
      : el("span", { class: "sign", "aria-hidden": "true" }, "♪");
    const words = el("span", {}, el("strong", {}, what), el("span", { class: "quiet" }, `${clip.pipeline} · ${clip.seconds.toFixed(1)} s${clip.clock === "unsynced" ? " · clock not sure" : ""}`));
    const time = el("time", { dateTime: clip.began_at, title: at.toLocaleString() }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
    return el("li", { data: { clip: clip.name } }, el("button", { class: "clip", type: "button", onclick: () => this.#open(clip, what, at) }, picture, words), time);
  }

  #open(clip, what, at) {
    const source = address(clip, clip.file);
    const kind = clip.kind === "video" ? "video" : "audio";
    const media = el(kind, { src: source, controls: true, autoplay: true, loop: true, muted: kind === "video", "aria-label": `${kind === "video" ? "Video" : "Sound"}: ${what}` });
    say(byId("player-title"), `${what}, ${at.toLocaleString()}`);
    byId("player-stage").replaceChildren(media);
    byId("player-words").replaceChildren(
      `${clip.pipeline}, ${clip.seconds.toFixed(1)} s, ${clip.kept} of ${clip.answers} answers, model ${clip.model.name} ${clip.model.version} · `,
      el("a", { href: source, download: clip.file }, "save"),
      " · ",
      el("a", { href: address(clip, `${clip.name}.jsonl`), download: `${clip.name}.jsonl` }, "answers"),
    );
    this.#player.showModal();
  }
}

const address = (clip, file) => `/api/clip/${clip.pipeline}/${file}`;
