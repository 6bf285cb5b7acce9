/**
 * What the driver and the program of `pnpm bench load` tell each other.
 */

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
  /** Sessions of forwarded connections that were opened. */
  readonly sessions?: number | undefined
  /** Commands that were run, those of the warm-up included. */
  readonly commands?: number | undefined
  readonly millis: number
}
