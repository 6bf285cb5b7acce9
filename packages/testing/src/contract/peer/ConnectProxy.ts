/**
 * An HTTP proxy that keeps what its clients send.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type * as Tls from "node:tls"
import type { Listener, ProxyOptions } from "../Peer.ts"
import * as Sockets from "./Sockets.ts"

const headEnd = "\r\n\r\n"
// Rows ask for secrets in requests; of what follows there may be much.
const transcriptBytes = 64 * 1024

const addressOf = (target: string): Address => {
  const colon = target.lastIndexOf(":")
  return { host: target.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(target.slice(colon + 1)) }
}

/** Starts a proxy; the scope ends it and its connections. */
export const make = Effect.fnUntraced(function*(
  options: ProxyOptions,
  tls: Tls.TlsOptions | undefined
): Effect.fn.Return<Listener, never, Scope.Scope> {
  const heads: Array<string> = []
  const transcript: Array<string> = []
  let left = transcriptBytes
  const remotes = new Set<Net.Socket>()
  yield* Effect.addFinalizer(() => Effect.sync(() => remotes.forEach((remote) => remote.destroy())))
  const allowed = options.user === undefined
    ? undefined
    : `Basic ${Buffer.from(`${options.user.name}:${options.user.password}`).toString("base64")}`

  const answer = (socket: Net.Socket, head: string, rest: Buffer): void => {
    heads.push(head)
    if (options.fault === "silence") return
    if (options.fault === "close") return void socket.destroy()
    if (options.fault === "garbage") return void socket.end("SSH-2.0-OpenSSH_9.6\r\n")
    const [method, target = ""] = head.split(" ")
    if (method !== "CONNECT") return void socket.end(`HTTP/1.1 405 Method Not Allowed\r\n\r\n`)
    const credentials = /^proxy-authorization: *(.*)$/im.exec(head)?.[1]?.trim()
    if (allowed !== undefined && credentials !== allowed) {
      return void socket.end(
        `HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="contract"\r\nContent-Length: 0\r\n\r\n`
      )
    }
    tunnel(socket, target, rest)
  }

  const tunnel = (socket: Net.Socket, target: string, rest: Buffer): void => {
    const { host, port } = options.to ?? addressOf(target)
    const remote = Net.connect({ host, port, allowHalfOpen: true, noDelay: true })
    remotes.add(remote)
    let connected = false
    remote.on("connect", () => {
      connected = true
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
      remote.write(rest)
      socket.pipe(remote)
      remote.pipe(socket)
    })
    remote.on("error", () => {
      if (!connected) socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    })
    remote.on("close", (failed) => {
      remotes.delete(remote)
      if (!connected) return
      if (failed) sockets.reset(socket)
      else socket.destroySoon()
    })
    socket.on("close", () => remote.destroy())
  }

  const sockets = yield* Sockets.listen("127.0.0.1", tls, (socket) => {
    socket.on("error", () => socket.destroy())
    socket.allowHalfOpen = options.fault === undefined
    let head = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf(headEnd)
      if (end === -1) return
      socket.off("data", onData)
      socket.pause()
      answer(socket, head.subarray(0, end).toString("latin1"), head.subarray(end + headEnd.length))
      if (options.fault !== undefined) socket.resume()
    }
    socket.on("data", (chunk: Buffer) => {
      const text = chunk.toString("latin1", 0, left)
      left -= text.length
      if (text !== "") transcript.push(text)
    })
    socket.on("data", onData)
  })

  return sockets.listener(() => ({ transcript: transcript.join(""), heads }))
})
