/**
 * A tunnel to drive a custom dialler with: a relay on the loopback, like an agent that sits inside a cluster's network.
 *
 * Each connection begins with a line that names the target; after it, bytes pass both ways with back-pressure.
 */
import type { Dial } from "@effect-k8s/core/Endpoint"
import * as NodeSocket from "@effect/platform-node-shared/NodeSocket"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"

/** A running tunnel. */
export interface Tunnel {
  readonly dial: Dial
  /** Where other processes find it; see `dialThrough`. */
  readonly port: number
  /** Connections that were dialled through it. */
  readonly dials: () => number
  /** Ends every connection through it: in order, or with an RST. New ones still pass. */
  readonly drop: (how: "fin" | "reset") => Effect.Effect<void>
  /** Passes no more bytes, either way, and closes nothing. */
  readonly silence: Effect.Effect<void>
}

/** Starts a relay; the scope ends it and its connections. */
export const make: Effect.Effect<Tunnel, never, Scope.Scope> = Effect.gen(function*() {
  const pairs = new Set<readonly [Net.Socket, Net.Socket]>()
  let dials = 0

  const relay = (near: Net.Socket): void => {
    near.on("error", () => near.destroy())
    near.once("readable", () => {
      const head: Buffer | null = near.read()
      const end = head?.indexOf("\n") ?? -1
      if (head === null || end === -1) {
        near.destroy()
        return
      }
      const [host, port] = head.subarray(0, end).toString().split(" ")
      near.unshift(head.subarray(end + 1))
      const far = Net.connect({ host: host ?? "", port: Number(port), noDelay: true, allowHalfOpen: true })
      const pair = [near, far] as const
      pairs.add(pair)
      far.on("error", () => near.destroy())
      far.on("close", () => near.destroy())
      near.on("close", () => {
        far.destroy()
        pairs.delete(pair)
      })
      near.pipe(far)
      far.pipe(near)
    })
  }

  const server = yield* Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer({ noDelay: true, allowHalfOpen: true }, relay)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        for (const pair of pairs) for (const socket of pair) socket.destroy()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0

  const forEachSocket = (f: (socket: Net.Socket) => void): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const pair of pairs) for (const socket of pair) f(socket)
    })

  return {
    dial: through(port, () => dials++),
    port,
    dials: () => dials,
    drop: (how) => forEachSocket((socket) => how === "fin" ? socket.destroySoon() : socket.resetAndDestroy()),
    silence: forEachSocket((socket) => {
      socket.unpipe()
      socket.pause()
    })
  }
})

/** The dialler of a tunnel that runs in another process. */
export const dialThrough = (port: number): Dial => through(port, () => {})

const through = (port: number, dialled: () => void): Dial => ({ host, port: to }) =>
  withPreface(port, `${host} ${to}\n`, dialled)

/** A socket to the relay that says where it wants to go, before anything else. */
const withPreface = (port: number, line: string, dialled: () => void): Socket.Socket => {
  let made: Socket.Socket | undefined
  const connection = Effect.suspend(() =>
    made === undefined
      ? Effect.map(NodeSocket.makeNet({ host: "127.0.0.1", port, noDelay: true }), (socket) => made = socket)
      : Effect.succeed(made)
  )
  return Socket.make({
    reader: Effect.gen(function*() {
      const socket = yield* connection
      dialled()
      const reader = yield* socket.reader
      const writer = yield* socket.writer
      yield* writer.write(line)
      return reader
    }),
    writer: Effect.flatMap(connection, (socket) => socket.writer)
  })
}
