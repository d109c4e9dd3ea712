/** What went wrong, as a value. `message` is a sentence for people; `code` is one of the API's, or of those below. */
export declare class KeysteadError extends Error {
  constructor(facts: {
    code: string;
    message: string;
    status?: number;
    field?: string | null;
    requestId?: string | null;
    retryAfter?: number | null;
  });
  /** The API's code; `unreachable` (no answer in time), `unreadable` (no answer of ours), `aborted` (by the caller). */
  readonly code: string;
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** The field that is at fault, if one is. */
  readonly field: string | null;
  readonly requestId: string | null;
  /** Whole seconds to wait before the next try. */
  readonly retryAfter: number | null;
}

/** Data or an error: one of them is null. */
export type Answer<Data> = { data: Data; error: null } | { data: null; error: KeysteadError };

export type Role = "viewer" | "member" | "admin" | "owner";

export interface RateLimit {
  id: string;
  unit: "millisecond" | "second" | "minute" | "hour" | "day" | "calendar_day" | "month" | "calendar_month";
  duration: number;
  max_requests: number;
  mode: "per_app" | "per_key" | "per_ip" | "per_key_and_ip" | "per_app_and_ip";
  priority: number;
  endpoints?: string[];
}

export interface ApiAuthAppInfo {
  id: string;
  app_slug: string;
  name: string;
  key_prefix: string;
  description?: string;
  is_active: boolean;
  rate_limits: RateLimit[];
  /** The permissions that the app's keys can have. */
  permissions: string[];
  /** How long an old secret works on after a rotation that does not say. */
  default_overlap_seconds: number;
}

export interface ApiAuthAppSessionData {
  session_id: string;
  /** The product's own user, on whose behalf the session acts. */
  subject: { id: string; name: string; email: string };
  /** What the session may do; the server decides, this is for showing the right buttons. */
  role: Role;
  /** The permissions that it may give to keys at most; null where its ticket set no bound. */
  permissions: string[] | null;
  longest_expiry_days: number | null;
  key_cap: number | null;
  return_url: string;
  theme: string;
  locale: string;
  ends_at: string;
  api_auth_app: ApiAuthAppInfo;
}

/** Times are RFC 3339 in UTC; ids are decimal strings. */
export interface ApiKey {
  id: string;
  name: string;
  key_prefix: string;
  key_suffix: string;
  permissions: string[];
  org_role_permissions: string[];
  workspace_role_permissions: string[];
  status: string;
  lineage_id: string;
  /** The key that took this one's place by rotation. */
  replaced_by: string | null;
  /** Until when this one works beside its successor. */
  overlap_ends_at: string | null;
  expires_at?: string;
  last_used_at?: string;
  is_active: boolean;
  created_at: string;
  updated_at: string;
  revoked_at?: string;
  revoked_reason?: string;
}

export interface ApiKeyWithSecret extends ApiKey {
  /** Stands in this one answer. Null where an earlier try of this call made the key, and its answer was lost. */
  secret: string | null;
  /** True where an earlier try of this call made the key. */
  replayed?: boolean;
}

export interface KeyFilters {
  /** Without it: the active ones. */
  status?: "active" | "revoked" | "expired" | "all";
}

export interface CreateKeyInput {
  name: string;
  permissions?: readonly string[];
  /** RFC 3339. */
  expires_at?: string;
  /** The networks from which the key may be used; anywhere without it. */
  allowed_cidrs?: readonly string[];
  note?: string;
}

export interface RotateKeyInput {
  key_id: string;
  /** How long the old secret works on: 0 to 2592000. Without it, as long as the app says. */
  overlap_seconds?: number;
}

export interface RevokeKeyInput {
  key_id: string;
  reason?: string;
}

interface AuditWindow {
  key_id?: string;
  /** RFC 3339, or a date. */
  start_date?: string;
  end_date?: string;
}

export interface AuditLogsQuery extends AuditWindow {
  limit?: number;
  cursor?: string;
  outcome?: "allowed" | "blocked";
}

