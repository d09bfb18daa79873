// The assistant: an answer word by word, which can be stopped; or the same in one piece.

import { ask, asJSON, explain, find, readEvents, say } from "./page.js";

const [answer, state, stop, start] = ["assistant-answer", "assistant-state", "assistant-stop", "assistant-ask"].map(find);
let running = null;

find("assistant-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  running?.abort();
  running = new AbortController();
  await stream(find("assistant-prompt").value, running.signal);
});

stop.addEventListener("click", () => running?.abort());

find("assistant-whole").addEventListener("click", async () => {
  running?.abort();
  answer.textContent = "";
  const reply = await ask("/chat", asJSON({ prompt: find("assistant-prompt").value, stream: false, max_tokens: 50 }));
  if (!reply.ok) return say(state, explain(reply), false);
  answer.textContent = reply.body.choices[0].message.content;
  say(state, `${reply.body.model}, in one piece after ${Math.round(reply.ms)} ms`, true);
});

async function stream(prompt, signal) {
  const started = performance.now();
  let [tokens, first] = [0, 0];
  answer.textContent = "";
  busy(true);
  say(state, "thinking");
  try {
    const response = await fetch("/chat", { ...asJSON({ prompt, max_tokens: 90 }), signal });
    if (!response.ok) return say(state, explain({ status: response.status, body: await response.json() }), false);
    for await (const { data } of readEvents(response)) {
      if (data === "[DONE]") {
        return say(state, `done: ${tokens} tokens, the first after ${Math.round(first)} ms`, true);
      }
      const chunk = JSON.parse(data);
      if (chunk.error) return say(state, chunk.error.message, false);
      const piece = chunk.choices[0].delta.content;
      if (piece) {
        first ||= performance.now() - started;
        tokens += 1;
        answer.append(piece);
      }
    }
    say(state, "the stream broke off", false);
  } catch (error) {
    say(state, error.name === "AbortError" ? `stopped after ${tokens} tokens; the server has stopped, too` : String(error), false);
  } finally {
    busy(false);
  }
}

function busy(yes) {
  answer.classList.toggle("busy", yes);
  stop.disabled = !yes;
  start.disabled = yes;
}
