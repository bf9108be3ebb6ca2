// The stream of records: a head (JSON) and the bytes that belong to it; made again by itself whenever it is lost.

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 4000;
const SILENT_MS = 4000; // the appliance says something every second
const HIDDEN_MS = 15000; // nobody looks: stop the work that pictures are

/** Cuts a stream of bytes into records. */
export class Records {
  #bytes = new Uint8Array(1 << 18);
  #from = 0;
  #to = 0;

  *push(piece) {
    this.#keep(piece);
    while (this.#to - this.#from >= 8) {
      const view = new DataView(this.#bytes.buffer, this.#from);
      const head = view.getUint32(0);
      const body = view.getUint32(4);
      if (this.#to - this.#from < 8 + head + body) return;
      const start = this.#from + 8;
      const document = JSON.parse(new TextDecoder().decode(this.#bytes.subarray(start, start + head)));
      const content = this.#bytes.slice(start + head, start + head + body);
      this.#from = start + head + body;
      yield [document, content];
    }
  }

  #keep(piece) {
    const waiting = this.#to - this.#from;
    if (this.#to + piece.length > this.#bytes.length) {
      const size = Math.max(this.#bytes.length, 2 * (waiting + piece.length));
      const target = size > this.#bytes.length ? new Uint8Array(size) : this.#bytes;
      target.set(this.#bytes.subarray(this.#from, this.#to));
      this.#bytes = target;
      this.#from = 0;
      this.#to = waiting;
    }
    this.#bytes.set(piece, this.#to);
    this.#to += piece.length;
  }
}

/**
 * `heard(document, content)` for every record. `told(state, words)` when the connection changes: "open", "lost"
 * (words say why), "locked" (a password is needed; call `again` after logging in), "paused" (nobody looks).
 */
export function follow(heard, told) {
  let stop = null;
  let wait = FIRST_WAIT_MS;
  let timer = 0;
  let hidden = 0;

  async function read() {
    const ending = new AbortController();
    stop = ending;
    let silence = setTimeout(() => ending.abort("silent"), 2 * SILENT_MS);
    try {
      const answer = await fetch("/api/live", { signal: ending.signal, cache: "no-store" });
      if (answer.status === 401) return told("locked");
      if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `status ${answer.status}`);
      const reader = answer.body.getReader();
      const records = new Records();
      let begun = false;
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the appliance has ended");
        clearTimeout(silence);
        silence = setTimeout(() => ending.abort("silent"), SILENT_MS);
        if (!begun) told("open");
        begun = true;
        wait = FIRST_WAIT_MS;
        for (const [document, content] of records.push(value)) heard(document, content);
      }
    } catch (error) {
      if (ending.signal.reason === "hidden") return told("paused");
      told("lost", ending.signal.reason === "silent" ? "it says nothing any more" : reason(error));
      timer = setTimeout(read, wait);
      wait = Math.min(LONGEST_WAIT_MS, wait * 1.7);
    } finally {
      clearTimeout(silence);
      if (stop === ending) stop = null;
    }
  }

  function again() {
    clearTimeout(timer);
    if (stop === null) read();
  }

  addEventListener("online", again);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(() => {
        clearTimeout(timer);
        stop?.abort("hidden");
        if (stop === null) told("paused");
      }, HIDDEN_MS);
    } else {
      again();
    }
  });
  read();
  return { again };
}

function reason(error) {
  return error instanceof TypeError ? "it cannot be reached" : error.message;
}

/** Give a command; resolves to its data, throws an Error with the appliance's own words. */
export async function ask(path, document) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(document),
    });
  } catch {
    throw new Error("the appliance cannot be reached");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error ?? `the appliance answered ${answer.status}`);
  return said.data;
}