export interface ApiAuditLog {
  request_id: string;
  deployment_id: string;
  app_slug: string;
  key_id: string;
  key_name: string;
  outcome: "allowed" | "blocked";
  blocked_by_rule: string | null;
  /** The machine name of the rule that decided. */
  rule: string | null;
  client_ip: string;
  /** Method, space, path. */
  path: string;
  user_agent: string;
  /** A JSON text: `[{"rule": "60/60s", "remaining": 59, "limit": 60}]`. */
  rate_limits: string;
  timestamp: string;
}

export interface ApiAuditLogsPage {
  data: ApiAuditLog[];
  limit: number;
  has_more: boolean;
  next_cursor: string | null;
}

export interface AuditAnalyticsQuery extends AuditWindow {
  include_top_keys?: boolean;
  include_top_paths?: boolean;
  include_blocked_reasons?: boolean;
  include_rate_limits?: boolean;
  /** 1 to 50. */
  top_limit?: number;
}

/** Rates and percentages are 0 to 100. */
export interface ApiAuditAnalytics {
  total_requests: number;
  allowed_requests: number;
  blocked_requests: number;
  success_rate: number;
  keys_used_24h: number;
  top_keys?: { key_id: string; key_name: string; total_requests: number }[];
  top_paths?: { path: string; total_requests: number }[];
  blocked_reasons?: { blocked_by_rule: string; rule: string; count: number; percentage: number }[];
  rate_limit_stats?: {
    total_hits: number;
    percentage_of_blocked: number;
    top_rules: { rule: string; hit_count: number; percentage: number }[];
  };
}

export interface AuditTimeseriesQuery extends AuditWindow {
  interval?: "minute" | "hour" | "day" | "week" | "month";
}

export interface ApiAuditTimeseriesPoint {
  timestamp: string;
  total_requests: number;
  allowed_requests: number;
  blocked_requests: number;
  success_rate: number;
}

export interface ApiAuditTimeseries {
  data: ApiAuditTimeseriesPoint[];
  interval: string;
}

export type KeysteadEvent =
  | { type: "session_opened" }
  | { type: "session_ended"; error: KeysteadError }
  | { type: "keys_changed" };

interface ReadOptions {
  signal?: AbortSignal;
}

/** Speaks Keystead's browser session API with the session's cookie. No call ever rejects. */
export declare class KeysteadClient {
  constructor(options: { baseUrl: string; fetch?: typeof fetch; timeoutMs?: number });
  /** Exchange a ticket for a session. The same ticket is sent once, however often this is called. */
  exchangeTicket(
    ticket: string,
    options?: { code_verifier?: string },
  ): Promise<Answer<ApiAuthAppSessionData & { success: true; message: string }>>;
  getSession(options?: ReadOptions): Promise<Answer<ApiAuthAppSessionData>>;
  signOut(): Promise<Answer<{ success: true }>>;
  listKeys(filters?: KeyFilters, options?: ReadOptions): Promise<Answer<ApiKey[]>>;
  createKey(input: CreateKeyInput): Promise<Answer<ApiKeyWithSecret>>;
  rotateKey(input: RotateKeyInput): Promise<Answer<ApiKeyWithSecret>>;
  revokeKey(input: RevokeKeyInput): Promise<Answer<{ success: true }>>;
  listAuditLogs(query?: AuditLogsQuery, options?: ReadOptions): Promise<Answer<ApiAuditLogsPage>>;
  getAuditAnalytics(query?: AuditAnalyticsQuery, options?: ReadOptions): Promise<Answer<ApiAuditAnalytics>>;
  getAuditTimeseries(query?: AuditTimeseriesQuery, options?: ReadOptions): Promise<Answer<ApiAuditTimeseries>>;
  /** Hear of sessions that open and end, and of keys that may have changed. Returns what ends that. */
  subscribe(listener: (event: KeysteadEvent) => void): () => void;
}
