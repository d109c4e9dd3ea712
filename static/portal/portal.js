// Extras for pages that work without them.
const byId = (id) => document.getElementById(id);
const dialog = byId("dialog");
const alert = byId("alert");
const page = alert?.parentNode;
const say = (text) => { byId("live").textContent = text; };
const on = (name, handle, capture) => document.addEventListener(name, handle, capture);
const SECRET = /_[0-9A-Za-z]{49}$/;

document.documentElement.classList.add("js");

async function copy(button) {
  const source = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
    button.textContent = "Copied";
    say(`${button.dataset.what} copied`);
  } catch {
    source.select?.();
    button.textContent = "Couldn't copy";
    say("Couldn't copy. Select the text and copy it yourself.");
  }
}

function download(button) {
  const link = document.createElement("a");
  const text = `${button.dataset.variable}=${byId(button.dataset.env).value}\n`;
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = "api-key.env";
  link.click();
  URL.revokeObjectURL(link.href);
}

const guard = () => document.querySelector("form[data-guard]");
const isHeld = (form) => !form.querySelector("[type=checkbox]").checked;

function hold(form) {
  form.querySelector("[type=checkbox]").focus();
  say("Confirm that you saved the secret to close.");
}

function refresh() {
  const form = guard();
  form?.querySelector("button").setAttribute("aria-disabled", isHeld(form));
  for (const time of document.querySelectorAll("time:not([title])")) {
    time.title = new Date(time.dateTime).toLocaleString([], { timeZoneName: "short" });
  }
}

on("click", (event) => {
  const button = event.target.closest("[data-copy], [data-env], [data-close]");
  if (button?.dataset.copy) copy(button);
  else if (button?.dataset.env) download(button);
  else if (dialog?.open && (button || event.target === dialog && !guard())) {
    event.preventDefault();
    dialog.close();
  }
});

on("keydown", (event) => {
  if (event.key !== "Escape" || !dialog?.open || !guard()) return;
  event.preventDefault();
  hold(guard());
});

on("change", refresh);
on("focus", ({ target }) => {
  if (target.dataset?.chooses) byId(target.dataset.chooses).checked = true;
  if (target.id === "secret") target.select();
}, true);
on("input", ({ target }) => {
  if ("search" in target.dataset && SECRET.test(target.value.trim())) {
    target.value = target.value.trim().slice(-4);
    say("Only the last 4 characters are searched for.");
  }
}, true);

on("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-guard]")) {
    event.preventDefault();
    if (isHeld(form)) hold(form);
    else location.assign(form.action);
  } else if (form.matches("[data-entry]")) {
    history.replaceState(null, "", location.pathname);
  } else if (form.method === "post" && !form.closest("dialog")) {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 999); // Back, or a file
  }
});

on("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status < 400 || detail.xhr.status === 422) return;
  detail.shouldSwap = true;
  if (detail.target !== dialog) detail.target = alert;
});
on("htmx:afterSwap", ({ detail }) => {
  if (detail.target !== dialog) return;
  if (!dialog.open) dialog.showModal();
  else (dialog.querySelector("[role=alert]") ?? dialog.querySelector("h2")).focus();
});
on("htmx:sendError", () => {
  (dialog.open ? dialog : page).prepend(alert);
  alert.textContent = "Couldn't reach the server. Try again.";
  alert.scrollIntoView();
});
on("htmx:load", refresh);
dialog?.addEventListener("cancel", (event) => { if (guard()) event.preventDefault(); });
dialog?.addEventListener("close", () => {
  page.prepend(alert);
  dialog.replaceChildren();
  alert.textContent = "";
});

refresh();
const entry = document.querySelector("form[data-auto-post]");
if (entry && !document.prerendering) entry.requestSubmit();
document.querySelector("main [role=alert][tabindex]")?.focus();
