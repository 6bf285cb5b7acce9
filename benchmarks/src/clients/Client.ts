/**
 * The frame of a measured program: reads its work, warms up, measures, reports.
 */
import * as Usage from "../shared/Usage.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"
import * as Forwarded from "./Forwarded.ts"

/** What a client can do. What it leaves out is not measured of it. */
export interface Operations {
  /** Reads the command's output to the end; gives the bytes. */
  readonly stdout?: (work: Work, take: (chunk: Uint8Array) => void) => Promise<void>
  /** Writes the pattern; gives the command's answer. */
  readonly stdin?: (work: Work) => Promise<string>
  /** Writes the pattern to a command that gives it back, and reads it meanwhile, to the end. */
  readonly duplex?: (work: Work, take: (chunk: Uint8Array) => void) => Promise<void>
  /** Begins to read output, and reads nothing for as long as it is told. */
  readonly stalled?: (work: Work) => Promise<void>
  /** One byte there and back, one at a time: the times. */
  readonly roundTrips?: (work: Work) => Promise<ReadonlyArray<number>>
  /** Commands that do nothing, one after the other: the times. */
  readonly noops?: (work: Work) => Promise<ReadonlyArray<number>>
  /** Lists of pods, one after the other: the times. Gives how many pods were in the last. */
  readonly lists?: (work: Work) => Promise<{ readonly laps: ReadonlyArray<number>; readonly items: number }>
  /** Opens what connections are forwarded by. */
  readonly forward?: (work: Work) => Promise<Forwarded.Forward>
}

const mebibyte = 1024 * 1024
// Enough that code paths are compiled and buffers are there; not so much that a leak would hide in it.
const warmUp = { bytes: 8 * mebibyte, count: 20, stallMillis: 100, rate: 0, check: false }

const unable = (work: Work): never => {
  throw new Error(`This client has no ${work.kind}.`)
}

/** Each of them reads its part of the output, in whole blocks. */
const concurrent = async (operations: Operations, work: Work): Promise<Usage.Outcome> => {
  const each = Words.partOf(work)
  const receivers = Array.from({ length: work.count }, () => Usage.receiver(work.check))
  await Promise.all(receivers.map(({ take }) => (operations.stdout ?? unable)({ ...work, bytes: each }, take)))
  const short = receivers.find((receiver) => receiver.bytes() !== each)
  if (short !== undefined) throw new Error(`one of the commands gave ${short.bytes()} of ${each} bytes`)
  return { bytes: each * work.count }
}

const perform = async (
  operations: Operations,
  work: Work,
  forward: Forwarded.Forward | undefined
): Promise<Usage.Outcome> => {
  switch (work.kind) {
    case "stdout": {
      const receiver = Usage.receiver(work.check)
      await (operations.stdout ?? unable)(work, receiver.take)
      return { bytes: receiver.bytes() }
    }
    case "stdin":
      return Words.answerOf(await (operations.stdin ?? unable)(work), work)
    case "duplex": {
      const receiver = Usage.hasher()
      await (operations.duplex ?? unable)(work, receiver.take)
      return { bytes: receiver.bytes(), sha256: receiver.sha256() }
    }
    case "concurrent":
      return await concurrent(operations, work)
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
    default:
      return await Forwarded.perform(forward ?? unable(work), work)
  }
}

// A stall is not warmed up by a stall: what the connection and the codec need is what a short read needs.
const warmUpKinds: Partial<Record<Work["kind"], Work["kind"]>> = { stalled: "stdout", forwardStalled: "forwardDown" }

/** Runs the program. */
export const main = async (make: (work: Work) => Promise<Operations>): Promise<void> => {
  const work = JSON.parse(process.argv[2] ?? "{}") as Work
  const operations = await make(work)
  const forward = work.kind.startsWith("forward") ? await operations.forward?.(work) : undefined
  if (work.kind !== "cold") {
    await perform(operations, { ...work, ...warmUp, kind: warmUpKinds[work.kind] ?? work.kind }, forward)
  }
  const report = await Usage.measure(() => perform(operations, work, forward), forward?.pid)
  await forward?.close?.()
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
}
