/** The last calls with these keys, and why one was blocked. */
import { useState } from "react";

import { useApiAuthAuditLogs } from "@keystead/client/react";

import { Ago, Problem, Tag, h } from "./words.js";

const EACH = 8;

export function Calls() {
  const [newer, setNewer] = useState([]); // the cursors that led here
  const { logs, has_more, next_cursor, loading, error, refetch } = useApiAuthAuditLogs({
    limit: EACH,
    cursor: newer.at(-1),
  });
  return h(
    "section",
    { "aria-labelledby": "calls", "aria-busy": loading },
    h(
      "div",
      { className: "head" },
      h("h2", { id: "calls" }, "Last calls"),
      h("button", { onClick: () => (newer.length ? setNewer([]) : refetch()) }, newer.length ? "Newest" : "Refresh"),
    ),
    h(Problem, { error }),
    !loading && !logs.length && h("p", { className: "empty" }, "No calls in the last seven days."),
    h("ol", { className: "rows", "aria-label": "Calls" }, logs.map((call) => h(Call, { key: call.request_id, call }))),
    has_more && h("button", { onClick: () => setNewer([...newer, next_cursor]) }, "Older"),
  );
}

function Call({ call }) {
  const isAllowed = call.outcome === "allowed";
  return h(
    "li",
    { className: "row call" },
    h(Tag, { tone: isAllowed ? "ok" : "bad" }, isAllowed ? "Allowed" : "Blocked"),
    h("code", null, call.path),
    h("span", { className: "soft" }, [call.key_name, !isAllowed && call.rule].filter(Boolean).join(" · ")),
    h("span", { className: "soft when" }, h(Ago, { at: call.timestamp })),
  );
}
