// The echo: connects when it is first used.

import { find, socketAddress, write } from "./page.js";

const log = find("echo-log");
let socket = null;

find("echo-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("echo-text").value;
  if (socket?.readyState === WebSocket.OPEN) return socket.send(text);
  socket = new WebSocket(socketAddress("/ws"));
  socket.addEventListener("open", () => socket.send(text));
  socket.addEventListener("message", ({ data }) => write(log, data));
});
