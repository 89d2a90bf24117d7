// The screens of the stand-in for Link: employer search, login, outcome. Events go to the page that opened it.
"use strict";

const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const scenarios = {};
let employer = null;

function tell(name, payload = {}) {
  // To any origin: the frame does not know who opened it, and nothing here is real.
  parent.postMessage({ pinwheel: name, payload }, "*");
}

async function ask(name, body) {
  const answer = await fetch(`/_fake/link/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function showScreen(id, title, screenName, more = {}) {
  for (const screen of ["search", "login", "outcome"]) byId(screen).hidden = screen !== id;
  byId("message").textContent = "";
  byId("title").textContent = title;
  byId("title").focus();
  tell("screen_transition", { screenName, ...more });
}

function chosen() {
  return employer ? { selectedEmployerId: employer.id, selectedEmployerName: employer.name } : {};
}

async function search() {
  const found = await ask("search", { words: byId("words").value });
  byId("found").replaceChildren(...found.map((hit) => {
    const button = document.createElement("button");
    button.textContent = hit.name;
    button.addEventListener("click", () => {
      employer = hit;
      tell("select_employer", chosen());
      showScreen("login", `Log in to ${hit.name}`, "LOGIN", chosen());
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

async function login(event) {
  event.preventDefault();
  const found = await ask("login", { token, scenario: byId("scenario").value, employer_id: employer?.id });
  let error = null;
  for (const { name, payload } of found.events) {
    tell(name, payload);
    if (name === "error") error = payload;
  }
  const submitted = found.events.some(({ name }) => name === "doc_uploads_submitted");
  if (error && !found.account_ids.length) {
    byId("message").textContent = error.message;
    byId("password").focus();
    return;
  }
  byId("result").textContent = error?.message ?? (submitted ? "Your documents were uploaded." : "You are connected.");
  showScreen("outcome", error ? "Not finished yet" : "Success", error ? "JOB_ERROR" : "JOB_SUCCESS");
}

async function begin() {
  tell("open");
  const session = await ask("open", { token });
  if (session.error) {
    tell("error", session.error);
    byId("message").textContent = session.error.message;
    return;
  }
  Object.assign(scenarios, session.scenarios);
  for (const name of Object.keys(scenarios)) byId("scenario").append(new Option(name.replaceAll("_", " "), name));
  byId("about").textContent = scenarios[byId("scenario").value];
  if (session.skips_search) {
    employer = session.employer_id && { id: session.employer_id, name: "your employer" };
    showScreen("login", "Log in", "LOGIN");
  } else {
    showScreen("search", "Find your employer", "SEARCH_DEFAULT");
    await search();
  }
}

const failed = (error) => { byId("message").textContent = error.message; };

byId("words").addEventListener("input", () => search().catch(failed));
byId("login").addEventListener("submit", (event) => login(event).catch(failed));
byId("scenario").addEventListener("change", () => { byId("about").textContent = scenarios[byId("scenario").value]; });
for (const id of ["close", "done"]) byId(id).addEventListener("click", () => tell("exit"));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tell("exit"); });
begin().catch(failed);
