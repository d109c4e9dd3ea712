/** One dialog for each thing that can be done with a key. */
import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";

import { Message, Moment, Problem, h, nameOf } from "./words.js";

const DAY_MS = 86_400_000;
const OVERLAPS = [
  [0, "It stops at once", "after a leak"],
  [3600, "It works for 1 hour more", "time for one server"],
  [86_400, "It works for 24 hours more", "time for a deployment"],
  [604_800, "It works for 7 days more", "time for other teams"],
];

/** A modal dialog. While it is locked, Escape does not close it: what it shows is shown once. */
function Dialog({ title, close, locked = false, children }) {
  const place = useRef(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = place.current;
    dialog.showModal();
    (dialog.querySelector("input[type=radio]:checked") ?? dialog.querySelector("input, textarea"))?.focus();
    return () => dialog.close(); // while it still stands in the page, so that the focus goes back
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    if (!locked) close();
  };
  const closed = () => (locked ? place.current?.showModal() : close());
  return h(
    "dialog",
    { ref: place, "aria-labelledby": id, onCancel: cancel, onClose: closed },
    h("h2", { id }, title),
    children,
  );
}

/** A form that does one thing: its button waits for the answer, its faulty field is named and focused. */
function Form({ title, close, action, danger, submit, done, children }) {
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const place = useRef(null);
  useEffect(() => {
    if (error?.field) place.current.elements.namedItem(error.field)?.focus?.();
  }, [error]);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    const answer = await submit(new FormData(place.current));
    setBusy(false);
    setError(answer.error);
    if (!answer.error) done(answer.data);
  };
  return h(
    Dialog,
    { title, close },
    h(
      "form",
      { ref: place, onSubmit: send, noValidate: true },
      h(Problem, { error }),
      children(error),
      h(
        "div",
        { className: "foot" },
        h("button", { type: "button", onClick: close }, "Cancel"),
        h("button", { className: danger ? "danger" : "primary", disabled: isBusy }, action),
      ),
    ),
  );
}

