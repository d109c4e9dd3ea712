/** What went wrong, as a value: every call resolves to one of these beside its data, and rejects with none. */
export class KeysteadError extends Error {
  /** @param {{code: string, message: string, status?: number, field?: string | null, requestId?: string | null, retryAfter?: number | null}} facts */
  constructor({ code, message, status = 0, field = null, requestId = null, retryAfter = null }) {
    super(message);
    this.name = "KeysteadError";
    this.code = code;
    this.status = status;
    this.field = field;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

export const aborted = () => new KeysteadError({ code: "aborted", message: "The page no longer waits for this." });

export const unreachable = () =>
  new KeysteadError({ code: "unreachable", message: "Keystead could not be reached. Try again shortly." });

export const sessionEnded = () =>
  new KeysteadError({ code: "not_authenticated", message: "The session has ended. Open this page again.", status: 401 });

const unreadable = (status, requestId) =>
  new KeysteadError({ code: "unreadable", message: "The answer could not be read. Try again shortly.", status, requestId });

/** Read an answer to its end: `{data}` of its envelope, or the error that it tells. */
export async function readAnswer(response) {
  const requestId = response.headers.get("X-Request-Id");
  const body = await readObject(response);
  if (response.ok && body && "data" in body) return { data: body.data, error: null };
  if (response.ok || typeof body?.message !== "string") {
    return { data: null, error: unreadable(response.status, requestId) };
  }
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const error = new KeysteadError({
    code: String(body.code ?? "error"),
    message: body.message,
    status: response.status,
    field: body.errors?.[0]?.field ?? null,
    requestId: body.request_id || requestId,
    retryAfter: Number.isNaN(seconds) ? null : seconds,
  });
  return { data: null, error };
}

async function readObject(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    return body !== null && typeof body === "object" ? body : null;
  } catch {
    return null;
  }
}
