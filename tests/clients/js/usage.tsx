/** Never run: it must only compile, and hold what a page in TypeScript relies on. */
import { KeysteadClient, type Answer, type ApiKeyWithSecret } from "@keystead/client";
import {
  KeysteadProvider,
  useApiAuthAppSession,
  useApiAuthAuditAnalytics,
  useApiAuthAuditLogs,
  useApiAuthAuditTimeseries,
  useApiAuthKeys,
  useKeysteadClient,
} from "@keystead/client/react";

const client = new KeysteadClient({ baseUrl: "http://127.0.0.1:8000", timeoutMs: 2000 });

export async function made(): Promise<string | null> {
  const answer: Answer<ApiKeyWithSecret> = await client.createKey({ name: "ci", permissions: ["routes:read"] });
  if (answer.error) return answer.error.field;
  return answer.data.secret;
}

export function Page({ ticket }: { ticket?: string | null }) {
  const { hasSession, sessionError, apiAuthApp, session } = useApiAuthAppSession(ticket, { code_verifier: "x" });
  const { keys, rotateKey, revokeKey } = useApiAuthKeys({ status: "active" });
  const { logs, next_cursor } = useApiAuthAuditLogs({ outcome: "blocked", limit: 25 });
  const { analytics } = useApiAuthAuditAnalytics({ include_top_keys: true });
  const { timeseries } = useApiAuthAuditTimeseries({ interval: "day" });
  useKeysteadClient().subscribe((event) => event.type === "session_ended" && event.error.code);
  const mayCreate: boolean = session !== null && session.role !== "viewer";
  return (
    <ul>
      {sessionError?.retryAfter} {hasSession && apiAuthApp?.permissions.length} {mayCreate}
      {keys.map((key) => (
        <li key={key.id} onClick={() => rotateKey({ key_id: key.id, overlap_seconds: 3600 })}>
          {key.expires_at?.slice(0, 10)} {key.overlap_ends_at}
        </li>
      ))}
      {logs.map((log) => log.request_id)} {next_cursor}
      {analytics?.top_keys?.map((key) => key.total_requests)} {timeseries[0]?.success_rate}
      {/* @ts-expect-error a key's id is a text */}
      <button onClick={() => revokeKey({ key_id: 7 })} />
    </ul>
  );
}

export const app = (
  <KeysteadProvider baseUrl="http://127.0.0.1:8000">
    <Page />
  </KeysteadProvider>
);

// @ts-expect-error a provider needs an address or a client
export const nowhere = <KeysteadProvider />;
