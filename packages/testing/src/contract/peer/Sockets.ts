/**
 * Listening sockets of Node, with TLS where it is wanted, which count their connections and end with their scope.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { Listener, Stats } from "../Peer.ts"

/** Sockets that listen. */
export interface Sockets {
  /** Ends the TCP connection below a socket with an RST. */
  readonly reset: (socket: Net.Socket) => void
  /** As the rows see them, with what is known besides. */
  readonly listener: (more?: () => Partial<Stats>, release?: Effect.Effect<unknown>) => Listener
}

/**
 * Listens on a free port. `onConnection` gets each connection, after the handshake where there is TLS; it may set
 * `allowHalfOpen`. The scope cuts those that are open.
 */
export const listen = Effect.fnUntraced(function*(
  host: string,
  tls: Tls.TlsOptions | undefined,
  onConnection: (socket: Net.Socket) => void
): Effect.fn.Return<Sockets, never, Scope.Scope> {
  const sockets = new Set<Net.Socket>()
  let accepted = 0
  const server = tls === undefined
    ? Net.createServer({ noDelay: true })
    : Tls.createServer({ ...tls, noDelay: true })
  server.on("connection", (socket: Net.Socket) => {
    accepted++
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  server.on(tls === undefined ? "connection" : "secureConnection", onConnection)
  server.on("tlsClientError", () => {})

  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.once("error", (cause) => resume(Effect.die(cause)))
      server.listen(0, host, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  const bound = server.address()
  const none = { exchanges: 0, received: 0, sent: 0, transcript: "", heads: [] }
  return {
    // A TLS socket does not give the one below it away, but has the same remote port.
    reset: (socket) => {
      for (const candidate of sockets) if (candidate.remotePort === socket.remotePort) candidate.resetAndDestroy()
    },
    listener: (more = () => ({}), release = Effect.void) => ({
      address: { host, port: typeof bound === "object" && bound !== null ? bound.port : 0 },
      stats: Effect.sync(() => ({ ...none, accepted, open: sockets.size, ...more() })),
      release: Effect.asVoid(release)
    })
  }
})
