// Control page of the fake: what its buttons do is what the JSON endpoints under /_fake/ do.
"use strict";

const byId = (id) => document.getElementById(id);
const about = {};

async function ask(method, name, body) {
  const answer = await fetch(`/_fake/${name}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function cell(row, content) {
  const made = row.insertCell();
  made.append(content);
}

function show(state, deliveries) {
  const speed = state.speed === null ? "its time stands still" : `its time goes ${state.speed} times as fast as real time`;
  byId("state").textContent = `It is ${state.now.slice(0, 19).replace("T", " ")} UTC, ${speed}; ${state.accounts} accounts.`;
  const rows = byId("deliveries");
  rows.replaceChildren();
  for (const delivery of deliveries.slice(-100).reverse()) {
    const row = rows.insertRow();
    cell(row, delivery.at.slice(11, 19));
    cell(row, delivery.event);
    const id = document.createElement("code");
    id.textContent = delivery.event_id;
    cell(row, id);
    cell(row, String(delivery.attempt));
    cell(row, delivery.status === null ? "none" : String(delivery.status));
    const again = document.createElement("button");
    again.textContent = "Redeliver";
    again.setAttribute("aria-label", `Redeliver ${delivery.event} ${delivery.event_id}`);
    again.addEventListener("click", () => act(() => ask("POST", "redeliver", { event_id: delivery.event_id }), "Sent again."));
    cell(row, again);
  }
}

async function refresh() {
  show(await ask("GET", "state"), await ask("GET", "deliveries"));
}

async function act(action, said) {
  try {
    const found = await action();
    byId("message").className = "quiet";
    byId("message").textContent = typeof said === "function" ? said(found) : said;
    await refresh();
  } catch (error) {
    byId("message").className = "bad";
    byId("message").textContent = error.message;
  }
}

function connected(found) {
  const accounts = found.account_ids.length ? found.account_ids.join(", ") : "no account";
  return `${found.scenario}: ${accounts}; everything has come after ${Math.ceil(found.duration_s)} seconds.`;
}

const orUndefined = (id) => byId(id).value.trim() || undefined;

byId("connect").addEventListener("click", () =>
  act(() => ask("POST", "connect", { scenario: byId("scenario").value, end_user_id: orUndefined("end-user") }), connected));
byId("advance").addEventListener("click", () =>
  act(() => ask("POST", "advance", { seconds: Number(byId("seconds").value) }), "The clock was turned."));
byId("reset").addEventListener("click", () => act(() => ask("POST", "reset"), "Everything is as at the beginning."));
byId("fault").addEventListener("click", () =>
  act(() => ask("POST", "faults", { operation: orUndefined("operation"), faults: [{ status: Number(byId("status").value) }] }), "The next answer will fail."));
byId("clear").addEventListener("click", () => act(() => ask("DELETE", "faults"), "No faults are left."));
byId("scenario").addEventListener("change", () => { byId("about").textContent = about[byId("scenario").value]; });

act(async () => {
  Object.assign(about, await ask("GET", "scenarios"));
  for (const name of Object.keys(about)) byId("scenario").append(new Option(name.replaceAll("_", " "), name));
  byId("about").textContent = about[byId("scenario").value];
}, "");
setInterval(() => refresh().catch(() => {}), 2000);
