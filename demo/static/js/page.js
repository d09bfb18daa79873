// What the other scripts share: finding elements, writing into logs, asking the server, reading an event stream.

export const find = (id) => document.getElementById(id);

export const socketAddress = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;

/** Appends a line to a log and keeps the newest in view. Text is set as text: what others wrote never becomes markup. */
export function write(log, text, { name = "", className = "", keep = 200 } = {}) {
  const line = document.createElement("li");
  if (className) line.className = className;
  if (name) {
    const speaker = document.createElement("b");
    speaker.textContent = `${name}: `;
    line.append(speaker);
  }
  line.append(text);
  log.append(line);
  while (log.children.length > keep) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
}

export function say(output, text, good) {
  output.textContent = text;
  output.classList.toggle("good", good === true);
  output.classList.toggle("bad", good === false);
}

/** Asks the server. Never throws for an HTTP error: that is what half of this page wants to see. */
export async function ask(path, options = {}) {
  const started = performance.now();
  const response = await fetch(path, options);
  const text = await response.text();
  let body = text;
  try { body = JSON.parse(text); } catch { /* not every answer is JSON */ }
  return { ok: response.ok, status: response.status, headers: response.headers, body, ms: performance.now() - started };
}

export const asJSON = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** The message of an error, whichever of the three applications answered. */
export function explain({ status, body }) {
  if (body?.error) {
    const details = (body.error.details ?? []).map((one) => `${one.loc.slice(1).join(".")}: ${one.msg}`);
    return `${status} ${body.error.code}: ${details.join("; ") || body.error.message}`;
  }
  return `${status} ${body?.title ?? String(body).trim()}`;
}

export async function signIn(username, password) {
  return ask("/token", { method: "POST", body: new URLSearchParams({ username, password }) });
}

/** The events of a stream, as {id, data}. `EventSource` would do for GET, but it can neither POST nor be told where to go on. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = { id: null, data: [] };
      for (const line of block.split("\n")) {
        if (line.startsWith("data:")) event.data.push(line.slice(5).trimStart());
        if (line.startsWith("id:")) event.id = line.slice(3).trim();
      }
      if (event.data.length) yield { id: event.id, data: event.data.join("\n") };
    }
  }
}
