/**
 * When a bare command may be sent something. Pure.
 *
 * Without the supervisor the server closes as soon as the command ends, and a byte that reaches it after that resets
 * the output still on its way (protocol reference 8.1). So nothing is sent while output is waiting to be read or is just
 * arriving, and nothing after the end. A supervised command needs no gate, because the server cannot close before the
 * client has acknowledged; on a terminal the user's keys come first.
 */

/** What is known. Moments in milliseconds of any clock. */
export interface State {
  /** Reading is paused, because the consumer is slow. */
  readonly paused: boolean
  /** The last output. */
  readonly outputAt: number
  /** Stdin has ended, or the status is here. */
  readonly ended: boolean
}

/** Output within this time means that more may be on its way. */
export const quietMillis = 5

/** A writer waits no longer than this for quiet while we keep up with the output: then nothing is waiting to be read. */
export const patienceMillis = 500

/** Whether a writer that has waited since `since` may write, may never, or when to ask again. */
export type Verdict =
  | { readonly _tag: "Open" }
  | { readonly _tag: "Never" }
  /** Ask again after so many milliseconds; without a number, when reading has resumed. */
  | { readonly _tag: "Wait"; readonly millis: number | undefined }

const open: Verdict = { _tag: "Open" }
const never: Verdict = { _tag: "Never" }

/** Decides. */
export const decide = (state: State, now: number, since: number): Verdict => {
  if (state.ended) return never
  if (state.paused) return { _tag: "Wait", millis: undefined }
  const quietIn = quietMillis - (now - state.outputAt)
  const patience = patienceMillis - (now - since)
  return quietIn <= 0 || patience <= 0 ? open : { _tag: "Wait", millis: Math.min(quietIn, patience) }
}
