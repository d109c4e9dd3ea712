/** The keys, and the dialogs that change them. */
import { useState } from "react";

import { useApiAuthKeys } from "@keystead/client/react";

import { CreateDialog, RevokeDialog, RotateDialog, SecretDialog } from "./dialogs.js";
import { Ago, Moment, Problem, Tag, h, nameOf, reaches } from "./words.js";

const STATUSES = {
  active: ["Active", "ok"],
  in_grace: ["Old secret", "warn"],
  expired: ["Expired", "warn"],
  disabled: ["Disabled", "bad"],
  rotated_out: ["Rotated out", "off"],
  revoked: ["Revoked", "off"],
};

export function Keys({ session, example }) {
  const [everything, showEverything] = useState(false);
  const { keys, loading, error, refetch, ...changes } = useApiAuthKeys({ status: everything ? "all" : "active" });
  const [dialog, open] = useState(null);
  const close = () => open(null);
  const reveal = (made) => open({ kind: "secret", made });
  return h(
    "section",
    { "aria-labelledby": "keys", "aria-busy": loading },
    h(
      "div",
      { className: "head" },
      h("h2", { id: "keys" }, "Keys"),
      reaches(session, "member") &&
        h("button", { className: "primary", onClick: () => open({ kind: "create" }) }, "Create key"),
    ),
    h(Problem, { error }, h("button", { onClick: refetch }, "Try again")),
    h(List, { keys, loading: loading && !keys.length, session, open }),
    h(
      "label",
      { className: "check" },
      h("input", { type: "checkbox", checked: everything, onChange: () => showEverything(!everything) }),
      "Show keys that have ended",
    ),
    dialog?.kind === "create" && h(CreateDialog, { session, close, reveal, ...changes }),
    dialog?.kind === "rotate" && h(RotateDialog, { session, close, reveal, subject: dialog.subject, ...changes }),
    dialog?.kind === "revoke" && h(RevokeDialog, { close, subject: dialog.subject, ...changes }),
    dialog?.kind === "secret" && h(SecretDialog, { close, made: dialog.made, example }),
  );
}

function List({ keys, loading, session, open }) {
  if (loading) return h("p", { className: "empty" }, "Loading…");
  if (!keys.length) return h("p", { className: "empty" }, "There are no keys yet.");
  return h(
    "ul",
    { className: "rows", "aria-label": "Keys" },
    byLineage(keys).map((key) => h(Row, { key: key.id, subject: key, session, open })),
  );
}

/** Put what a rotation left behind under the key that took its place. */
function byLineage(keys) {
  const lineages = new Map();
  for (const key of keys) lineages.set(key.lineage_id, [...(lineages.get(key.lineage_id) ?? []), key]);
  return [...lineages.values()].flat();
}

function Row({ subject, session, open }) {
  const [word, tone] = STATUSES[subject.status] ?? [subject.status, "off"];
  const act = (kind) => () => open({ kind, subject });
  const canEnd = ["active", "in_grace", "expired", "disabled"].includes(subject.status);
  return h(
    "li",
    { className: `row ${tone}` },
    h(
      "div",
      { className: "who" },
      h("h3", null, subject.name, " ", h(Tag, { tone }, word)),
      h("code", null, `${subject.key_prefix}_…${subject.key_suffix}`),
    ),
    h(Facts, { subject }),
    h(
      "div",
      { className: "actions" },
      subject.status === "active" &&
        reaches(session, "member") &&
        h("button", { onClick: act("rotate"), "aria-label": `Rotate ${subject.name}` }, "Rotate"),
      canEnd &&
        reaches(session, "admin") &&
        h("button", { onClick: act("revoke"), "aria-label": `Revoke ${nameOf(subject)}` }, "Revoke"),
    ),
  );
}

function Facts({ subject }) {
  const end = subject.revoked_at ?? subject.overlap_ends_at ?? subject.expires_at;
  const verb = subject.revoked_at ? "Ended" : subject.overlap_ends_at ? "Works until" : "Ends";
  return h(
    "dl",
    null,
    h("dt", null, "May"),
    h("dd", null, subject.permissions.length ? subject.permissions.join(", ") : "nothing"),
    h("dt", null, "Last used"),
    h("dd", null, subject.last_used_at ? h(Ago, { at: subject.last_used_at }) : "never"),
    h("dt", null, verb),
    h("dd", null, end ? h(Moment, { at: end }) : "never"),
  );
}
