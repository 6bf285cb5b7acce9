/**
 * One exec: the handshake, the pod's commands, and the supervisor's part of the conversation.
 */
import { marker } from "@effect-k8s/channels/protocol/SupervisorScript"
import { createHash } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import * as Pattern from "../shared/Pattern.ts"
import { Command } from "../shared/Words.ts"
import type { ExecRecord } from "../shared/Work.ts"
import * as FrameReader from "./FrameReader.ts"
import * as Frames from "./Frames.ts"
import { readInto } from "./readInto.ts"

const now = (): number => performance.timeOrigin + performance.now()

const success = new TextEncoder().encode("{\"metadata\":{},\"status\":\"Success\"}")
// What a kill script is called, behind `sh -c SCRIPT`.
const killer = "effect-k8s-kill"
const subprotocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
// Writes on their way at once: the next one is ready when the kernel has taken the last.
const writesAhead = 2

interface Asked {
  readonly words: ReadonlyArray<string>
  /** What begins each of the supervisor's records, when it was asked to run the words. */
  readonly mark: string | undefined
}

// `sh -c SCRIPT effect-k8s MARK WORD...`: the script itself is not run, its records are sent as it would.
const readCommand = (argv: ReadonlyArray<string>): Asked => {
  const mark = argv[4]
  return argv[0] === "sh" && argv[3] === "effect-k8s" && mark?.charCodeAt(0) === marker
    ? { words: argv.slice(5), mark }
    : { words: argv, mark: undefined }
}

/** Answers an upgrade request. `done` is called when the connection is closed. */
export const run = (
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  done: (record: ExecRecord) => void
): void => {
  const { words, mark } = readCommand(new URL(request.url ?? "", "http://server").searchParams.getAll("command"))
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim())
  const protocol = subprotocols.find((name) => offered.includes(name))
  if (protocol === undefined) {
    socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    return
  }
  const accept = createHash("sha1")
    .update(`${request.headers["sec-websocket-key"] ?? ""}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64")

  const openedAt = now()
  let bytesIn = 0
  let bytesOut = 0
  let sha256In: string | undefined
  socket.on("error", () => {})
  socket.on("close", () =>
    done({
      command: words.join(" "),
      protocol,
      supervised: mark !== undefined,
      openedAt,
      closedAt: now(),
      bytesIn,
      bytesOut,
      sha256In
    }))

  const text = (channel: number, value: string): void => {
    socket.write(Frames.message(channel, Buffer.from(value)))
  }
  let ended = false
  let finished = false
  const close = (): void => {
    socket.write(Frames.message(3, success))
    socket.end(Frames.close)
    // One that has ended drains no more, and would wait for it for ever.
    socket.resume()
  }
  // A supervised command leaves when the client has acknowledged: by ending stdin (v5) or by closing (v4).
  const finish = (): void => {
    if (mark !== undefined) {
      text(1, `${mark}:0\n`)
      text(2, `${mark}:0\n`)
    }
    finished = true
    if (mark === undefined || ended) close()
  }

  /** Writes to the client, and reads no more of it before that is on its way. */
  let isWaiting = false
  const echo = (bytes: Uint8Array): void => {
    if (socket.write(Frames.message(1, bytes)) || isWaiting) return
    isWaiting = true
    socket.pause()
    socket.once("drain", () => {
      isWaiting = false
      socket.resume()
    })
  }

  const [name, first, second] = words
  const rate = name === Command.In ? Number(first) : 0
  const hash = name === Command.In && second === "hash" ? createHash("sha256") : undefined

  /** Reads no faster than the rate. */
  const begun = performance.now()
  const slow = (): void => {
    const early = bytesIn / rate * 1000 - (performance.now() - begun)
    if (early < 4) return
    socket.pause()
    setTimeout(() => socket.resume(), early)
  }

  const read = FrameReader.make({
    stdin: (size, bytes) => {
      if (finished) return
      bytesIn += size
      if (bytes === undefined) return
      hash?.update(bytes)
      if (name === Command.Echo) echo(bytes)
    },
    end: () => {
      if (ended) return
      ended = true
      if (finished) return close()
      if (name === Command.In) {
        sha256In = hash?.digest("hex")
        text(1, `${bytesIn}\n`)
      }
      if (name !== Command.Out) finish()
    },
    ping: (payload) => {
      socket.write(Frames.control(10, payload))
    }
  }, hash !== undefined || name === Command.Echo)

  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
      `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`
  )
  // Real servers say on the first output channel that the session stands.
  text(1, "")
  if (mark !== undefined) text(1, `${mark}@1\n`)

  if (head.length > 0) read(head)
  readInto(socket, (chunk) => {
    read(chunk)
    if (rate > 0 && !finished) slow()
  })
  socket.on("end", () => socket.end())

  switch (name) {
    case Command.Noop:
      return finish()
    case "sh":
      // Whoever is to be told to end has been told; the client then closes its session.
      if (words[3] !== killer) return
      text(1, "\n")
      return finish()
    case Command.Out:
      return writeOut(socket, Number(first), Number(second), (size) => {
        bytesOut += size
        if (bytesOut >= Number(first)) finish()
      })
  }
}

/** Writes `bytes`, whole blocks, in messages of `messageBytes`. */
const writeOut = (
  socket: Duplex,
  bytes: number,
  messageBytes: number,
  written: (size: number) => void
): void => {
  const frames = Frames.block(messageBytes)
  let left = Math.ceil(bytes / Pattern.blockBytes)
  const next = (): void => {
    if (left === 0 || socket.destroyed) return
    left--
    socket.write(frames, (error) => {
      if (error !== null && error !== undefined) return
      written(Pattern.blockBytes)
      next()
    })
  }
  for (let i = 0; i < writesAhead; i++) next()
}
