// How the appliance is: broker, outbox, heat, power, and who answers for each pipeline and why.

import { byId, duration, el, ms } from "./dom.js";

/** Everything anew from a health document; it comes once a second. */
export function glance(health, published) {
  const up = health.uplink ?? {};
  const tiles = [
    tile("Broker", !published ? "none" : up.connected ? "connected" : "away", !published ? "results stay here" : up.broker, !published ? "" : up.connected ? "good" : "bad"),
    tile("Outbox", !published ? "–" : `${up.stored ?? 0} waiting`, !published ? "" : outbox(up), up.disk_full || up.dropped ? "bad" : (up.stored ?? 0) > 500 ? "warn" : ""),
    tile("Temperature", health.temperature_c === undefined ? "–" : `${Math.round(health.temperature_c)} °C`, health.temperature_c === undefined ? "no sensor" : "hottest part", health.temperature_c > 85 ? "bad" : health.temperature_c > 70 ? "warn" : ""),
    tile("Power", health.power?.watts === undefined ? "–" : `${health.power.watts.toFixed(1)} W`, health.power?.joules_per_inference === undefined ? (health.power?.reason ?? "no meter") : `${health.power.joules_per_inference.toFixed(2)} J per answer`),
    tile("Memory", `${Math.round(health.memory_mb)} MB`, "at its peak"),
    tile("Running", duration(health.uptime_s), health.clock === "synced" ? "clock is right" : "clock not synchronised", health.clock === "synced" ? "" : "warn"),
  ];
  byId("glance").replaceChildren(...tiles);
  byId("answers").replaceChildren(answers(health));
}

function tile(name, value, words, state = "") {
  return el("div", { class: "tile", data: { state } }, el("dt", {}, name), el("dd", {}, el("b", {}, value), el("span", { title: words || "" }, words || "")));
}

function outbox(up) {
  const used = `${(up.used_bytes / 1e6).toFixed(1)} of ${Math.round(up.quota_bytes / 1e6)} MB`;
  return up.dropped ? `${up.dropped} dropped, ${used}` : used;
}

function answers(health) {
  const rows = Object.entries(health.pipelines).map(([name, pipeline]) => {
    const side = pipeline.remote?.side;
    const who = !pipeline.enabled ? "off" : side === "remote" ? "service" : pipeline.engine === "none" ? "nobody" : "here";
    const state = !pipeline.enabled ? "disabled" : who === "nobody" ? "failed" : "online";
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, el("span", { class: "badge", data: { state } }, who)),
      el("td", {}, pipeline.enabled && pipeline.engine !== "none" ? pipeline.engine : "–"),
      el("td", { class: "number" }, pipeline.latency_ms === undefined ? "–" : ms(pipeline.latency_ms)),
      el("td", { class: "number" }, String(pipeline.failed)),
    );
  });
  return el(
    "table",
    { class: "answers" },
    el("caption", { class: "hidden" }, "Who answers for each pipeline"),
    el("thead", {}, el("tr", {}, ...["Pipeline", "Answers", "Engine", "Latency", "Failed"].map((text, index) => el("th", { scope: "col", class: index > 2 ? "number" : "" }, text)))),
    el("tbody", {}, ...rows),
  );
}
