/**
 * What passes between a process with the contract's servers and the one with the rows: a line of JSON each.
 *
 * The servers' process begins with a reply to the request 0, which is its certificates.
 */
import type { Certificates, Listener, ListenOptions, Stats } from "../Peer.ts"

/** What the rows ask for. `id` is the listener's; `listen` names it. */
export type Command =
  | { readonly _tag: "listen"; readonly id: number; readonly options: ListenOptions }
  | { readonly _tag: "stats"; readonly id: number }
  | { readonly _tag: "release"; readonly id: number }
  | { readonly _tag: "close"; readonly id: number }

/** A command with the number that its reply has. */
export interface Request {
  readonly number: number
  readonly command: Command
}

/** The value of a reply, by the command. */
export interface Values {
  readonly hello: Certificates
  readonly listen: Listener["address"]
  readonly stats: Stats
  readonly release: null
  readonly close: null
}

/** A reply. */
export interface Reply {
  readonly number: number
  readonly value: Values[keyof Values]
}
