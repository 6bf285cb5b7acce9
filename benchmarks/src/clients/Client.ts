/**
 * The frame of a measured program: reads its work, warms up, measures, reports.
 */
import * as Usage from "../shared/Usage.ts"
import type { Report, Work } from "../shared/Work.ts"

/** What a client can do. What it leaves out is not measured of it. */
export interface Operations {
  /** Reads the command's output to the end; gives the bytes. */
  readonly stdout?: (work: Work, take: (chunk: Uint8Array) => void) => Promise<void>
  /** Writes the pattern; gives the number that the command read. */
  readonly stdin?: (work: Work) => Promise<number>
  /** Begins to read output, and reads nothing for as long as it is told. */
  readonly stalled?: (work: Work) => Promise<void>
  /** One byte there and back, one at a time: the times. */
  readonly roundTrips?: (work: Work) => Promise<ReadonlyArray<number>>
  /** Commands that do nothing, one after the other: the times. */
  readonly noops?: (work: Work) => Promise<ReadonlyArray<number>>
  /** Lists of pods, one after the other: the times. Gives how many pods were in the last. */
  readonly lists?: (work: Work) => Promise<{ readonly laps: ReadonlyArray<number>; readonly items: number }>
}

type Outcome = Pick<Report, "bytes" | "laps">

const mebibyte = 1024 * 1024
// Enough that code paths are compiled and buffers are there; not so much that a leak would hide in it.
const warmUp = { bytes: 8 * mebibyte, count: 20, stallMillis: 100, rate: 0, check: false }

const unable = (work: Work): never => {
  throw new Error(`This client has no ${work.kind}.`)
}

const perform = async (operations: Operations, work: Work): Promise<Outcome> => {
  switch (work.kind) {
    case "stdout": {
      const receiver = Usage.receiver(work.check)
      await (operations.stdout ?? unable)(work, receiver.take)
      return { bytes: receiver.bytes() }
    }
    case "stdin":
      return { bytes: await (operations.stdin ?? unable)(work) }
    case "stalled":
      await (operations.stalled ?? unable)(work)
      return { bytes: 0 }
    case "roundTrips":
      return { bytes: 0, laps: await (operations.roundTrips ?? unable)(work) }
    case "cold":
    case "noops":
      return { bytes: 0, laps: await (operations.noops ?? unable)(work) }
    case "lists": {
      const { items, laps } = await (operations.lists ?? unable)(work)
      return { bytes: items, laps }
    }
  }
}

/** Runs the program. */
export const main = async (make: (work: Work) => Promise<Operations>, version?: string): Promise<void> => {
  const work = JSON.parse(process.argv[2] ?? "{}") as Work
  const operations = await make(work)
  if (work.kind !== "cold") {
    await perform(operations, {
      ...work,
      ...warmUp,
      // A stall is not warmed up by a stall: what the connection and the codec need is what a short read needs.
      kind: work.kind === "stalled" ? "stdout" : work.kind
    })
  }
  const report: Report = { ...await Usage.measure(() => perform(operations, work)), version }
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
}
