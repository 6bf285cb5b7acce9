/**
 * What was written to a forwarded connection with success arrives, over the buffers of real sockets.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { clusterOf, serve } from "./support/webPod.ts"

const MiB = 1024 * 1024

/** A program that takes its time: it begins to read late, and pauses after each piece. Gives what each connection got. */
const slowReader = Effect.gen(function*() {
  const got: Array<number> = []
  const { port } = yield* serve((socket) => {
    const which = got.push(0) - 1
    socket.on("end", () => socket.end())
    setTimeout(() =>
      socket.on("data", (piece: Buffer) => {
        got[which]! += piece.length
        socket.pause()
        setTimeout(() => socket.resume(), 5)
      }), 600)
  })
  return { port, got }
})

const size = 24 * MiB

const write = (forward: PortForward.Session, port: number) =>
  Effect.flatMap(
    forward.connect(port),
    (connection) => Stream.run(Stream.succeed(new Uint8Array(size)), connection.write)
  )

const whole = (got: ReadonlyArray<number>, times: number) =>
  Effect.repeat(Effect.sync(() => got[0] === size), {
    schedule: Schedule.spaced("20 millis"),
    until: (met) => met,
    times
  })

layer(clusterOf(), { excludeTestServices: true })("what was written with success", (it) => {
  for (const transport of ["tunnel", "spdy", "websocket"] as const) {
    it.effect(
      `arrives at a program that reads slowly, although the session has ended (${transport})`,
      () =>
        Effect.gen(function*() {
          const { got, port } = yield* slowReader
          yield* Effect.scoped(
            Effect.flatMap(PortForward.open(Target.pod("web"), { transport }), (forward) => write(forward, port))
          )
          // The last of it may wait in the sockets of the server.
          yield* whole(got, 200)
          assert.deepStrictEqual(got, [size])
        }),
      60_000
    )
  }

  it.effect("arrives although the connection has ended, and the session goes on", () =>
    Effect.gen(function*() {
      const { got, port } = yield* slowReader
      const forward = yield* PortForward.open(Target.pod("web"))
      yield* Effect.scoped(write(forward, port))
      yield* whole(got, 1_000)
      assert.deepStrictEqual(got, [size])
    }), 60_000)
})
