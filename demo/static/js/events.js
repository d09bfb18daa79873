// Server-sent events, read by hand so that one can interrupt them and see them go on where they stopped.

import { find, readEvents, say, write } from "./page.js";

const RECONNECT_MS = 1000;
const [log, state, toggle] = ["events-log", "events-state", "events-toggle"].map(find);
let lastId = null;
let running = null;

let wanted = true;

toggle.addEventListener("click", () => {
  wanted = !running;
  if (running) interrupt();
  else listen();
});

// A browser opens six connections to a server and no more. A tab that nobody looks at gives its one back; nothing is lost by it.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && running) interrupt();
  else if (!document.hidden && !running && wanted) listen();
});

if (!document.hidden) listen();

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
