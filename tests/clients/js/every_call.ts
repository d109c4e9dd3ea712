/** Each operation of the browser session API by its name, asked for with everything that it can be told. */
import { KeysteadClient } from "@keystead/client";

const window = { key_id: "90", start_date: "2026-11-01", end_date: "2026-11-23" };
const limit = { id: "7", unit: "minute", duration: 1, max_requests: 60, mode: "per_key", endpoints: ["/a"] } as const;
const bounds = { permissions: ["routes:read"], allowed_cidrs: ["::1"], resources: ["/a"], limits: [limit] };
const key = { key_id: "90" };
const wait = { wait_seconds: 5 };
const end = "2031-04-05T06:07:08Z";
const filters = { rule: "key_revoked", method: "GET", path_prefix: "/a", client_ip: "::1", request_id: "req_1" };
const parts = { include_top_keys: true, include_top_paths: true, include_blocked_reasons: true, include_rate_limits: true };

const calls: Record<string, (client: KeysteadClient) => Promise<unknown>> = {
  exchangeByPost: (client) => client.exchangeTicket("kst_x", { code_verifier: "v" }),
  getSession: (client) => client.getSession(),
  signOut: (client) => client.signOut(),
  listKeys: (client) => client.listKeys({ status: "all" }),
  createKey: (client) => client.createKey({ name: "ci", note: "n", expires_at: end, ...bounds, ...wait }),
  rotateKey: (client) => client.rotateKey({ ...key, overlap_seconds: 60, ...wait }),
  revokeKey: (client) => client.revokeKey({ ...key, reason: "leaked", ...wait }),
  editKey: (client) => client.editKey({ ...key, name: "ci", note: "n", expires_at: end, ...bounds, ...wait }),
  disableKey: (client) => client.disableKey({ ...key, reason: "leaked", ...wait }),
  enableKey: (client) => client.enableKey({ ...key, reason: "found", ...wait }),
  undoRevoke: (client) => client.undoRevoke({ ...key, ...wait }),
  changeOverlap: (client) => client.changeOverlap({ ...key, overlap_ends_at: end, ...wait }),
  endOverlap: (client) => client.endOverlap({ ...key, ...wait }),
  previewImpact: (client) => client.previewImpact({ ...key, ...bounds }),
  getLogs: (client) => client.listAuditLogs({ limit: 9, cursor: "c", outcome: "blocked", ...filters, ...window }),
  getAnalytics: (client) => client.getAuditAnalytics({ top_limit: 9, ...parts, ...window }),
  getTimeseries: (client) => client.getAuditTimeseries({ interval: "day", tz: "UTC", fill: true, ...window }),
};

const asked: Record<string, unknown> = {};
for (const [name, call] of Object.entries(calls)) {
  const record = async (url: RequestInfo | URL, request?: RequestInit) => {
    const { pathname, searchParams } = new URL(String(url));
    const form = new URLSearchParams(request?.body as URLSearchParams | undefined);
    const headers = Object.keys(request?.headers ?? {}).filter((header) => header !== "Accept");
    asked[name] = { method: request?.method, path: pathname, told: [...searchParams.keys(), ...form.keys(), ...headers] };
    return new Response(JSON.stringify({ data: {} }));
  };
  await call(new KeysteadClient({ baseUrl: "http://127.0.0.1:9", fetch: record }));
}
console.log(JSON.stringify(asked));
