// The page: records go to whom they concern; once a second everything says how old it is.

import { Camera } from "./camera.js";
import { byId, el, mark, say, show } from "./dom.js";
import { Clips } from "./clips.js";
import { Events } from "./events.js";
import { glance } from "./glance.js";
import { Latency } from "./latency.js";
import { Microphone } from "./microphone.js";
import { ask, follow } from "./stream.js";
import { Switches } from "./switches.js";

const LIVE_MS = 3000; // events that are older when they come are history

const page = { cameras: new Map(), microphones: new Map(), latency: new Latency(), events: new Events(), clips: new Clips(), state: "connecting", health: null };
const switches = [];
let described = "";
let published = false;
let lostAt = ""; // in words: a sentence that changes every second would be read aloud every second
let lostWords = "";
let toast = 0;

/** For support and tests: what is on the screen right now. */
globalThis.livePage = page;

const takers = {
  hello: describe,
  picture: (head, jpeg) => {
    page.cameras.get(head.source)?.picture(head, jpeg);
    head.results.forEach((result) => page.latency.result(result));
  },
  result: (result) => {
    (page.cameras.get(result.source) ?? page.microphones.get(result.source))?.result(result);
    page.latency.result(result);
  },
  sound: (head, columns) => page.microphones.get(head.source)?.sound(head, columns),
  event: (event, jpeg) => {
    const live = Math.abs(Date.now() - Date.parse(event.at)) < LIVE_MS;
    if (page.events.add(event, jpeg)) page.microphones.get(event.source)?.event(event, live);
  },
  gap: (gap) => page.events.add(gap, new Uint8Array()),
  health: (health) => standing(health),
  state: ({ path, value }) => switches.forEach((each) => each.set(path, value)),
};

const stream = follow(
  (document, content) => takers[document.type]?.(document, content),
  (state, words = "") => {
    page.state = state;
    if (state === "lost" && !lostAt) lostAt = new Date().toLocaleTimeString();
    if (state !== "lost") lostAt = "";
    lostWords = words;
    show(byId("login"), state === "locked");
    show(byId("main"), state !== "locked" && described !== "");
    if (state === "locked") byId("password").focus();
    settle();
  },
);

function describe(hello) {
  const { type: _type, ...document } = hello;
  const fresh = JSON.stringify(document);
  published = hello.published;
  show(byId("main"), true);
  if (fresh === described) return;
  described = fresh;
  window.document.title = `${hello.device} · Appliance`;
  say(byId("device"), hello.device);
  say(byId("version"), `version ${hello.version}`);
  show(byId("logout"), hello.locked);
  page.cameras.clear();
  page.microphones.clear();
  switches.length = 0;
  for (const source of hello.sources) {
    const users = hello.pipelines.filter((pipeline) => pipeline.source === source.name);
    const controls = new Switches(source, users, complain);
    switches.push(controls);
    const made = source.kind === "camera" ? new Camera(source, users, controls.element) : new Microphone(source, users, controls.element);
    (source.kind === "camera" ? page.cameras : page.microphones).set(source.name, made);
  }
  for (const kind of ["cameras", "microphones"]) {
    byId(kind).replaceChildren(...[...page[kind].values()].map((each) => each.element));
    mark(byId(kind), "many", String(page[kind].size > 1));
    show(byId(`${kind}-section`), page[kind].size > 0);
  }
  page.latency.pipelines(hello.pipelines.map((pipeline) => pipeline.name));
}

function standing(health) {
  page.health = health;
  glance(health, published);
  page.clips.standing(health.recorder ?? {});
  for (const [name, source] of Object.entries(health.sources)) {
    (page.cameras.get(name) ?? page.microphones.get(name))?.status(source.status, source.reason);
  }
  settle();
}

/** The pill at the top and the list of what is wrong. */
function settle() {
  const now = performance.now();
  const lost = page.state === "lost";
  for (const each of [...page.cameras.values(), ...page.microphones.values()]) each.settle(now, lost || page.state === "paused");
  const pill = byId("standing");
  const trouble = byId("trouble");
  const words = { connecting: "connecting…", lost: "connection lost", locked: "locked", paused: "paused" };
  const status = page.state === "open" ? (page.health?.status ?? "wait") : page.state;
  mark(pill, "state", status);
  say(pill, words[status] ?? { ok: "all is well", degraded: "degraded", failed: "failed", wait: "connecting…" }[status] ?? status);
  let reasons = page.state === "open" ? [...(page.health?.reasons ?? [])] : [];
  if (lost) reasons = [`The connection to the appliance is lost since ${lostAt} (${lostWords}); trying again. What is shown is old.`];
  const restart = page.health?.restart_required ?? [];
  if (page.state === "open" && restart.length) reasons.push(`changed in the configuration and waiting for a restart: ${restart.join(", ")}`);
  const text = reasons.join("\n");
  if (trouble.dataset.text !== text) {
    trouble.dataset.text = text;
    trouble.replaceChildren(el("ul", {}, ...reasons.map((reason) => el("li", {}, reason))));
  }
  mark(trouble, "state", lost || status === "failed" ? "bad" : "warn");
  show(trouble, reasons.length > 0);
}

function complain(words) {
  const place = byId("toast");
  say(place, words);
  place.classList.add("shown");
  clearTimeout(toast);
  toast = setTimeout(() => { place.classList.remove("shown"); say(place, ""); }, 6000);
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  say(byId("login-trouble"), "");
  try {
    await ask("/api/login", { password: byId("password").value });
    byId("password").value = "";
    stream.again();
  } catch (error) {
    say(byId("login-trouble"), error.message);
    byId("password").select();
  }
});

byId("logout").addEventListener("click", async () => {
  await ask("/api/logout", {}).catch((error) => complain(error.message));
  location.reload();
});

setInterval(settle, 1000);
