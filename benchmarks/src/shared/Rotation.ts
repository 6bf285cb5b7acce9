/**
 * What the driver tells a server, and what servers tell of the tokens that they have changed.
 */

/** Tells a server to ask for a token from now on, and to take another one every so often. */
export interface Rotate {
  readonly _tag: "Rotate"
  /** Where it writes the token that it accepts, for clients to read. */
  readonly tokenFile: string
  /** The benchmark server counts commands that it has started; a test cluster counts milliseconds. */
  readonly every: number
}

/** What a server can be told. It answers with its record. */
export type Order = { readonly _tag: "Take" } | Rotate

/** What became of requests while tokens changed. */
export interface Rotations {
  /** How often the token was changed. */
  readonly rotations: number
  /** Requests with a former token, answered with 401. */
  readonly refused: number
  /** Those of them that asked for an upgrade. */
  readonly refusedUpgrades: number
  /** Those of them that came again and were accepted. */
  readonly repeated: number
}
