import { KeysteadError, aborted, readAnswer, sessionEnded, unreachable } from "./error.js";

export { KeysteadError };

const ABSENT = new Set([undefined, null, false]);
const LISTS = ["permissions", "allowed_cidrs", "resources"];
const TIMEOUT_MS = 10_000;
const NOT_DECIDED = new Set([0, 429, 500, 502, 503, 504]); // an exchange that is answered so can be tried again

/**
 * Speaks Keystead's browser session API with the session's cookie.
 *
 * Field names are the wire's, in what is sent and in what comes back. Every call resolves to
 * `{data, error}`, of which one is null, and never rejects.
 */
export class KeysteadClient {
  #baseUrl;
  #fetch;
  #timeoutMs;
  #listeners = new Set();
  #exchanges = new Map();
  #exchanging = null;
  #underWay = new Map();
  #sessionsOpened = 0;
  #sessionsEnded = 0;
  #hasEnded = false;

  /** @param {{baseUrl: string, fetch?: typeof fetch, timeoutMs?: number}} options */
  constructor({ baseUrl, fetch: ownFetch, timeoutMs = TIMEOUT_MS }) {
    this.#baseUrl = String(baseUrl).replace(/\/+$/, "");
    this.#fetch = ownFetch ?? ((...request) => globalThis.fetch(...request));
    this.#timeoutMs = timeoutMs;
  }

  /** Exchange a ticket for a session. The same ticket is sent once, however often and from wherever this is called. */
  exchangeTicket(ticket, { code_verifier } = {}) {
    let exchange = this.#exchanges.get(ticket);
    if (!exchange) {
      exchange = this.#exchange(ticket, code_verifier);
      this.#exchanges.set(ticket, exchange);
      this.#exchanging = exchange;
      exchange.then(() => {
        if (this.#exchanging === exchange) this.#exchanging = null;
      });
    }
    return exchange;
  }

  getSession(options) {
    return this.#read("/api-auth/session", {}, options);
  }

  /** End the session, here and in the portal. */
  async signOut() {
    const answer = await this.#request("DELETE", "/api-auth/session", {});
    if (!answer.error) this.#end(sessionEnded());
    return answer;
  }

  listKeys({ status } = {}, options) {
    return this.#read("/api-auth/keys", { status }, options);
  }

  /**
   * Make a key. `data.secret` stands in this one answer; null there means that the key was made by an earlier try.
   *
   * As every change, it takes `wait_seconds`: the answer then comes once every gateway has the change, and says so.
   */
  createKey({ name, permissions, expires_at, allowed_cidrs, resources, limits, note, wait_seconds }) {
    const lists = { permissions, allowed_cidrs, resources };
    const form = { name, ...lists, expires_at, limits: asText(limits), note };
    return this.#changeOnce("/api-auth/keys", form, wait_seconds);
  }

  /** Replace a key; the old secret works on for `overlap_seconds`, or as long as the app says without it. */
  rotateKey({ key_id, overlap_seconds, wait_seconds }) {
    return this.#changeOnce(aboutKey(key_id, "rotate"), { overlap_seconds }, wait_seconds);
  }

  /** Change the fields that are given: null or an empty list clears one, what is absent stays. */
  editKey({ key_id, name, note, permissions, allowed_cidrs, resources, limits, expires_at, wait_seconds }) {
    const fields = { name, note, permissions, allowed_cidrs, resources, limits: asText(limits), expires_at };
    return this.#change(aboutKey(key_id, "edit"), cleared(fields), wait_seconds);
  }

  /** End a key for good. Ending it again changes nothing. */
  revokeKey({ key_id, reason, wait_seconds }) {
    return this.#change(aboutKey(key_id, "revoke"), { reason }, wait_seconds);
  }

  /** Take a revoke back, for as long as the app's policy lets it; the same secret works again. */
  undoRevoke({ key_id, wait_seconds }) {
    return this.#change(aboutKey(key_id, "undo-revoke"), {}, wait_seconds);
  }

  /** Block a key until it is enabled again. */
  disableKey({ key_id, reason, wait_seconds }) {
    return this.#change(aboutKey(key_id, "disable"), { reason }, wait_seconds);
  }

  enableKey({ key_id, reason, wait_seconds }) {
    return this.#change(aboutKey(key_id, "enable"), { reason }, wait_seconds);
  }

  /** Say until when the old secret of a rotated key works, 30 days after the rotation at most. */
  changeOverlap({ key_id, overlap_ends_at, wait_seconds }) {
    return this.#change(aboutKey(key_id, "change-overlap"), { overlap_ends_at }, wait_seconds);
  }

  /** End the overlap of a rotated key now. */
  endOverlap({ key_id, wait_seconds }) {
    return this.#change(aboutKey(key_id, "end-overlap"), {}, wait_seconds);
  }

  /** Tell which of a key's latest calls a change would have blocked: an action, or new values. Changes nothing. */
  async previewImpact({ key_id, action, permissions, allowed_cidrs, resources, limits }, { signal } = {}) {
    const fields = cleared({ permissions, allowed_cidrs, resources, limits: asText(limits) });
    await this.#exchanging;
    return this.#request("POST", aboutKey(key_id, "impact"), { form: { action, ...fields }, signal });
  }

  listAuditLogs(query, options) {
    return this.#read("/api-auth/audit/logs", query, options);
  }

  getAuditAnalytics(query, options) {
    return this.#read("/api-auth/audit/analytics", query, options);
  }

  getAuditTimeseries(query, options) {
    return this.#read("/api-auth/audit/timeseries", query, options);
  }

  /** Call `listener` with `{type}`: session_opened, session_ended (with its error), keys_changed. Returns what ends that. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(event) {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (problem) {
        console.error(problem); // what a listener does wrong takes no answer away from the caller
      }
    }
  }

  #end(error) {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#sessionsEnded += 1;
    this.#tell({ type: "session_ended", error });
  }

  async #exchange(ticket, code_verifier) {
    const answer = await this.#request("POST", "/session/ticket/exchange", { form: { ticket, code_verifier } });
    if (!answer.error) {
      this.#sessionsOpened += 1;
      this.#tell({ type: "session_opened" });
    } else if (NOT_DECIDED.has(answer.error.status)) {
      this.#exchanges.delete(ticket);
    }
    return answer;
  }

  async #read(path, query, { signal } = {}) {
    await null; // React runs the effects of children first: let a parent begin its exchange
    await this.#exchanging;
    for (let tries = 2; ; ) {
      const [opened, ended] = [this.#sessionsOpened, this.#sessionsEnded];
      const answer = await this.#request("GET", withQuery(path, query), { signal });
      if (opened !== this.#sessionsOpened) continue; // it is the answer of another session
      if (answer.error?.code === "unreachable" && (tries -= 1)) continue;
      return answer.error || ended === this.#sessionsEnded ? answer : { data: null, error: sessionEnded() };
    }
  }

  /** Send a change under a name of its own: a second click shares the first one's answer, a lost answer is asked for again. */
  #changeOnce(path, form, wait_seconds) {
    const action = JSON.stringify([path, form]);
    let change = this.#underWay.get(action);
    if (!change) {
      change = this.#change(path, form, wait_seconds, newName());
      this.#underWay.set(action, change);
      change.then(() => this.#underWay.delete(action));
    }
    return change;
  }

  async #change(path, form, wait_seconds, name) {
    const request = { form, headers: changing(wait_seconds, name), longerMs: 1000 * (wait_seconds ?? 0) };
    let answer = await this.#request("POST", path, request);
    if (name && answer.error?.code === "unreachable") answer = await this.#request("POST", path, request);
    for (let pause = 250; name && answer.error?.code === "in_flight" && pause <= 4000; pause *= 2) {
      await new Promise((go) => setTimeout(go, pause)); // the first one is still being carried out
      answer = await this.#request("POST", path, request);
    }
    if (mayHaveHappened(answer.error)) this.#tell({ type: "keys_changed" });
    return answer;
  }

