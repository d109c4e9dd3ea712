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

/** What a session may ask for: `own` is about a key of its subject, `any` about every key that it sees. */
export type Action =
  | "see"
  | "create"
  | "rename"
  | "edit_own"
  | "edit_any"
  | "rotate_own"
  | "rotate_any"
  | "disable_own"
  | "disable_any"
  | "revoke_own"
  | "revoke_any"
  | "change_limits"
  | "export"
  | "see_addresses"
  | "see_user_agents"
  | "see_activity"
  | "see_compliance";

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
  /** The permissions that the app's keys can have; empty for any. */
  permissions: string[];
  /** What a key can be bound to: paths, each with all that lies below it. */
  resources: string[];
  /** How long an old secret works on after a rotation that does not say. */
  default_overlap_seconds: number;
}

export interface ApiAuthAppSessionData {
  session_id: string;
  /** The product's own user, on whose behalf the session acts. */
  subject: { id: string; name: string; email: string };
  organization_id: string | null;
  workspace_id: string | null;
  /** What the session may do; the server decides, this is for showing the right buttons. */
  role: Role;
  /** All that the role reaches, by the app's policy. */
  actions: Action[];
  /** What each permission that the session may give is for, and its group; both may be empty. */
  permission_details: Record<string, { description: string; group: string }>;
  /** Ready-made choices among those permissions, the smallest first. */
  presets: { name: string; permissions: string[] }[];
  /** The permissions that it may give to keys at most; null where its ticket set no bound. */
  permissions: string[] | null;
  /** When a key that the session makes has to end, by the app's policy and the session's own bound together. */
  key_expiry: { mode: "optional" | "mandatory"; longest_days: number | null; default_days: number | null };
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
  deployment_id: string;
  app_slug: string;
  name: string;
  key_prefix: string;
  key_suffix: string;
  permissions: string[];
  metadata: Record<string, unknown>;
  /** Those of the app. */
  rate_limits: RateLimit[];
  /** The key's own, besides those of the app. */
  limits: RateLimit[];
  org_role_permissions: string[];
  workspace_role_permissions: string[];
  /** The networks from which the key may be used; empty for any. */
  allowed_cidrs: string[];
  /** The resources that it is bound to; empty for all. */
  resources: string[];
  /** Those of its permissions that the app no longer names; they let calls through still. */
  dropped_permissions: string[];
  /** Those of its resources that the app no longer names; they open nothing. */
  dropped_resources: string[];
  /** Whose key it is. */
  user_id: string | null;
  organization_id: string | null;
  workspace_id: string | null;
  created_by: string;
  rotation_due_at: string | null;
  is_rotation_overdue: boolean;
  status: "revoked" | "disabled" | "rotated_out" | "expired" | "in_grace" | "active";
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

/** Stands in the answer to a change that was told `wait_seconds`. */
export interface Propagated {
  /** Whether no gateway answers any more as before the change. */
  propagated?: boolean;
  /** How many gateways have it, of those that may still answer. */
  gateways?: { acknowledged: number; live: number };
}

export interface ChangedApiKey extends ApiKey, Propagated {}

export interface RevokedApiKey extends Propagated {
  success: true;
}

export interface ApiKeyWithSecret extends ApiKey, Propagated {
  /** Stands in this one answer. Null where an earlier try of this call made the key, and its answer was lost. */
  secret: string | null;
  /** The same key, without its secret. */
  key: ApiKey;
  /** True where an earlier try of this call made the key. */
  replayed?: boolean;
}

export interface KeyFilters {
  /** Without it: the active ones. */
  status?: "active" | "revoked" | "expired" | "all";
}

/** A limit of one key. With the `id` that it has already, it goes on counting. */
export interface KeyLimit {
  id?: string;
  unit: RateLimit["unit"];
  duration: number;
  max_requests: number;
  /** `per_key` without it. */
  mode?: "per_key" | "per_key_and_ip";
  priority?: number;
  /** All paths without them. */
  endpoints?: readonly string[];
}

/** What a key may do, each of which can block calls. */
export interface KeyBounds {
  permissions?: readonly string[];
  /** The networks from which the key may be used; anywhere without it. */
  allowed_cidrs?: readonly string[];
  /** Some of the app's resources; all without them. */
  resources?: readonly string[];
  /** Takes `change_limits`. */
  limits?: readonly KeyLimit[];
}

export interface WaitInput {
  /** Answer once every gateway has the change, or after so many seconds, 10 at most. The change is made in any case. */
  wait_seconds?: number;
}

export interface CreateKeyInput extends KeyBounds, WaitInput {
  name: string;
  /** RFC 3339. */
  expires_at?: string;
  note?: string;
}

export interface KeyInput extends WaitInput {
  key_id: string;
}

/** What is absent stays; null or an empty list clears. A list replaces all of its kind. */
export interface EditKeyInput extends KeyInput, KeyBounds {
  name?: string;
  note?: string | null;
  expires_at?: string | null;
}

export interface SwitchKeyInput extends KeyInput {
  reason?: string;
}

export interface ChangeOverlapInput extends KeyInput {
  /** RFC 3339. */
  overlap_ends_at: string;
}

/** What one would do to a key: an action, or new values. */
export type PreviewImpactInput = { key_id: string } & ({ action: "revoke" | "disable" } | ({ action?: undefined } & KeyBounds));

/** What it would have done to the key's calls between two moments. */
export interface ApiKeyImpact {
  window_start: string;
  window_end: string;
  complete_until: string;
  calls: number;
  blocked: number;
  last_blocked_at: string | null;
  rules: { rule: string; calls: number }[];
  /** Those with the most blocked calls, of `path_count`. */
  paths: { path: string; calls: number }[];
  path_count: number;
  /** Where the role may see them. */
  addresses?: { client_ip: string; calls: number }[];
  address_count?: number;
}

export interface RotateKeyInput extends KeyInput {
  /** How long the old secret works on: 0 to 2592000. Without it, as long as the app says. */
  overlap_seconds?: number;
}

export interface RevokeKeyInput extends KeyInput {
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
  /** The machine name of a rule, such as `key_revoked`. */
  rule?: string;
  method?: string;
  path_prefix?: string;
  /** Takes `see_addresses`. */
  client_ip?: string;
  request_id?: string;
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
  required_permissions: string[];
  held_permissions: string[] | null;
  /** How a secret began that is no key's. */
  presented_start: string | null;
  retry_after: number | null;
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
  /** The zone whose days, weeks and months are meant, such as `Europe/Berlin`; UTC without it. */
  tz?: string;
  /** Steps without calls too. */
  fill?: boolean;
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

export interface ReadOptions {
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
  editKey(input: EditKeyInput): Promise<Answer<ChangedApiKey>>;
  revokeKey(input: RevokeKeyInput): Promise<Answer<RevokedApiKey>>;
  undoRevoke(input: KeyInput): Promise<Answer<ChangedApiKey>>;
  disableKey(input: SwitchKeyInput): Promise<Answer<ChangedApiKey>>;
  enableKey(input: SwitchKeyInput): Promise<Answer<ChangedApiKey>>;
  changeOverlap(input: ChangeOverlapInput): Promise<Answer<ChangedApiKey>>;
  endOverlap(input: KeyInput): Promise<Answer<ChangedApiKey>>;
  /** Tell which of a key's latest calls a change would have blocked. Changes nothing. */
  previewImpact(input: PreviewImpactInput, options?: ReadOptions): Promise<Answer<ApiKeyImpact>>;
  listAuditLogs(query?: AuditLogsQuery, options?: ReadOptions): Promise<Answer<ApiAuditLogsPage>>;
  getAuditAnalytics(query?: AuditAnalyticsQuery, options?: ReadOptions): Promise<Answer<ApiAuditAnalytics>>;
  getAuditTimeseries(query?: AuditTimeseriesQuery, options?: ReadOptions): Promise<Answer<ApiAuditTimeseries>>;
  /** Hear of sessions that open and end, and of keys that may have changed. Returns what ends that. */
  subscribe(listener: (event: KeysteadEvent) => void): () => void;
}
