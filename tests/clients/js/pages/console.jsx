import { useState } from "react";

import {
  KeysteadProvider,
  useApiAuthAppSession,
  useApiAuthAuditAnalytics,
  useApiAuthAuditLogs,
  useApiAuthAuditTimeseries,
  useApiAuthKeys,
} from "@keystead/client/react";

export const HOUR_SECONDS = 3600;

export function Keystead({ children }) {
  return <KeysteadProvider baseUrl={document.body.dataset.keystead}>{children}</KeysteadProvider>;
}

/** What every page does first: the session, and what stands there instead of it. */
export function Session({ ticket, children }) {
  const { hasSession, sessionLoading, sessionError, ticketExchanged, apiAuthApp, session, refetch, signOut } =
    useApiAuthAppSession(ticket);
  if (sessionLoading) return <p>Opening…</p>;
  return (
    <>
      <Problem error={sessionError} />
      <button onClick={refetch}>Ask for the session again</button>
      {hasSession ? (
        <>
          <h1>{apiAuthApp.name}</h1>
          <p>
            {session.subject.name}, {session.role}, exchanged: {String(ticketExchanged)}
          </p>
          <button onClick={signOut}>Sign out</button>
          {children}
        </>
      ) : (
        <p>There is no session.</p>
      )}
    </>
  );
}

export function Problem({ error }) {
  if (!error) return null;
  return (
    <p role="alert">
      {error.name} {error.code} {error.status} {error.field ?? "no field"}: {error.message}
      {error.requestId ? " (to look up)" : ""}
    </p>
  );
}

const HOURLY = { unit: "hour", duration: 1, max_requests: 60 };
/** What can be done to a key besides rotating and revoking it, by what its button says. */
const CHANGES = {
  Disable: ({ disableKey }, key_id) => disableKey({ key_id, reason: "On holiday" }),
  Enable: ({ enableKey }, key_id) => enableKey({ key_id }),
  Restore: ({ undoRevoke }, key_id) => undoRevoke({ key_id }),
  Bound: ({ editKey }, key_id) => editKey({ key_id, name: "bound", permissions: ["routes:write"], limits: [HOURLY] }),
  Unbound: ({ editKey }, key_id) => editKey({ key_id, permissions: [], limits: [], note: null }),
  "End overlap": ({ endOverlap }, key_id) => endOverlap({ key_id }),
  Preview: ({ previewImpact }, key_id) => previewImpact({ key_id, permissions: [] }),
};

export function Keys() {
  const { keys, loading, error, refetch, ...changes } = useApiAuthKeys({ status: "all" });
  const { createKey, rotateKey, revokeKey } = changes;
  const [name, setName] = useState("");
  const [answer, setAnswer] = useState({ data: null, error: null });
  const create = async (event) => {
    event.preventDefault();
    setAnswer(await createKey({ name, permissions: ["routes:read", "routes:write"] }));
  };
  const rotate = async (key) =>
    setAnswer(await rotateKey({ key_id: key.id, overlap_seconds: HOUR_SECONDS }));
  const revoke = async (key) => setAnswer(await revokeKey({ key_id: key.id, reason: "Not needed", wait_seconds: 10 }));
  return (
    <section aria-label="Keys" aria-busy={loading}>
      <form onSubmit={create}>
        <label>
          Name <input value={name} onChange={(event) => setName(event.target.value)} />
        </label>
        <button>Create key</button>
      </form>
      <button onClick={refetch}>Refresh keys</button>
      <Problem error={error} />
      <Problem error={answer.error} />
      {answer.data?.secret && (
        <p>
          <output aria-label="Secret">{answer.data.secret}</output>
          <button onClick={() => setAnswer({ data: null, error: null })}>Done</button>
        </p>
      )}
      {answer.data?.rules && <p>It would have blocked {answer.data.blocked} of {answer.data.calls} calls.</p>}
      {answer.data?.replayed && <p>Made by an earlier try; its secret is {String(answer.data.secret)}.</p>}
      <ul aria-label="All keys">
        {keys.map((key) => (
          <li key={key.id}>
            {key.name} {key.key_prefix}_…{key.key_suffix} {key.status}
            {key.permissions.join(" ")}
            {key.limits.map((limit) => `, ${limit.max_requests} an ${limit.unit}`)}
            {key.revoked_reason ? `: ${key.revoked_reason}` : ""}
            <button onClick={() => rotate(key)}>Rotate</button>
            <button onClick={() => revoke(key)}>Revoke</button>
            {Object.entries(CHANGES).map(([text, change]) => (
              <button key={text} onClick={async () => setAnswer(await change(changes, key.id))}>
                {text}
              </button>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Lists alone, to see that it follows what another part of the page does. */
export function Count() {
  const { keys } = useApiAuthKeys({ status: "all" });
  return <p>{keys.length} keys in all</p>;
}

export function Calls() {
  const [before, setBefore] = useState([]);
  const cursor = before.at(-1);
  const { logs, limit, has_more, next_cursor, loading, error, refetch } = useApiAuthAuditLogs({ limit: 2, cursor });
  return (
    <section aria-label="Calls" aria-busy={loading}>
      <Problem error={error} />
      <button onClick={refetch}>Refresh calls</button>
      <p>
        Page {before.length + 1}, of {limit} each
      </p>
      <ul>
        {logs.map((log) => (
          <li key={log.request_id}>
            {log.outcome} {log.path} {log.rule} {log.key_name}
          </li>
        ))}
      </ul>
      <button disabled={!has_more} onClick={() => setBefore([...before, next_cursor])}>
        Older
      </button>
    </section>
  );
}

export function Figures() {
  const { analytics, error, refetch } = useApiAuthAuditAnalytics({ include_top_keys: true, include_blocked_reasons: true });
  const { timeseries, interval } = useApiAuthAuditTimeseries({ interval: "day" });
  return (
    <section aria-label="Figures">
      <Problem error={error} />
      <button onClick={refetch}>Refresh figures</button>
      {analytics && (
        <p>
          {analytics.allowed_requests} allowed, {analytics.blocked_requests} blocked, {analytics.success_rate} %,
          {analytics.top_keys.map((key) => ` ${key.key_name}: ${key.total_requests}`)},
          {analytics.blocked_reasons.map((reason) => ` ${reason.rule}: ${reason.count}`)}
        </p>
      )}
      <p>
        By {interval}: {timeseries.map((point) => point.total_requests).join(" ")}
      </p>
    </section>
  );
}
