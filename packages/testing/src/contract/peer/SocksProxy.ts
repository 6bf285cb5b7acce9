/**
 * A proxy of SOCKS5 (RFC 1928), with a user and password (RFC 1929) where it wants one.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Listener, SocksOptions } from "../Peer.ts"
import * as Sockets from "./Sockets.ts"

const replies = { success: 0, failure: 1, notSupported: 7 } as const

/** Reads exactly so many bytes, whatever the chunks. */
const take = async (socket: Net.Socket, length: number): Promise<Buffer> => {
  while (true) {
    const bytes: Buffer | null = length === 0 ? Buffer.alloc(0) : socket.read(length)
    if (bytes !== null && bytes.length === length) return bytes
    await new Promise<void>((resolve, reject) => {
      socket.once("readable", resolve)
      socket.once("close", () => reject(new Error("closed")))
    })
  }
}

const counted = async (socket: Net.Socket): Promise<string> =>
  (await take(socket, (await take(socket, 1))[0] ?? 0)).toString()

const addressOf = async (socket: Net.Socket, type: number | undefined): Promise<string> => {
  if (type === 1) return (await take(socket, 4)).join(".")
  if (type === 3) return await counted(socket)
  const groups = await take(socket, 16)
  return Array.from({ length: 8 }, (_, i) => groups.readUInt16BE(i * 2).toString(16)).join(":")
}

/** Starts a proxy; the scope ends it and its connections. */
export const make = Effect.fnUntraced(function*(
  options: SocksOptions
): Effect.fn.Return<Listener, never, Scope.Scope> {
  const heads: Array<string> = []
  const remotes = new Set<Net.Socket>()
  yield* Effect.addFinalizer(() => Effect.sync(() => remotes.forEach((remote) => remote.destroy())))

  const negotiate = async (socket: Net.Socket): Promise<void> => {
    const [, count = 0] = await take(socket, 2)
    const methods = [...await take(socket, count)]
    if (options.fault !== undefined) return misbehave(socket, options.fault)
    const wanted = options.user === undefined ? 0 : 2
    if (!methods.includes(wanted)) return void socket.end(Buffer.from([5, 0xff]))
    socket.write(Buffer.from([5, wanted]))
    if (options.user !== undefined) {
      await take(socket, 1)
      const [name, password] = [await counted(socket), await counted(socket)]
      const known = name === options.user.name && password === options.user.password
      if (!known) return void socket.end(Buffer.from([1, 1]))
      socket.write(Buffer.from([1, 0]))
    }
    const [, command, , type] = await take(socket, 4)
    const host = await addressOf(socket, type)
    const port = (await take(socket, 2)).readUInt16BE(0)
    heads.push(`${host.includes(":") ? `[${host}]` : host}:${port}`)
    const reply = (code: number): Buffer => Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 0])
    if (command !== 1) return void socket.end(reply(replies.notSupported))
    tunnel(socket, { host, port }, reply)
  }

  const misbehave = (socket: Net.Socket, fault: "garbage" | "close" | "silence"): void => {
    heads.push(fault)
    // The client's end is heard, and answered, only where somebody reads.
    socket.allowHalfOpen = false
    socket.resume()
    if (fault === "close") socket.destroy()
    if (fault === "garbage") socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
  }

  const tunnel = (
    socket: Net.Socket,
    target: { readonly host: string; readonly port: number },
    reply: (code: number) => Buffer
  ): void => {
    const remote = Net.connect({ ...target, allowHalfOpen: true, noDelay: true })
    remotes.add(remote)
    let connected = false
    remote.on("connect", () => {
      connected = true
      socket.write(reply(replies.success))
      socket.pipe(remote)
      remote.pipe(socket)
    })
    remote.on("error", () => {
      if (!connected) socket.end(reply(replies.failure))
    })
    remote.on("close", () => {
      remotes.delete(remote)
      if (connected) socket.destroySoon()
    })
    socket.on("close", () => remote.destroy())
  }

  const sockets = yield* Sockets.listen("127.0.0.1", undefined, (socket) => {
    socket.allowHalfOpen = true
    negotiate(socket).catch(() => socket.destroy())
  })
  return sockets.listener(() => ({ heads }))
})
