// Sign-up with the outbox, and the table of who may do what.

import { ask, asJSON, explain, find, say, signIn, write } from "./page.js";

const USERS = { "(nobody)": null, viewer: "viewer-password", editor: "editor-password", admin: "admin-password" };
const NOBODYS_ID = 9007199254740991; // no user will have it, so that trying the deletion deletes nobody

// -- sign-up -----------------------------------------------------------------------------------------------------------------

find("signup-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [username, email, password] = ["username", "email", "password"].map((name) => find(`signup-${name}`).value);
  const reply = await ask("/signup/", asJSON({ username, email, password }));
  if (!reply.ok) return say(find("signup-state"), explain(reply), false);
  say(find("signup-state"), `account ${reply.body.id} after ${Math.round(reply.ms)} ms; waiting for the mail`, true);
  await waitForMail(email);
});

find("outbox-refresh").addEventListener("click", showOutbox);
showOutbox();

async function waitForMail(address) {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const mails = await showOutbox();
    if (mails.some((mail) => mail.to.includes(address))) {
      return say(find("signup-state"), "the mail has arrived, see the outbox", true);
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  say(find("signup-state"), "no mail so far", false);
}

async function showOutbox() {
  const reply = await ask("/outbox");
  find("outbox-log").replaceChildren();
  if (!reply.ok) {
    write(find("outbox-log"), explain(reply), { className: "aside" });
    return [];
  }
  for (const mail of reply.body) write(find("outbox-log"), `${mail.subject}\n${mail.text.trim()}`, { name: mail.to.join(", ") });
  find("outbox-log").scrollTop = 0;
  return reply.body;
}

// -- who may do what -----------------------------------------------------------------------------------------------------------

for (const [user, password] of Object.entries(USERS)) {
  const line = find("roles-rows").insertRow();
  line.insertCell().textContent = user;
  line.insertCell().textContent = password ?? "";
  for (let cell = 0; cell < 3; cell += 1) line.insertCell();
}

find("roles-run").addEventListener("click", async () => {
  for (const [at, [user, password]] of Object.entries(USERS).entries()) {
    const headers = {};
    if (password) headers.Authorization = `Bearer ${(await signIn(user, password)).body.access_token}`;
    const replies = [
      await ask("/items/?limit=1", { headers }),
      await ask("/editor/posts/", { headers }),
      await ask(`/admin/users/${NOBODYS_ID}`, { method: "DELETE", headers }),
    ];
    replies.forEach((reply, column) => {
      const allowed = ![401, 403].includes(reply.status);
      const cell = find("roles-rows").rows[at].cells[column + 2];
      say(cell, `${reply.status} ${allowed ? "allowed" : reply.body.error.code}`, allowed);
    });
  }
});
