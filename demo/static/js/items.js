// Items: the form is the query string; the pages are offset and limit.

import { ask, explain, find, say } from "./page.js";

const LIMIT = 8;
const [form, rows, state, back, next] = ["items-form", "items-rows", "items-state", "items-back", "items-next"].map(find);
let offset = 0;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  load(0);
});
back.addEventListener("click", () => load(Math.max(0, offset - LIMIT)));
next.addEventListener("click", () => load(offset + LIMIT));

fillCategories();
load(0);

async function fillCategories() {
  const { body } = await ask("/items/categories/");
  for (const category of body) find("items-category").append(new Option(category, category));
}

async function load(from) {
  const query = new URLSearchParams({ limit: LIMIT, offset: from });
  for (const [name, value] of new FormData(form)) if (value !== "") query.set(name, value);
  const reply = await ask(`/items/?${query}`);
  if (!reply.ok) return say(state, explain(reply), false);
  const { items, total } = reply.body;
  offset = from;
  rows.replaceChildren(...items.map(row));
  back.disabled = offset === 0;
  next.disabled = offset + LIMIT >= total;
  const shown = total ? `${offset + 1} to ${offset + items.length} of ${total}` : "nothing found";
  say(state, `${shown}, X-Response-Time ${reply.headers.get("X-Response-Time")}`, total > 0);
}

function row({ name, description, category, price }) {
  const line = document.createElement("tr");
  const about = document.createElement("small");
  about.textContent = description;
  line.insertCell().append(name, about);
  line.insertCell().textContent = category;
  const cost = line.insertCell();
  cost.textContent = price.toFixed(2);
  cost.className = "number";
  return line;
}
