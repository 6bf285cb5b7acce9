/**
 * What can go wrong with a forwarded connection, told per test.
 *
 * ```ts
 * yield* cluster.pods.injectForward({ port: 8080 }, ForwardFault.refuse("no such thing"))
 * ```
 */
import * as FaultPlans from "../FaultPlans.ts"

/** A fault. */
export type ForwardFault =
  /** The server says this on the error stream instead of connecting. */
  | { readonly _tag: "Refuse"; readonly text: string }
  /** The streams are reset after so many bytes for the client, without a word. */
  | { readonly _tag: "ResetAfter"; readonly bytes: number }
  /** What carries the connection ends after so many bytes for the client, and all others with it. */
  | { readonly _tag: "CutAfter"; readonly bytes: number; readonly how: "fin" | "reset" }
  /** The connection is taken, and then nothing: no byte is read or sent. */
  | { readonly _tag: "Stall" }
  /** The streams are not even taken. */
  | { readonly _tag: "Ignore" }
  /** The error stream is never ended. */
  | { readonly _tag: "WithholdEnd" }

/** Refuses in these words. */
export const refuse = (text: string): ForwardFault => ({ _tag: "Refuse", text })

/** Resets the streams after so many bytes for the client. */
export const resetAfter = (bytes: number): ForwardFault => ({ _tag: "ResetAfter", bytes })

/** Cuts what carries the connection after so many bytes for the client: in order, or with an RST. */
export const cutAfter = (bytes: number, how: "fin" | "reset" = "fin"): ForwardFault => ({
  _tag: "CutAfter",
  bytes,
  how
})

/** Takes the connection, and does nothing with it. */
export const stall: ForwardFault = { _tag: "Stall" }

/** Does not take the connection. */
export const ignore: ForwardFault = { _tag: "Ignore" }

/** Ends the data, and never the error stream. */
export const withholdEnd: ForwardFault = { _tag: "WithholdEnd" }

/** Which connections. */
export interface ForwardMatch {
  readonly namespace?: string | undefined
  readonly pod?: string | undefined
  readonly port?: number | undefined
}

/** A connection that was asked for. */
export interface ForwardIdentity {
  readonly namespace: string
  readonly pod: string
  readonly port: number
}

/** Whether a connection is as a match says. */
export const matches = (connection: ForwardIdentity, match: ForwardMatch): boolean =>
  (["namespace", "pod", "port"] as const).every((key) => match[key] === undefined || match[key] === connection[key])

/** The faults of a cluster's forwarded connections. */
export type ForwardFaults = FaultPlans.FaultPlans<ForwardMatch, ForwardFault, ForwardIdentity>

/** No faults yet. */
export const make = (): ForwardFaults => FaultPlans.make(matches)
