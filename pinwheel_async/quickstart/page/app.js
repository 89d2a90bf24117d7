// Page of the quickstart: opens Link, forwards what Link tells, and shows what the server sends.
"use strict";

const byId = (id) => document.getElementById(id);
const shown = new Map();

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  return answer.json();
}

function say(text, bad = false) {
  byId("message").textContent = text;
  byId("message").className = bad ? "bad" : "";
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

const money = (cents, currency) =>
  cents === null ? "–" : new Intl.NumberFormat("en-US", { style: "currency", currency: currency ?? "USD" }).format(cents / 100 || 0);
const words = (name) => name.replaceAll("_", " ");

// Link.

async function connect(accountId) {
  say("");
  try {
    const { token } = await post("/link-token", accountId ? { account_id: accountId } : {});
    let forwarded = Promise.resolve();
    Pinwheel.open({
      linkToken: token,
      // One after another, in the order in which Link told them.
      onEvent: (name, payload) => {
        forwarded = forwarded.then(() => post("/link-event", { name, payload })).then(() => told(name, payload), (error) => say(error.message, true));
      },
    });
  } catch (error) {
    say(`Link could not be opened: ${error.message}`, true);
  }
}

function told(name, payload) {
  if (name === "login") loadState();
  if (name === "success") say("Connected. Data comes as it is ready.");
  if (name === "error") say(payload.pendingRetry ? "Not everything worked yet; it is tried again." : payload.message, !payload.pendingRetry);
  if (name === "exit") byId("connect").focus();
}

// What happened.

function addLine(line) {
  // What is read anew and what is sent may overlap, and come in any order; the newest stands first.
  const items = [...byId("log").children];
  if (items.some((item) => Number(item.dataset.number) === line.number)) return;
  byId("empty").hidden = true;
  const item = document.createElement("li");
  item.dataset.number = line.number;
  const time = element("time", line.at.slice(11, 19), "quiet");
  time.dateTime = line.at;
  item.append(time, element("span", line.source, "quiet"), element("span", line.name));
  if (line.detail) item.append(element("span", line.detail, "detail"));
  byId("log").insertBefore(item, items.find((older) => Number(older.dataset.number) < line.number) ?? null);
}

// Accounts.

function addAccount(accountId) {
  if (shown.has(accountId)) return;
  const account = byId("account-template").content.cloneNode(true).querySelector("article");
  account.dataset.account = accountId;
  account.querySelector(".id").textContent = accountId;
  account.querySelector(".again").addEventListener("click", () => connect(accountId));
  shown.set(accountId, account);
  byId("accounts").prepend(account);
  watch(accountId);
  loadData(accountId);
}

function watch(accountId) {
  const source = new EventSource(`/accounts/${accountId}/progress`);
  source.onmessage = ({ data }) => {
    const state = JSON.parse(data);
    showProgress(shown.get(accountId), state);
    if (state.ready) source.close();
    loadData(accountId);
  };
}

function showProgress(account, state) {
  account.querySelector(".products").replaceChildren(...Object.entries(state.products).map(([name, product]) => {
    const item = document.createElement("li");
    const bar = document.createElement("progress");
    bar.value = product.progress;
    bar.setAttribute("aria-label", words(name));
    const status = element("span", words(product.status), `status-${product.status}`);
    status.dataset.product = name;
    item.append(element("span", words(name)), bar, status);
    return item;
  }));
}

const loading = new Map();

async function loadData(accountId) {
  // One at a time for each account, and once more if something came meanwhile.
  if (loading.has(accountId)) return loading.set(accountId, true);
  loading.set(accountId, false);
  try {
    const answer = await fetch(`/accounts/${accountId}/data`);
    if (answer.ok) showData(shown.get(accountId), await answer.json());
  } finally {
    const again = loading.get(accountId);
    loading.delete(accountId);
    if (again) loadData(accountId);
  }
}

function showData(account, data) {
  const needsLogin = data.account?.monitoring_status === "user_action_required";
  account.querySelector(".monitoring").textContent = !data.account ? ""
    : !data.account.connected ? "Disconnected." : needsLogin ? "This account needs you to log in again." : "";
  account.querySelector(".again").hidden = !needsLogin;
  showIncome(account.querySelector(".income"), data.income);
  showEmployment(account.querySelector(".employment"), data.employment);
  showChart(account.querySelector(".chart"), data.net_pay);
  account.querySelector(".paystubs").replaceChildren(...data.paystubs.map(paystubCard));
}

function showIncome(card, income) {
  card.hidden = !income;
  if (!income) return;
  card.querySelector(".amount").textContent = money(income.compensation_amount, income.currency);
  card.querySelector(".quiet").textContent = `${words(income.compensation_unit ?? "")}, paid ${words(income.pay_frequency ?? "")}`;
}

function showEmployment(card, employment) {
  card.hidden = !employment;
  if (!employment) return;
  card.querySelector("dl").replaceChildren(...Object.entries(employment).flatMap(([name, value]) =>
    [element("dt", words(name)), element("dd", value ?? "–")]));
}

function paystubCard(paystub) {
  const card = element("section", "", "card paystub");
  const table = document.createElement("table");
  const add = (name, cents, kind) => {
    const row = table.insertRow();
    row.className = kind;
    const head = element("th", name);
    head.scope = "row";
    row.append(head, element("td", money(cents, paystub.currency)));
  };
  add("Gross pay", paystub.gross_pay_amount, "sum");
  add("Taxes", -paystub.total_taxes, "");
  for (const tax of paystub.taxes) add(tax.name, -tax.amount, "part");
  add("Deductions", -paystub.total_deductions, "");
  for (const deduction of paystub.deductions) add(deduction.name, -deduction.amount, "part");
  add("Net pay", paystub.net_pay_amount, "sum");
  card.append(element("h3", `Paystub of ${paystub.pay_date}`), table);
  return card;
}

function showChart(card, payments) {
  card.hidden = payments.length < 2;
  if (card.hidden) return;
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const most = Math.max(...payments.map(({ amount }) => amount));
  const last = payments.at(-1);
  const label = `Net pay of the last ${payments.length} paystubs; the latest is ${money(last.amount, last.currency)}, the most ${money(most, last.currency)}.`;
  const chart = svg("svg", { viewBox: "0 0 320 120", role: "img", "aria-label": label });
  const width = 320 / payments.length;
  payments.forEach(({ pay_date: day, amount, currency }, place) => {
    const height = Math.max(1, (90 * amount) / most);
    const bar = svg("rect", { x: place * width + 2, y: 100 - height, width: width - 4, height, rx: 2 });
    const title = svg("title", {});
    title.textContent = `${day}: ${money(amount, currency)}`;
    bar.append(title);
    chart.append(bar);
  });
  for (const [x, anchor, day] of [[2, "start", payments[0].pay_date], [318, "end", last.pay_date]]) {
    const text = svg("text", { x, y: 115, "text-anchor": anchor });
    text.textContent = day;
    chart.append(text);
  }
  card.querySelector(".plot").replaceChildren(chart);
}

// Beginning, also after a reload.

async function loadState() {
  const state = await (await fetch("/state")).json();
  state.accounts.forEach(addAccount);
  state.log.forEach(addLine);
}

byId("connect").addEventListener("click", () => connect());

const source = new EventSource("/log");
// From now on everything is sent, so what was before is read after this, also when the connection was lost.
source.addEventListener("open", () => loadState().catch((error) => say(error.message, true)));
source.addEventListener("message", ({ data }) => {
  const line = JSON.parse(data);
  addLine(line);
  if (line.source !== "webhook") return;
  if (line.name === "account.added") loadState();
  for (const accountId of shown.keys()) loadData(accountId);
});
