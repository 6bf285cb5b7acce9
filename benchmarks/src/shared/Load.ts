/**
 * What the driver and the program of `pnpm bench load` tell each other.
 */
import type { Work } from "./Work.ts"

/** What the program is to do. */
export interface LoadWork extends Work {
  readonly what: "connections" | "commands"
}

/** What a process holds. */
export interface Counts {
  readonly sockets: number
  /** Fibers of Effect that have not ended. */
  readonly fibers: number
  readonly rssBytes: number
  /** Of the heap of JavaScript, after a collection. */
  readonly heapBytes: number
}

/** What it came to. */
export interface LoadReport {
  readonly before: Counts
  /** When half of the connections have been, or all commands are running. */
  readonly middle: Counts
  readonly after: Counts
  readonly millis: number
}
