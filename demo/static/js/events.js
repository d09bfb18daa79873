// Server-sent events, read by hand so that one can interrupt them and see them go on where they stopped.

import { find, readEvents, say, write } from "./page.js";

const RECONNECT_MS = 1000;
const [log, state, toggle] = ["events-log", "events-state", "events-toggle"].map(find);
let lastId = null;
let running = null;

toggle.addEventListener("click", () => (running ? interrupt() : listen()));
listen();

function interrupt() {
  running.abort();
  running = null;
  toggle.textContent = "Go on";
  say(state, `interrupted after ${lastId}`);
}

async function listen() {
  running = new AbortController();
  const { signal } = running;
  toggle.textContent = "Interrupt";
  while (!signal.aborted) {
    try {
      const response = await fetch("/events", { signal, headers: lastId ? { "Last-Event-ID": lastId } : {} });
      say(state, lastId ? `going on after ${lastId}` : "connected", true);
      for await (const { id, data } of readEvents(response)) {
        lastId = id;
        const { count, time } = JSON.parse(data);
        write(log, `${count}  ${new Date(time).toLocaleTimeString()}`, { keep: 50 });
      }
    } catch {
      if (!signal.aborted) say(state, "the server is away, trying again", false);
    }
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}