function Field({ label, name, error, hint, children }) {
  const id = useId();
  const isWrong = error?.field === name;
  const described = [isWrong && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(" ") || undefined;
  return h(
    "div",
    { className: "field" },
    h("label", { htmlFor: id }, label),
    hint && h("small", { id: `${id}-hint` }, hint),
    children({ id, name, "aria-invalid": isWrong || undefined, "aria-describedby": described }),
    isWrong && h("p", { id: `${id}-error`, className: "wrong" }, error.message),
  );
}

/** A set of choices under one legend, with what is wrong about them. */
function Choices({ legend, type, name, options, chosen, error }) {
  return h(
    "fieldset",
    { className: "field" },
    h("legend", null, legend),
    options.map(([value, label, hint]) =>
      h(
        "label",
        { className: "check", key: value },
        h("input", { type, name, value, defaultChecked: chosen.includes(value) }),
        h("span", null, label, hint && h("small", null, ` ${hint}`)),
      ),
    ),
    error?.field === name && h("p", { className: "wrong" }, error.message),
  );
}

export function CreateDialog({ session, close, reveal, createKey }) {
  const permissions = session.api_auth_app.permissions.filter((one) => session.permissions?.includes(one) ?? true);
  const submit = (form) => {
    const days = Number(form.get("expires_at"));
    return createKey({
      name: form.get("name"),
      permissions: form.getAll("permissions"),
      expires_at: days ? new Date(Date.now() + days * DAY_MS).toISOString() : undefined,
    });
  };
  const fields = (error) => [
    h(Field, { key: "name", name: "name", label: "Name", hint: "Where will it be used?", error }, (given) =>
      h("input", { ...given, autoComplete: "off", maxLength: 100 }),
    ),
    h(Choices, {
      key: "permissions",
      legend: "It may (nothing, unless you choose)",
      type: "checkbox",
      name: "permissions",
      options: permissions.map((one) => [one, one]),
      chosen: [],
      error,
    }),
    h(Field, { key: "expires_at", name: "expires_at", label: "It ends", error }, (given) =>
      h(
        "select",
        given,
        lives(session.longest_expiry_days).map(([days, label]) => h("option", { key: days, value: days }, label)),
      ),
    ),
  ];
  return h(Form, { title: "Create key", close, action: "Create key", submit, done: reveal, children: fields });
}

/** How long a key may last, in days; 0 for no end, where the session may hand that out. */
function lives(longest) {
  const within = [30, 90, 365].filter((days) => longest === null || days < longest);
  return [
    longest === null ? [0, "Never"] : [longest, `In ${longest} days`],
    ...within.reverse().map((days) => [days, `In ${days} days`]),
  ];
}

export function RotateDialog({ session, close, reveal, subject, rotateKey }) {
  const usual = session.api_auth_app.default_overlap_seconds || 86_400;
  const submit = (form) =>
    rotateKey({ key_id: subject.id, overlap_seconds: Number(form.get("overlap_seconds") ?? usual) });
  const fields = (error) => [
    h(
      "p",
      { key: "what" },
      h("b", null, subject.name),
      " gets a new secret. Its name, permissions and end stay the same.",
    ),
    h(Choices, {
      key: "overlap_seconds",
      legend: `What becomes of the present secret (…${subject.key_suffix})?`,
      type: "radio",
      name: "overlap_seconds",
      options: OVERLAPS,
      chosen: [usual],
      error,
    }),
  ];
  return h(Form, { title: "Rotate key", close, action: "Rotate key", submit, done: reveal, children: fields });
}

export function RevokeDialog({ close, subject, revokeKey }) {
  const submit = (form) => revokeKey({ key_id: subject.id, reason: form.get("reason") });
  const used = subject.last_used_at
    ? ["It was last used on ", h(Moment, { key: "at", at: subject.last_used_at }), "."]
    : "It was never used.";
  const fields = (error) => [
    h("p", { key: "what" }, "Calls with ", h("b", null, nameOf(subject)), " are refused at once. This can't be undone."),
    h("p", { key: "used" }, used),
    h(Field, { key: "reason", name: "reason", label: "Reason", hint: "Optional, kept in the log", error }, (given) =>
      h("input", { ...given, autoComplete: "off", maxLength: 400 }),
    ),
  ];
  const action = "Revoke key";
  return h(Form, { title: action, close, action, danger: true, submit, done: close, children: fields });
}

/** The one place that shows a secret; once closed, nobody can. */
export function SecretDialog({ close, made, example }) {
  const [isCopied, setCopied] = useState(false);
  const place = useRef(null);
  const copy = async () => {
    place.current.select();
    setCopied(await navigator.clipboard.writeText(made.secret).then(() => true, () => false));
  };
  const save = (event) => {
    event.preventDefault();
    close();
  };
  if (made.secret === null) {
    return h(
      Dialog,
      { title: "The key is made", close },
      h(Message, { text: "Its secret was lost on the way. Rotate the key to get a new one." }),
      h("div", { className: "foot" }, h("button", { className: "primary", onClick: close }, "Close")),
    );
  }
  return h(
    Dialog,
    { title: "Save this secret", close, locked: true },
    h("p", null, "This is the only time you can see it. If you lose it, rotate the key."),
    h("label", { htmlFor: "secret" }, `Secret of ${made.name}`),
    h("textarea", { id: "secret", ref: place, rows: 2, readOnly: true, spellCheck: false, value: made.secret }),
    h(
      "p",
      { className: "copy" },
      h("button", { onClick: copy }, "Copy secret"),
      h("span", { role: "status" }, isCopied ? "Copied" : ""),
    ),
    h("pre", { tabIndex: 0, "aria-label": "Example call" }, curl(example)),
    h(
      "form",
      { className: "foot", onSubmit: save },
      h("label", { className: "check" }, h("input", { type: "checkbox", required: true }), "I have saved this secret"),
      h("button", { className: "primary" }, "Done"),
    ),
  );
}

const curl = (address) => `curl -H "Authorization: Bearer $NORTHWIND_API_KEY" \\\n  ${address}`;
