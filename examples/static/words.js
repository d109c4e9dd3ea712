/** The small things that every part of the page says. */
import { createElement } from "react";

export const h = createElement;

const DATE = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

export const count = (number) => COUNT.format(number);

/** A moment, as far away as it is, with the moment itself beneath the pointer. */
export function Ago({ at }) {
  const seconds = Math.round((Date.parse(at) - Date.now()) / 1000);
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? [];
  const words = unit ? RELATIVE.format(Math.trunc(seconds / length), unit) : "just now";
  return h("time", { dateTime: at, title: DATE.format(new Date(at)) }, words);
}

export function Moment({ at }) {
  return h("time", { dateTime: at }, DATE.format(new Date(at)));
}

export function Tag({ tone, children }) {
  return h("span", { className: `tag ${tone}` }, children);
}

/** What could not be done, and what can be done about it. */
export function Message({ text, reference, children }) {
  if (!text) return null;
  return h(
    "div",
    { role: "alert", className: "message" },
    h("p", null, text, reference && h("small", null, ` Reference ${reference}`)),
    children || null,
  );
}

/** A refusal of Keystead's, where no field is at fault. */
export function Problem({ error, children }) {
  if (!error || error.field) return null;
  return h(Message, { text: error.message, reference: error.status >= 500 && error.requestId }, children);
}

const RANKS = ["viewer", "member", "admin", "owner"];

/** Which buttons make sense; what is allowed is decided at Keystead. */
export const reaches = (session, role) => RANKS.indexOf(session.role) >= RANKS.indexOf(role);

/** A key in words, apart from the old secret that stands beside it while both work. */
export const nameOf = (key) => (key.status === "in_grace" ? `the old secret of ${key.name}` : key.name);
