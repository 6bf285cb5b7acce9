/**
 * When a request is sent again: the rule of client-go, as a function.
 *
 * - 429 and 5xx only when the server says when, by `Retry-After`;
 * - a connection that was lost before the answer only when the request is idempotent (GET and HEAD: client-go repeats
 *   nothing else, because a lost answer does not tell whether the change was made);
 * - at most ten times.
 */

/** How a try ended. */
export type Outcome =
  | { readonly _tag: "Answered"; readonly code: number; readonly retryAfterMillis: number | undefined }
  | { readonly _tag: "ConnectionLost" }

/** Tries after the first. */
export const limit = 10

const lostDelayMillis = (attempt: number): number => Math.min(50 * 2 ** attempt, 1_000)

/**
 * Milliseconds to wait before the next try, or `undefined` to give up.
 *
 * `attempt` counts from 0.
 */
export const delayMillis = (attempt: number, method: string, outcome: Outcome): number | undefined => {
  if (attempt >= limit) return undefined
  switch (outcome._tag) {
    case "Answered":
      return outcome.code === 429 || outcome.code >= 500 ? outcome.retryAfterMillis : undefined
    case "ConnectionLost":
      return method === "GET" || method === "HEAD" ? lostDelayMillis(attempt) : undefined
  }
}
