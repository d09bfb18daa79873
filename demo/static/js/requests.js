// The cards that ask once and show the answer: external data, response time, packed bodies, the two mounted applications.

import { ask, explain, find, say, write } from "./page.js";

find("external-run").addEventListener("click", async () => {
  const reply = await ask("/external-data");
  say(find("external-state"), reply.ok ? `200 in ${Math.round(reply.ms)} ms` : explain(reply), reply.ok);
  if (reply.ok) find("external-log").replaceChildren();
  for (const falcon of reply.body.falcons ?? []) write(find("external-log"), `${falcon.name}, ${falcon.length_cm} cm`);
});

find("timed-delay").addEventListener("input", ({ target }) => { find("timed-label").textContent = target.value; });
find("timed-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await ask(`/timed/?delay_ms=${find("timed-delay").value}`);
  write(find("timed-log"), `server ${reply.headers.get("X-Response-Time")}, round trip ${reply.ms.toFixed(2)}ms`);
});

async function pack(text) {
  return new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
}

async function post(body, coding = "gzip") {
  const headers = { "Content-Type": "application/json", "Content-Encoding": coding };
  const reply = await ask("/gzip/numbers", { method: "POST", headers, body });
  const text = reply.ok ? `${reply.body.count} numbers, mean ${reply.body.mean.toFixed(3)}` : explain(reply);
  write(find("gzip-log"), `${body.byteLength ?? body.length} bytes sent -> ${text}`, { className: reply.ok ? "" : "bad" });
}

find("gzip-good").addEventListener("click", async () => {
  await post(await pack(JSON.stringify({ numbers: Array.from({ length: 2000 }, (_, at) => at / 100) })));
});
find("gzip-bad").addEventListener("click", () => post('{"numbers": [1, 2, 3]}'));
find("gzip-bomb").addEventListener("click", async () => post(await pack(" ".repeat(10_000_000))));
find("gzip-coding").addEventListener("click", () => post('{"numbers": [1, 2, 3]}', "br"));

find("public-run").addEventListener("click", async () => {
  const reply = await ask("/public/products/");
  find("public-log").replaceChildren();
  for (const product of reply.body) write(find("public-log"), `${product.price.toFixed(2).padStart(8)}  ${product.name}`);
});
find("public-missing").addEventListener("click", async () => {
  const reply = await ask("/public/products/unicorn");
  write(find("public-log"), `${reply.headers.get("Content-Type")}\n${JSON.stringify(reply.body)}`, { className: "bad" });
});

find("internal-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await ask("/internal/metrics/", { headers: { "X-Internal-Key": find("internal-key").value } });
  find("internal-log").replaceChildren();
  if (!reply.ok) return write(find("internal-log"), explain(reply), { className: "bad" });
  for (const [name, value] of Object.entries(reply.body)) write(find("internal-log"), `${name}: ${JSON.stringify(value)}`);
});
