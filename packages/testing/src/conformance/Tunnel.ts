/**
 * A tunnel to drive a custom dialler with, like that of an agent which sits inside a cluster's network and dials out: all
 * connections are streams over the one connection that the agent has made.
 */
import type { Dial } from "@effect-k8s/core/Endpoint"
import * as NodeSocket from "@effect/platform-node-shared/NodeSocket"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import * as Multiplexer from "./Multiplexer.ts"

/** A running tunnel. */
export interface Tunnel {
  readonly dial: Dial
  /** Where other processes find it; see `dialThrough`. */
  readonly port: number
  /** Connections that were dialled through it. */
  readonly dials: () => number
  /** Ends the agent's connection, and with it all that go through it: in order, or with an RST. The agent dials again. */
  readonly drop: (how: "fin" | "reset") => Effect.Effect<void>
  /** Passes so many bytes a second each way, until it is dropped. */
  readonly slow: (bytesPerSecond: number) => Effect.Effect<void>
  /** Passes no more bytes, either way, and closes nothing. */
  readonly silence: Effect.Effect<void>
}

/** The agent's connection: our end, and the agent's. */
interface Carrier {
  readonly near: Net.Socket
  readonly far: Net.Socket
  readonly streams: Multiplexer.Multiplexer
  readonly agent: Multiplexer.Multiplexer
}

/** Starts a tunnel; the scope ends it and its connections. */
export const make: Effect.Effect<Tunnel, never, Scope.Scope> = Effect.gen(function*() {
  const hub = yield* listen({ noDelay: true })
  const port = portOf(hub)

  /** The agent dials out. */
  const connect = Effect.callback<Carrier>((resume) => {
    const far = Net.connect({ host: "127.0.0.1", port, noDelay: true })
    hub.once(
      "connection",
      (near) =>
        resume(Effect.succeed({ near, far, streams: Multiplexer.make(near), agent: Multiplexer.make(far, relay) }))
    )
  })
  let carrier = yield* connect
  let dials = 0
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      carrier.near.destroy()
      carrier.far.destroy()
    })
  )

  const door = yield* listen({ noDelay: true, allowHalfOpen: true })
  door.on("connection", (socket) => admit(socket, (target) => carrier.streams.open(target)))

  const open = ({ host, port }: Parameters<Dial>[0]): Effect.Effect<Duplex, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        dials++
        return carrier.streams.open(`${host} ${port}`)
      }),
      (stream) => Effect.sync(() => stream.destroy())
    )

  return {
    dial: (target) => lazily(NodeSocket.fromDuplex(open(target))),
    port: portOf(door),
    dials: () => dials,
    // Whoever drops it may be interrupted by the loss.
    drop: Effect.fnUntraced(function*(how) {
      const { far, near } = carrier
      if (how === "fin") far.destroySoon()
      else far.resetAndDestroy()
      // One that was silenced would not hear of it.
      near.resume()
      carrier = yield* connect
    }, Effect.uninterruptible),
    slow: (bytesPerSecond) =>
      Effect.sync(() => {
        for (const socket of [carrier.near, carrier.far]) {
          socket.on("data", ({ length }: Buffer) => {
            socket.pause()
            setTimeout(() => socket.resume(), length / bytesPerSecond * 1000)
          })
        }
      }),
    silence: Effect.sync(() => {
      carrier.streams.silence()
      carrier.agent.silence()
    })
  }
})

/** The agent's side of a stream: a connection to where it wants to go. */
const relay = (target: string, stream: Duplex): void => {
  const [host, port] = target.split(" ")
  const socket = Net.connect({ host: host ?? "", port: Number(port), noDelay: true, allowHalfOpen: true })
  socket.on("error", (error) => stream.destroy(error))
  stream.on("close", () => socket.destroy())
  stream.pipe(socket)
  socket.pipe(stream)
}

/** A server on the loopback; the scope closes it. */
const listen = (options: Net.ServerOpts): Effect.Effect<Net.Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer(options)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const portOf = (server: Net.Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Joins a connection of another process, which begins with a line that says where it wants to go, to a stream. */
const admit = (socket: Net.Socket, open: (target: string) => Duplex): void => {
  socket.on("error", () => socket.destroy())
  socket.once("readable", () => {
    const head: Buffer | null = socket.read()
    const end = head?.indexOf("\n") ?? -1
    if (head === null || end === -1) {
      socket.destroy()
      return
    }
    const stream = open(head.subarray(0, end).toString())
    socket.unshift(head.subarray(end + 1))
    stream.on("close", () => socket.destroy())
    socket.on("close", () => stream.destroy())
    socket.pipe(stream)
    stream.pipe(socket)
  })
}

/** The dialler of a tunnel that runs in another process. */
export const dialThrough = (port: number): Dial => (target) =>
  lazily(Effect.map(
    NodeSocket.makeNet({ host: "127.0.0.1", port, noDelay: true }),
    (socket) => withPreface(socket, `${target.host} ${target.port}\n`)
  ))

const withPreface = (socket: Socket.Socket, line: string): Socket.Socket =>
  Socket.make({
    reader: Effect.gen(function*() {
      const reader = yield* socket.reader
      const writer = yield* socket.writer
      yield* writer.write(line)
      return reader
    }),
    writer: socket.writer
  })

/** A socket from what makes one. */
const lazily = (make: Effect.Effect<Socket.Socket>): Socket.Socket => {
  let made: Socket.Socket | undefined
  const socket = Effect.suspend(() =>
    made === undefined ? Effect.tap(make, (socket) => Effect.sync(() => (made = socket))) : Effect.succeed(made)
  )
  return Socket.make({
    reader: Effect.flatMap(socket, ({ reader }) => reader),
    writer: Effect.flatMap(socket, ({ writer }) => writer)
  })
}
