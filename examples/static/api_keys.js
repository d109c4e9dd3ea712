/** Northwind's own page for API keys: it asks for a ticket, and shows what the session that it opens may see. */
import { useCallback, useEffect, useRef, useState } from "react";

import { KeysteadProvider, useApiAuthAppSession } from "@keystead/client/react";

import { Calls } from "./calls.js";
import { Figures } from "./figures.js";
import { Keys } from "./keys.js";
import { Message, h } from "./words.js";

const place = document.getElementById("api-keys");
const { keystead, app, user, example } = place.dataset;
const AWAY = "Key management isn't available just now. Your keys keep working. Try again soon.";
const NO_RIGHT = "You can't manage API keys. Ask an administrator of your organization.";
const ENDED = "Your access to API keys has ended.";

/** Ask Northwind for a ticket: its server decides who gets one. */
async function askForTicket() {
  try {
    const response = await fetch(`${location.pathname}/tickets`, { method: "POST" });
    if (response.ok) return { ticket: (await response.json()).ticket, refusal: null };
    return { ticket: null, refusal: response.status === 403 ? NO_RIGHT : AWAY };
  } catch {
    return { ticket: null, refusal: AWAY };
  }
}

/** The session of whoever is signed in to Northwind: the one that is there already, else one of a fresh ticket. */
function useAccess() {
  const [answer, setAnswer] = useState({ ticket: null, refusal: null });
  const access = useApiAuthAppSession(answer.ticket);
  const { hasSession, sessionLoading, session, apiAuthApp } = access;
  const isOurs = hasSession && session.subject.id === user && apiAuthApp.app_slug === app;
  const hasAsked = useRef(false);
  const enter = useCallback(async () => {
    setAnswer({ ticket: null, refusal: null });
    setAnswer(await askForTicket());
  }, []);
  useEffect(() => {
    if (sessionLoading || isOurs || hasAsked.current) return;
    hasAsked.current = true;
    enter();
  }, [sessionLoading, isOurs, enter]);
  const isEntering = sessionLoading || !hasAsked.current || (!answer.ticket && !answer.refusal);
  return { ...access, isOurs, isEntering, refusal: answer.refusal, enter };
}

function Page() {
  const { isOurs, isEntering, refusal, sessionError, session, enter } = useAccess();
  if (isOurs) return h(Content, { session });
  const problem = refusal ?? sessionError?.message;
  if (!problem && isEntering) return h("p", { role: "status", className: "lead" }, "Opening your keys…");
  return h(
    Message,
    { text: problem ?? ENDED },
    refusal !== NO_RIGHT && h("button", { onClick: enter }, problem ? "Try again" : "Open again"),
  );
}

function Content({ session }) {
  return h(
    "div",
    { className: "stack" },
    h(Keys, { session, example }),
    h(Figures),
    h(Calls),
    h(
      "p",
      { className: "aside" },
      "Everything here is also in ",
      h("a", { href: `${keystead}/portal/` }, "the key portal"),
      ", where this session is open too.",
    ),
  );
}

const page = h(
  KeysteadProvider,
  { baseUrl: keystead },
  h("h1", null, "API keys"),
  h(
    "p",
    { className: "lead" },
    "Keys let your servers call the Northwind Maps API. A key’s secret is shown once, when it is made or rotated.",
  ),
  h(Page),
);
globalThis.ReactDOM.createRoot(place).render(page);
