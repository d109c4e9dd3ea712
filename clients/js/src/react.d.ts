import type { FunctionComponent, ReactNode } from "react";
import type {
  Answer,
  ApiAuditAnalytics,
  ApiAuditLog,
  ApiAuditTimeseriesPoint,
  ApiAuthAppInfo,
  ApiAuthAppSessionData,
  ApiKey,
  ApiKeyWithSecret,
  AuditAnalyticsQuery,
  AuditLogsQuery,
  AuditTimeseriesQuery,
  ApiKeyImpact,
  ChangeOverlapInput,
  ChangedApiKey,
  CreateKeyInput,
  EditKeyInput,
  KeyFilters,
  KeyInput,
  KeysteadClient,
  KeysteadError,
  PreviewImpactInput,
  ReadOptions,
  RevokeKeyInput,
  RevokedApiKey,
  RotateKeyInput,
  SwitchKeyInput,
} from "./client.js";

export { KeysteadError } from "./client.js";

/** Gives the hooks below their client: one for `baseUrl`, or the one that is passed. */
export declare const KeysteadProvider: FunctionComponent<
  ({ baseUrl: string; client?: undefined } | { client: KeysteadClient; baseUrl?: undefined }) & { children?: ReactNode }
>;

export declare function useKeysteadClient(): KeysteadClient;

/**
 * Exchange a ticket for a session, once, and follow that session to its end. Without `ticket`, the one
 * that stands in the address bar, which is taken out of it; else the session that the browser already has.
 */
export declare function useApiAuthAppSession(
  ticket?: string | null,
  options?: { code_verifier?: string },
): {
  hasSession: boolean;
  /** True while the ticket or the session is being asked about. */
  sessionLoading: boolean;
  /** Why the ticket or the session could not be had. Having no session is no error. */
  sessionError: KeysteadError | null;
  sessionId: string | null;
  /** For whom the session is, and how far it reaches. */
  session: ApiAuthAppSessionData | null;
  apiAuthApp: ApiAuthAppInfo | null;
  /** True once no ticket waits any more. */
  ticketExchanged: boolean;
  ticketLoading: boolean;
  refetch: () => Promise<void>;
  /** End the session, here and in the portal. */
  signOut: () => Promise<Answer<{ success: true }>>;
};

interface Asked {
  /** True until there is an answer to the present question. */
  loading: boolean;
  error: KeysteadError | null;
  refetch: () => void;
}

/** The app's keys, and what can be done with them. Lists on the page follow each change. */
export declare function useApiAuthKeys(filters?: KeyFilters): Asked & {
  keys: readonly ApiKey[];
  createKey: (input: CreateKeyInput) => Promise<Answer<ApiKeyWithSecret>>;
  rotateKey: (input: RotateKeyInput) => Promise<Answer<ApiKeyWithSecret>>;
  editKey: (input: EditKeyInput) => Promise<Answer<ChangedApiKey>>;
  revokeKey: (input: RevokeKeyInput) => Promise<Answer<RevokedApiKey>>;
  undoRevoke: (input: KeyInput) => Promise<Answer<ChangedApiKey>>;
  disableKey: (input: SwitchKeyInput) => Promise<Answer<ChangedApiKey>>;
  enableKey: (input: SwitchKeyInput) => Promise<Answer<ChangedApiKey>>;
  changeOverlap: (input: ChangeOverlapInput) => Promise<Answer<ChangedApiKey>>;
  endOverlap: (input: KeyInput) => Promise<Answer<ChangedApiKey>>;
  previewImpact: (input: PreviewImpactInput, options?: ReadOptions) => Promise<Answer<ApiKeyImpact>>;
};

/** One page of the decision log, newest first. Go on with `next_cursor` while `has_more`. */
export declare function useApiAuthAuditLogs(options?: AuditLogsQuery): Asked & {
  logs: readonly ApiAuditLog[];
  limit: number;
  has_more: boolean;
  next_cursor: string | undefined;
};

export declare function useApiAuthAuditAnalytics(
  options?: AuditAnalyticsQuery,
): Asked & { analytics: ApiAuditAnalytics | null };

export declare function useApiAuthAuditTimeseries(
  options?: AuditTimeseriesQuery,
): Asked & { timeseries: readonly ApiAuditTimeseriesPoint[]; interval: string };
