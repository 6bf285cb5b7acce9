/**
 * A connection to a port of a pod, as runtimes make one: a TCP connection to the loopback, and bytes copied both ways.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { ServerConnection } from "../server/Exchange.ts"
import * as SocketConnection from "../server/SocketConnection.ts"
import * as Words from "./ForwardWords.ts"

/** The client's side of a forwarded connection. */
export interface ForwardPipe {
  /** The next bytes from the client; nothing at its end. */
  readonly take: Effect.Effect<NonEmptyReadonlyArray<Uint8Array> | undefined>
  /** Bytes for the client. */
  readonly give: (chunks: NonEmptyReadonlyArray<Uint8Array>) => Effect.Effect<void, TransportError>
}

/** What `run` takes. */
export interface Options {
  readonly port: number
  readonly sandbox: Words.Sandbox
  /** Whether the pod is still there. */
  readonly isThere: () => boolean
  /**
   * Milliseconds after the end of either side when both are closed; the client's end is not passed on. Without it, it is,
   * and the connection ends when both have.
   */
  readonly cutMillis: number | undefined
}

const isSocketError = (cause: unknown): cause is NodeJS.ErrnoException => cause instanceof Error && "code" in cause

const connect = (port: number): Effect.Effect<Net.Socket, string, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => Net.connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true })),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) =>
      Effect.callback<Net.Socket, string>((resume) => {
        socket.on("error", (cause) => {
          const isRefused = isSocketError(cause) && cause.code === "ECONNREFUSED"
          resume(Effect.fail(isRefused ? "connection refused" : cause.message))
        })
        socket.once("connect", () => resume(Effect.succeed(socket)))
      })
  )

const up = Effect.fnUntraced(function*(
  pipe: ForwardPipe,
  connection: ServerConnection,
  isPassedOn: boolean
): Effect.fn.Return<void, TransportError> {
  while (true) {
    const chunks = yield* pipe.take
    if (chunks === undefined) return isPassedOn ? yield* connection.end : undefined
    yield* connection.write(chunks)
  }
})

const down = Effect.fnUntraced(function*(
  pipe: ForwardPipe,
  connection: ServerConnection
): Effect.fn.Return<void, TransportError> {
  while (true) {
    const chunks = yield* Pull.catchDone(connection.pull, () => Effect.undefined)
    if (chunks === undefined) return
    yield* pipe.give(chunks)
  }
})

/** Runs the connection to its end. What it gives is what the runtime says of a failure. */
export const run = Effect.fnUntraced(function*(
  pipe: ForwardPipe,
  { cutMillis, isThere, port, sandbox }: Options
): Effect.fn.Return<string | undefined> {
  if (!isThere()) return Words.gone(port, sandbox)
  return yield* Effect.gen(function*() {
    const socket = yield* connect(port)
    const localPort = socket.localPort ?? 0
    const connection = yield* SocketConnection.make(socket, new Uint8Array(0), () => socket.resetAndDestroy())
    const upward = yield* Effect.forkChild(up(pipe, connection, cutMillis === undefined))
    const downward = yield* Effect.forkChild(down(pipe, connection))
    const ends = { read: Fiber.await(downward), write: Fiber.await(upward) }
    const first = yield* Effect.raceFirst(
      Effect.map(ends.read, (exit) => ["read", exit] as const),
      Effect.map(ends.write, (exit) => ["write", exit] as const)
    )
    const other = ends[first[0] === "read" ? "write" : "read"]
    const failure = (what: "read" | "write", exit: Exit.Exit<void, TransportError>): string | undefined =>
      Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
        ? Words.broken(port, sandbox, localPort, what)
        : undefined
    const said = failure(first[0], first[1])
    if (said !== undefined) return said
    yield* cutMillis === undefined ? other : Effect.timeoutOption(other, cutMillis)
    return undefined
  }).pipe(
    Effect.scoped,
    Effect.catch((why) => Effect.succeed(Words.refused(port, sandbox, why)))
  )
})
