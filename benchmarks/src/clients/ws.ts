/**
 * The `ws` package, bare: the least that a program can do over it, with no protocol of its own but the channel byte.
 */
import { WebSocket } from "ws"
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"

const messageBytes = 32 * 1024

const open = (work: Work, words: ReadonlyArray<string>, stdin: boolean): WebSocket => {
  const query = new URLSearchParams([
    ["container", "main"],
    ...words.map((word) => ["command", word]),
    ["stdout", "true"],
    ["stderr", "true"],
    ...(stdin ? [["stdin", "true"]] : [])
  ])
  return new WebSocket(
    `${work.url.replace(/^http/, "ws")}/api/v1/namespaces/few/pods/pod-0/exec?${query.toString()}`,
    ["v5.channel.k8s.io"],
    { ...(work.ca === undefined ? {} : { ca: work.ca }), perMessageDeflate: false }
  )
}

/** Reads the output to the end; fails unless the status was success. */
const finished = (socket: WebSocket, take: (chunk: Uint8Array) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    let status = ""
    socket.on("error", reject)
    socket.on("message", (data: Buffer) => {
      if (data[0] === 1) take(data.subarray(1))
      else if (data[0] === 3) status += data.toString("utf8", 1)
    })
    socket.on("close", () => status.includes("Success") ? resolve() : reject(new Error(`ws: status ${status}`)))
  })

const withChannel = (bytes: Uint8Array): Buffer => {
  const message = Buffer.allocUnsafe(bytes.length + 1)
  message[0] = 0
  message.set(bytes, 1)
  return message
}

/** Runs a command, and writes the pattern to it meanwhile. */
const feed = async (
  work: Work,
  words: ReadonlyArray<string>,
  take: (chunk: Uint8Array) => void
): Promise<void> => {
  const socket = open(work, words, true)
  const done = finished(socket, take)
  await new Promise((resolve) => socket.on("open", resolve))
  for (const piece of Pattern.pieces(work.bytes, messageBytes)) {
    // The callback is the only back-pressure that ws has; most programs do without.
    if (work.variant === "ungated") socket.send(withChannel(piece))
    else await new Promise((resolve) => socket.send(withChannel(piece), resolve))
  }
  socket.send(Uint8Array.of(255, 0))
  await done
}

const stdin = async (work: Work): Promise<string> => {
  let answer = ""
  await feed(work, Words.into(work), (chunk) => {
    answer += Buffer.from(chunk).toString()
  })
  return answer
}

await Client.main(async () => ({
  stdout: (work, take) => finished(open(work, Words.out(work), false), take),
  stdin,
  duplex: (work, take) => feed(work, Words.echo(work), take),
  stalled: (work) =>
    new Promise((resolve) => {
      const socket = open(work, Words.out(work), false)
      socket.once("message", () => {
        socket.pause()
        setTimeout(resolve, work.stallMillis)
      })
    }),
  roundTrips: (work) =>
    new Promise((resolve, reject) => {
      const socket = open(work, Words.echo(work), true)
      const times: Array<number> = []
      let begun = 0
      const send = (): void => {
        begun = performance.now()
        socket.send(Uint8Array.of(0, 7))
      }
      socket.on("error", reject)
      socket.on("open", send)
      socket.on("message", (data: Buffer) => {
        if (data[0] !== 1 || data.length === 1) return
        times.push(performance.now() - begun)
        if (times.length < work.count) return send()
        socket.terminate()
        resolve(times)
      })
    }),
  noops: (work) => Usage.laps(work.count, () => finished(open(work, Words.noop, false), () => {}))
}))
