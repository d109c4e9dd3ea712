const IS_TICKET = /^ticket=kst_/; // other products have tickets of other kinds

/**
 * Take a ticket out of the address bar, for good and before anything is done with it; null where there is none.
 *
 * What else stands in the address, and the state that routers keep in the history, stay. Routers
 * hear of it as of any other change, so that no link of theirs brings the ticket back.
 */
export function takeTicketFromAddress() {
  if (typeof window === "undefined") return null;
  const { location, history } = window;
  const fields = location.search.slice(1).split("&");
  const found = fields.find((field) => IS_TICKET.test(field));
  if (!found) return null;
  const others = fields.filter((field) => !IS_TICKET.test(field)).join("&");
  history.replaceState(history.state, "", location.pathname + (others && `?${others}`) + location.hash);
  window.dispatchEvent(new PopStateEvent("popstate", { state: history.state }));
  return new URLSearchParams(found).get("ticket"); // never throws, whatever is in it
}
