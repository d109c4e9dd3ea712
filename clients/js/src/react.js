"use client";

import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "react";

import { takeTicketFromAddress } from "./address.js";
import { KeysteadClient, KeysteadError } from "./client.js";

export { KeysteadError };

const ClientContext = createContext(null);

/** Gives the hooks below their client: one for `baseUrl`, or the one that is passed. */
export function KeysteadProvider({ baseUrl, client, children }) {
  const value = useMemo(() => client ?? new KeysteadClient({ baseUrl }), [client, baseUrl]);
  return createElement(ClientContext.Provider, { value }, children);
}

/** The client that the hooks speak through. */
export function useKeysteadClient() {
  const client = useContext(ClientContext);
  if (!client) throw new Error("Put a KeysteadProvider around what uses Keystead's hooks.");
  return client;
}

const AT_FIRST = { ticketExchanged: false, ticketLoading: false, sessionLoading: true, session: null, sessionError: null };

/**
 * Exchange a ticket for a session, once, and follow that session to its end.
 *
 * Without `ticket`, the one that stands in the address bar is used, and where there is none either,
 * the session that the browser already has. A missing or ended session is no error: `hasSession` is false.
 */
export function useApiAuthAppSession(ticket, { code_verifier } = {}) {
  const client = useKeysteadClient();
  const [state, show] = useReducer((before, change) => ({ ...before, ...change }), {
    ...AT_FIRST,
    ticketLoading: Boolean(ticket),
  });
  const held = useRef(null); // a ticket that is not used up yet
  const isEntering = useRef(false);

  const load = useCallback(
    async (signal) => {
      const { data, error } = await client.getSession({ signal });
      if (signal?.aborted) return;
      const isMissing = error?.status === 401 || error?.status === 403;
      if (error && !isMissing) show({ sessionLoading: false, sessionError: error }); // what was known stays
      else show({ sessionLoading: false, session: data, sessionError: null });
    },
    [client],
  );

  const enter = useCallback(
    async (signal) => {
      if (held.current) {
        show({ ticketExchanged: false, ticketLoading: true, sessionLoading: true });
        isEntering.current = true;
        const { error } = await client.exchangeTicket(held.current, { code_verifier });
        isEntering.current = false;
        if (signal?.aborted) return;
        if (error) {
          show({ ticketLoading: false, sessionLoading: false, session: null, sessionError: error });
          return;
        }
        held.current = null; // used up: from here on there is a session to ask about
      }
      show({ ticketExchanged: true, ticketLoading: false });
      await load(signal);
    },
    [client, code_verifier, load],
  );

  useEffect(() => {
    const gone = new AbortController();
    const fromAddress = takeTicketFromAddress();
    held.current = ticket || fromAddress || held.current;
    enter(gone.signal);
    const unsubscribe = client.subscribe(({ type }) => {
      if (type === "session_opened" && !isEntering.current) load(gone.signal);
      if (type === "session_ended") show({ sessionLoading: false, session: null, sessionError: null });
    });
    return () => {
      unsubscribe();
      gone.abort();
    };
  }, [client, ticket, enter, load]);

  const { session } = state;
  return {
    ...state,
    hasSession: session !== null,
    sessionId: session?.session_id ?? null,
    apiAuthApp: session?.api_auth_app ?? null,
    refetch: useCallback(() => enter(), [enter]),
    signOut: useCallback(() => client.signOut(), [client]),
  };
}

const askForKeys = (client, filters, options) => client.listKeys(filters, options);
const askForLogs = (client, query, options) => client.listAuditLogs(query, options);
const askForAnalytics = (client, query, options) => client.getAuditAnalytics(query, options);
const askForTimeseries = (client, query, options) => client.getAuditTimeseries(query, options);

/** The app's keys, and what can be done with them. Each change resolves to `{data, error}`, and the list follows it. */
export function useApiAuthKeys(filters = {}) {
  const client = useKeysteadClient();
  const { data, ...rest } = useAnswer(askForKeys, filters, "keys_changed");
  const changes = useMemo(
    () => ({
      createKey: (input) => client.createKey(input),
      rotateKey: (input) => client.rotateKey(input),
      editKey: (input) => client.editKey(input),
      revokeKey: (input) => client.revokeKey(input),
      undoRevoke: (input) => client.undoRevoke(input),
      disableKey: (input) => client.disableKey(input),
      enableKey: (input) => client.enableKey(input),
      changeOverlap: (input) => client.changeOverlap(input),
      endOverlap: (input) => client.endOverlap(input),
      previewImpact: (input, options) => client.previewImpact(input, options),
    }),
    [client],
  );
  return { keys: data ?? NONE, ...changes, ...rest };
}

/** One page of the app's decision log, newest first; `next_cursor` leads to the next while `has_more`. */
export function useApiAuthAuditLogs(options = {}) {
  const { data, ...rest } = useAnswer(askForLogs, options);
  return {
    logs: data?.data ?? NONE,
    limit: data?.limit ?? options.limit ?? 0,
    has_more: data?.has_more ?? false,
    next_cursor: data?.next_cursor ?? undefined,
    ...rest,
  };
}

/** Totals of the app's calls, with the parts that `include_…` asks for. */
export function useApiAuthAuditAnalytics(options = {}) {
  const { data, ...rest } = useAnswer(askForAnalytics, options);
  return { analytics: data, ...rest };
}

/** The app's calls over time, steps with calls alone. */
export function useApiAuthAuditTimeseries(options = {}) {
  const { data, ...rest } = useAnswer(askForTimeseries, options);
  return { timeseries: data?.data ?? NONE, interval: data?.interval ?? options.interval ?? "hour", ...rest };
}

const NONE = Object.freeze([]);

/** Ask a question on mount, when it changes, and when a new session or the event `staleAfter` may have changed its answer. */
function useAnswer(ask, query, staleAfter) {
  const client = useKeysteadClient();
  const question = JSON.stringify(query);
  const [turn, refetch] = useReducer((before) => before + 1, 0);
  const [answer, setAnswer] = useState({ question: null, data: null, error: null });
  const isWaiting = useRef(false);

  useEffect(() => {
    const gone = new AbortController();
    isWaiting.current = true;
    ask(client, JSON.parse(question), { signal: gone.signal }).then(({ data, error }) => {
      if (gone.signal.aborted) return;
      isWaiting.current = false;
      setAnswer((before) => ({ question, error, data: error ? lastKnown(before, question, error) : data }));
    });
    return () => gone.abort();
  }, [ask, client, question, turn]);

  useEffect(
    () =>
      client.subscribe(({ type, error }) => {
        if (type === staleAfter || (type === "session_opened" && !isWaiting.current)) refetch();
        if (type === "session_ended") setAnswer({ question, data: null, error });
      }),
    [client, question, staleAfter],
  );

  const isCurrent = answer.question === question;
  return {
    data: isCurrent ? answer.data : null,
    error: isCurrent ? answer.error : null,
    loading: !isCurrent,
    refetch: useCallback(() => refetch(), []),
  };
}

/** While Keystead is away, what was known stays on the page; after a refusal it does not. */
function lastKnown(before, question, error) {
  const isAway = error.status === 0 || error.status === 429 || error.status >= 500;
  return isAway && before.question === question ? before.data : null;
}