  async #request(method, path, { form, headers, signal, longerMs }) {
    const askedIn = this.#sessionsOpened;
    const answer = await this.#send(`${this.#baseUrl}${path}`, {
      method,
      headers: { Accept: "application/json", ...headers },
      body: form && new URLSearchParams(given(form)),
      signal,
      longerMs,
      credentials: "include",
      cache: "no-store",
      referrerPolicy: "no-referrer",
    });
    if (!answer.error) this.#hasEnded = false;
    const isWithoutSession = answer.error?.status === 401 && answer.error.code !== "ticket_refused";
    if (isWithoutSession && askedIn === this.#sessionsOpened) this.#end(answer.error);
    return answer;
  }

  async #send(url, { signal, longerMs = 0, ...request }) {
    const limit = new AbortController();
    const stop = () => limit.abort();
    const timer = setTimeout(stop, this.#timeoutMs + longerMs);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    try {
      return await readAnswer(await this.#fetch(url, { ...request, signal: limit.signal }));
    } catch {
      return { data: null, error: signal?.aborted ? aborted() : unreachable() };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }
}

/** A change whose answer is lost may have been made; one that came too late says that somebody else made one. */
function mayHaveHappened(error) {
  return !error || error.status === 0 || error.status === 409 || error.status >= 500;
}

/** The headers of a change: for how long to wait until every gateway has it, and its name where it may be sent again. */
function changing(wait_seconds, name) {
  const wait = wait_seconds == null ? {} : { Prefer: `wait=${wait_seconds}` };
  return name ? { ...wait, "Idempotency-Key": name } : wait;
}

function aboutKey(key_id, what) {
  return `/api-auth/keys/${encodeURIComponent(key_id)}/${what}`;
}

/** Limits are one field of a form: a list, written as JSON. */
function asText(limits) {
  return limits && JSON.stringify(limits);
}

/** In a change, an empty field clears: what is null or an empty list is sent as one. */
function cleared(fields) {
  const isEmpty = ([name, value]) => value === null || (LISTS.includes(name) && value?.length === 0);
  return Object.fromEntries(Object.entries(fields).map((field) => (isEmpty(field) ? [field[0], ""] : field)));
}

function withQuery(path, query) {
  const text = new URLSearchParams(given(query)).toString();
  return text ? `${path}?${text}` : path;
}

/** Leave out what is absent; the rest are texts on the wire, a list as one field for each of its members. */
function given(fields = {}) {
  return Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().filter((one) => !ABSENT.has(one)).map((one) => [name, String(one)]),
  );
}

/** A name that no other call has; `randomUUID` is there on secure pages alone. */
function newName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
