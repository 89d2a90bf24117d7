// Page of the inspector: asks every few seconds for the page that is open, and shows what is new in it.
"use strict";

const EVERY_MS = 3000;
const LONGEST_MS = 60000;
const live = document.getElementById("live");
let wait = EVERY_MS;
let paused = false;
let timer = null;

// A region is replaced only if it is another one, and what had the focus in it has it again.
function replace(old, now) {
  if (now === null || old.innerHTML === now.innerHTML) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && (focused.getAttribute("href") || focused.form?.getAttribute("action"));
  old.replaceChildren(...now.childNodes);
  if (!place) return;
  const again = [...old.querySelectorAll("a, form")].find((found) => (found.getAttribute("href") || found.getAttribute("action")) === place);
  (again?.querySelector("button") || again)?.focus({ preventScroll: true });
}

function rows(root) {
  return [...root.querySelectorAll("#list td.event a")].map((link) => link.getAttribute("href"));
}

function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

async function refresh() {
  try {
    const answer = await fetch(location.href.split("#")[0], { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15000) });
    if (answer.redirected || answer.status === 401 || answer.status === 403) return location.reload(); // the login is over
    if (!answer.ok) throw new Error(String(answer.status));
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (paused) return;
    const before = new Set(rows(document));
    const added = rows(now).filter((href) => !before.has(href)).length;
    for (const region of document.querySelectorAll("[data-live]")) replace(region, now.getElementById(region.id));
    if (before.size && added) say(added === 1 ? "1 new delivery" : `${added} new deliveries`);
    else if (wait > EVERY_MS) say("");
    wait = EVERY_MS;
  } catch {
    say("Not up to date: the server does not answer.");
    wait = Math.min(wait * 2, LONGEST_MS);
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(refresh, wait);
}

if (document.querySelector("[data-live]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Pause";
  button.title = "Whether the page follows what comes";
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Follow" : "Pause";
    say(paused ? "Paused" : "");
    plan();
  });
  live.after(button);
  document.addEventListener("visibilitychange", plan);
  plan();
}
