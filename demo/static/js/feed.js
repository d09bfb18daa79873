// The feed: signs in, connects with the token, answers pings unless told not to.

import { explain, find, say, signIn, socketAddress, write } from "./page.js";

const [log, state, channels, connect, intrude, nonsense] = [
  "feed-log", "feed-state", "feed-channels", "feed-connect", "feed-intrude", "feed-nonsense",
].map(find);
let socket = null;

connect.addEventListener("click", async () => {
  if (socket) return socket.close();
  const answer = await signIn("viewer", "viewer-password");
  if (!answer.ok) return say(state, explain(answer), false);
  open(`/ws/feed?token=${encodeURIComponent(answer.body.access_token)}`);
});

intrude.addEventListener("click", () => open("/ws/feed"));
nonsense.addEventListener("click", () => socket?.send('{"type": "fly", "to": '));

for (const box of channels.querySelectorAll("input")) {
  box.addEventListener("change", () => tell({ type: box.checked ? "subscribe" : "unsubscribe", channel: box.value }));
}

function tell(command) {
  socket?.send(JSON.stringify(command));
}

function open(path) {
  socket = new WebSocket(socketAddress(path));
  let opened = false;
  intrude.disabled = true;
  socket.addEventListener("open", () => {
    opened = true;
    channels.disabled = nonsense.disabled = false;
    connect.textContent = "Disconnect";
    say(state, "connected", true);
  });
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(data);
    write(log, data, { className: frame.type === "error" ? "bad" : frame.type === "event" ? "" : "aside", keep: 60 });
    if (frame.type === "ping" && find("feed-answer").checked) tell({ type: "pong" });
  });
  socket.addEventListener("close", ({ code, reason }) => {
    socket = null;
    channels.disabled = nonsense.disabled = true;
    intrude.disabled = false;
    for (const box of channels.querySelectorAll("input")) box.checked = false;
    connect.textContent = "Sign in as viewer and connect";
    // A browser does not tell a script with which status a connection was refused.
    if (!opened) say(state, "refused before it opened", false);
    else say(state, code === 1005 ? "not connected" : `closed: ${code} ${reason}`, code === 1005);
  });
}
