/**
 * The forwarded connections that a cluster has seen.
 */
import type { ForwardIdentity, ForwardMatch } from "./ForwardFault.ts"
import { matches } from "./ForwardFault.ts"

/** One connection that was asked for. */
export interface ForwardRecord extends ForwardIdentity {
  /** Which upgraded connection has carried it, counted from 1. */
  readonly socket: number
  readonly transport: "tunnel" | "spdy" | "websocket"
  readonly isOpen: boolean
  /** Whether the client has said its end. */
  readonly clientEnded: boolean
  /** Whether the client has reset it. */
  readonly clientReset: boolean
  /** What the server has said of its failure. */
  readonly text: string | undefined
  /** Bytes from the client, and for it. */
  readonly received: number
  readonly sent: number
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** A record that is written. */
export type Entry = Mutable<ForwardRecord>

/** All records. */
export interface ForwardRecords {
  /** The number of a new upgraded connection. */
  readonly socket: () => number
  readonly open: (
    identity: ForwardIdentity & { readonly socket: number; readonly transport: ForwardRecord["transport"] }
  ) => Entry
  readonly find: (match: ForwardMatch) => ReadonlyArray<ForwardRecord>
}

const maxRecords = 20_000

/** No records yet. The latest 20,000 are kept. */
export const make = (): ForwardRecords => {
  let entries: Array<Entry> = []
  let sockets = 0
  return {
    socket: () => ++sockets,
    open: (identity) => {
      const entry: Entry = {
        ...identity,
        isOpen: true,
        clientEnded: false,
        clientReset: false,
        text: undefined,
        received: 0,
        sent: 0
      }
      if (entries.length >= 2 * maxRecords) entries = entries.slice(-maxRecords)
      entries.push(entry)
      return entry
    },
    find: (match) => entries.filter((entry) => matches(entry, match)).map((entry) => ({ ...entry }))
  }
}
