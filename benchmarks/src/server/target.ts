/**
 * What listens in the pod of a test cluster: `node target.ts PING_PORT LAB_PORT`. One port gives back the first byte and
 * ends; the other does what the first line of a connection says, see `Words`.
 */
import { createHash } from "node:crypto"
import * as net from "node:net"
import * as Pattern from "../shared/Pattern.ts"
import { stepBytes } from "../shared/Words.ts"
import { readInto } from "./readInto.ts"

// The next write is ready when the kernel has taken the last.
const writesAhead = 2

const [pingPort = 0, labPort = 0] = process.argv.slice(2).map(Number)

const pour = (socket: net.Socket, bytes: number): void => {
  const pieces = Pattern.pieces(bytes, Math.min(bytes, Pattern.blockBytes))
  let waiting = 0
  const next = (): void => {
    if (socket.destroyed) return
    const { done, value } = pieces.next()
    if (done !== true) {
      waiting++
      socket.write(value, () => {
        waiting--
        next()
      })
    } else if (waiting === 0) socket.end()
  }
  for (let i = 0; i < writesAhead; i++) next()
}

/** Reads so many bytes of a connection, of which some have been read, and answers. */
const swallow = (socket: net.Socket, bytes: number, rest: Uint8Array, hashed: boolean): void => {
  const hash = hashed ? createHash("sha256") : undefined
  let left = bytes
  const take = (chunk: Uint8Array): void => {
    left -= chunk.length
    hash?.update(chunk)
    if (left <= 0) socket.end(`${hash === undefined ? bytes / stepBytes : hash.digest("hex")}\n`)
  }
  if (rest.length > 0) take(rest)
  if (left > 0) readInto(socket, take)
}

net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {})
  socket.once("data", (chunk: Uint8Array) => {
    socket.end(chunk.subarray(0, 1))
  })
}).listen(pingPort, "127.0.0.1")

net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on("error", () => {})
  let head = Buffer.alloc(0)
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    head = Buffer.concat([head, chunk])
    const end = head.indexOf("\n")
    if (end < 0) return
    socket.off("readable", onReadable)
    const [word, steps] = head.subarray(0, end).toString().split(" ")
    const bytes = Number(steps) * stepBytes
    if (word === "pour") {
      socket.resume()
      pour(socket, bytes)
    } else swallow(socket, bytes, head.subarray(end + 1), word === "hash")
  }
  socket.on("readable", onReadable)
}).listen(labPort, "127.0.0.1")
