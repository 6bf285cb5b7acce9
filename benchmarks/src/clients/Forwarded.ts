/**
 * Work on forwarded connections, the same for all clients: who forwards them makes the connections.
 */
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"

/** What forwards connections. It was opened before, and stays open for all of them. */
export interface Forward {
  /** The process that does it, when it is another one. */
  readonly pid?: number | undefined
  /** Connects to a port, sends some chunks, and hands on what comes to the end. */
  readonly exchange: (
    port: number,
    chunks: Iterable<Uint8Array>,
    take: (chunk: Uint8Array) => void
  ) => Promise<void>
  /** Connects, sends one byte, and waits for one byte. Gives what closes the connection. */
  readonly connect: (port: number) => Promise<() => Promise<void>>
  /** Connects, sends a chunk, reads nothing of what comes, and leaves the connection open. */
  readonly stall: (port: number, chunk: Uint8Array) => Promise<void>
  readonly close?: (() => Promise<void>) | undefined
}

const pieceBytes = 64 * 1024
const memorySamples = 40
// What nobody reads must be more than all buffers on the way hold.
const stalledBytes = 1024 * Pattern.blockBytes
// So that the buffers on the way are full.
const settleMillis = 500

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Downloads, for as long as it may: the bytes, and the time that they took. */
const download = async (
  forward: Forward,
  work: Work,
  limitMillis?: number
): Promise<{ readonly bytes: number; readonly millis: number }> => {
  const receiver = Usage.receiver(work.check)
  const begun = performance.now()
  let lastAt = begun
  let timer: NodeJS.Timeout | undefined
  const limit = limitMillis === undefined ? [] : [
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMillis)
    })
  ]
  await Promise.race([
    forward.exchange(work.ports.lab, [utf8(Words.pour(work.bytes))], (chunk) => {
      receiver.take(chunk)
      lastAt = performance.now()
    }),
    ...limit
  ])
  clearTimeout(timer)
  // Servers tell a second later that a connection has ended well, which is not what is measured.
  const isWhole = receiver.bytes() >= work.bytes
  return { bytes: receiver.bytes(), millis: (isWhole ? lastAt : performance.now()) - begun }
}

function* upload(work: Work): Generator<Uint8Array> {
  yield utf8(Words.swallow(work.bytes, work.check))
  yield* Pattern.pieces(work.bytes, pieceBytes)
}

const connects = async (forward: Forward, { count, ports }: Work): Promise<Usage.Outcome> => {
  const laps: Array<number> = []
  const memory: Array<number> = []
  const every = Math.max(1, Math.floor(count / memorySamples))
  for (let i = 0; i < count; i++) {
    const begun = performance.now()
    const end = await forward.connect(ports.ping)
    laps.push(performance.now() - begun)
    await end()
    if (i % every === 0) memory.push(Usage.statusBytes(forward.pid ?? "self", "VmRSS") ?? Number.NaN)
  }
  // While the first ones are made, code is still compiled and the heap still finds its size.
  const settled = memory.slice(Math.floor(memory.length / 4))
  return { bytes: 0, laps, rssPerLap: Usage.slope(settled) / every }
}

/** Does the work. */
export const perform = async (forward: Forward, work: Work): Promise<Usage.Outcome> => {
  switch (work.kind) {
    case "forwardUp": {
      let answer = ""
      const begun = performance.now()
      let lastAt = begun
      await forward.exchange(work.ports.lab, upload(work), (chunk) => {
        answer += new TextDecoder().decode(chunk)
        lastAt = performance.now()
      })
      return { ...Words.swallowed(answer, work.check), wallMillis: lastAt - begun }
    }
    case "forwardConnects":
      return await connects(forward, work)
    case "forwardStalled": {
      const alone = await download(forward, work)
      await forward.stall(work.ports.lab, utf8(Words.pour(stalledBytes)))
      await new Promise((resolve) => setTimeout(resolve, settleMillis))
      const beside = await download(forward, work, work.stallMillis)
      const rate = ({ bytes, millis }: typeof alone): number => bytes / millis
      return { bytes: beside.bytes, wallMillis: beside.millis, activeShare: rate(beside) / rate(alone) }
    }
    default: {
      const { bytes, millis } = await download(forward, work)
      return { bytes, wallMillis: millis }
    }
  }
}
