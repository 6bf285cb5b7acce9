/**
 * A bare socket that speaks no protocol beyond the handshake: what the server and the machine can do at most.
 */
import * as net from "node:net"
import * as tls from "node:tls"
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"

const messageBytes = 32 * 1024
// As the server writes.
const writesAhead = 2
const buffer = Buffer.allocUnsafe(256 * 1024)

/** Connects, asks for a command, and hands on what comes behind the answer. */
const open = (work: Work, words: ReadonlyArray<string>, take: (chunk: Uint8Array) => void): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const url = new URL(work.url)
    let answered = false
    const onread: net.OnReadOpts = {
      // One memory for all reads: nothing is allocated.
      buffer,
      callback: (size) => {
        const chunk = buffer.subarray(0, size)
        if (answered) {
          take(chunk)
          return true
        }
        answered = true
        const end = chunk.indexOf("\r\n\r\n")
        resolve(socket)
        take(chunk.subarray(end + 4))
        return true
      }
    }
    const options = { host: url.hostname, port: Number(url.port), onread }
    const socket = work.ca === undefined ? net.connect(options) : tls.connect({ ...options, ca: work.ca })
    const query = new URLSearchParams([["container", "main"], ...words.map((word) => ["command", word])])
    socket.on("error", reject)
    socket.write(
      `GET /api/v1/namespaces/few/pods/pod-0/exec?${query.toString()} HTTP/1.1\r\nHost: ${url.host}\r\n` +
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"
    )
  })

/** One block of the pattern as masked messages; the mask is zero. */
const frames = (): Buffer =>
  Buffer.concat(Array.from(Pattern.pieces(Pattern.blockBytes, messageBytes), (piece) => {
    const head = Buffer.alloc(9)
    head[0] = 0x82
    head[1] = 0x80 | 126
    head.writeUInt16BE(piece.length + 1, 2)
    return Buffer.concat([head, piece])
  }))

await Client.main(async () => ({
  // The bytes are those of the wire: a little more than the output's.
  stdout: async (work, take) => {
    const socket = await open(work, Words.out(work), take)
    await new Promise((resolve) => socket.on("close", resolve))
  },
  stdin: async (work) => {
    const block = frames()
    const socket = await open(work, Words.into({ ...work, check: false }), () => {})
    const closed = new Promise((resolve) => socket.on("close", resolve))
    let left = work.bytes / Pattern.blockBytes
    const next = (): void => {
      if (left > 0) socket.write(block, next)
      // The end of stdin, behind the last block.
      if (--left === 0) socket.write(Uint8Array.of(0x82, 0x82, 0, 0, 0, 0, 255, 0))
    }
    for (let i = 0; i < writesAhead; i++) next()
    await closed
    return String(work.bytes)
  },
  roundTrips: (work) =>
    new Promise((resolve, reject) => {
      const frame = Uint8Array.of(0x82, 0x82, 0, 0, 0, 0, 0, 7)
      const times: Array<number> = []
      let begun = 0
      let socket: net.Socket | undefined
      const send = (): void => {
        begun = performance.now()
        socket?.write(frame)
      }
      open(work, Words.echo(work), (chunk) => {
        if (chunk.length === 0 || chunk[chunk.length - 1] !== 7) return
        times.push(performance.now() - begun)
        if (times.length < work.count) return send()
        socket?.destroy()
        resolve(times)
      }).then((opened) => {
        socket = opened
        send()
      }, reject)
    }),
  noops: (work) =>
    Usage.laps(work.count, async () => {
      const socket = await open(work, Words.noop, () => {})
      if (!socket.closed) await new Promise((resolve) => socket.on("close", resolve))
    })
}))
