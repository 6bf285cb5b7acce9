/**
 * What servers say about a forwarded connection that has failed (protocol reference 4.2, 4.5): one text, in the words of
 * the runtime, which are all there is to tell by.
 */

/**
 * What has failed:
 * - `refused`: nothing takes connections at the port.
 * - `gone`: the pod's network is no more; the pod has ended, or another has its name.
 * - `broken`: the connection had been made, or may have been.
 */
export type Kind = "refused" | "gone" | "broken"

const goneTexts = [
  /network namespace for sandbox "[^"]*" is closed/,
  /sandbox \S+ is not running/,
  /(?:failed|unable) to find sandbox/,
  /sandbox "?[0-9a-f]+"?:? (?:not found|does not exist)/,
  /container not running/
]

const refusedTexts = [
  /failed to connect to /,
  /dial tcp/,
  /connection refused/,
  /connect: /,
  /no route to host/
]

/** Tells the kinds apart. A text that is not known may mean anything: `broken`. */
export const classify = (text: string): Kind =>
  goneTexts.some((pattern) => pattern.test(text))
    ? "gone"
    : refusedTexts.some((pattern) => pattern.test(text))
    ? "refused"
    : "broken"
