// The chat room: one WebSocket, JSON in, text out.

import { find, say, socketAddress, write } from "./page.js";

const NAMES = ["merlin", "hobby", "saker", "lanner", "kestrel", "gyr", "peregrine", "aplomado", "laggar", "sooty"];
const [log, state, toggle, text, send] = ["chat-log", "chat-state", "chat-toggle", "chat-text", "chat-send"].map(find);
let socket = null;

find("chat-name").value = `${NAMES[Math.floor(Math.random() * NAMES.length)]}-${Math.floor(Math.random() * 90) + 10}`;

find("chat-join").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket) socket.close();
  else join(find("chat-name").value);
});

find("chat-say").addEventListener("submit", (event) => {
  event.preventDefault();
  socket?.send(text.value);
  text.value = "";
});

function join(name) {
  socket = new WebSocket(socketAddress(`/ws/chat/${encodeURIComponent(name)}`));
  toggle.textContent = "Leave";
  say(state, "joining");
  socket.addEventListener("open", () => {
    text.disabled = send.disabled = false;
    text.focus();
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "message") write(log, message.text, { name: message.from });
    else if (message.type === "error") write(log, message.error.message, { className: "bad" });
    else write(log, message.text, { className: "aside" });
    if (message.here) {
      const others = message.members - message.here.length;
      say(state, `here: ${message.here.join(", ")}${others ? ` and ${others} more` : ""}`, true);
    }
  });
  socket.addEventListener("close", ({ code, reason }) => {
    socket = null;
    toggle.textContent = "Join";
    text.disabled = send.disabled = true;
    say(state, code === 1000 || code === 1005 ? "not in the room" : `closed: ${code} ${reason}`);
  });
}
