/**
 * Forwarded connections whose carrier is cut at every byte, in each direction, over every protocol.
 *
 * - Before the server has taken the connection nothing was sent: it is asked for once more, on another carrier, and
 *   whoever asked hears nothing of the loss, unless that one is lost too.
 * - From then on, to the end of what the server has to say about the connection, the end is `ConnectionLost`, although
 *   all data may have come: the words of a failure come behind the data.
 * - From that byte on the connection has ended in order.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { utf8 } from "../protocol/bytes.ts"
import * as ForwardServer from "../support/forwardServer.ts"
import * as Sessions from "../support/sessions.ts"
import * as Wire from "../support/wire.ts"

const request = "a request"
const answer = "the answer"

const session = (transport: ForwardServer.Carrier, later: "whole" | "the same") => (wire: Wire.Wire) =>
  Effect.gen(function*() {
    const server = yield* ForwardServer.make({
      speaks: [transport],
      onBytes: (pair) =>
        pair.got().bytes < request.length
          ? Effect.void
          : Effect.andThen(pair.send(utf8(answer)), Effect.andThen(pair.end("data"), pair.end("error")))
    })
    const wires = later === "whole" ? [wire, { _tag: "Whole" }] as const : [wire] as const
    const { client, tapes } = Wire.client(server.client, wires)
    const run = Effect.gen(function*() {
      const forward = yield* PortForward.open(Target.pod("p"), { transport })
      return yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* forward.connect(80)
        const [read] = yield* Effect.all([
          Sessions.collect(connection.read),
          Effect.ignore(Stream.run(Stream.succeed(utf8(request)), connection.write))
        ], { concurrency: "unbounded" })
        return { connect: undefined, read }
      }))
    }).pipe(Effect.catch(({ reason }) => Effect.succeed({ connect: reason._tag, read: ["", ""] as const })))
    return {
      run: Effect.map(
        Effect.provideService(run, KubeClient, client),
        (end) => ({ ...end, tapes, dials: server.sockets() })
      ),
      open: server.open
    }
  })

const whole = { connect: undefined, read: [answer, "end"] }

describe("a forwarded connection whose carrier", { timeout: 120_000 }, () => {
  for (const transport of ["tunnel", "spdy", "websocket"] as const) {
    const recorded = Effect.gen(function*() {
      const { dials, tapes, ...end } = yield* Sessions.runOne(
        { _tag: "Whole" },
        session(transport, "whole"),
        Wire.describe
      )
      assert.deepStrictEqual<unknown>([end, dials], [whole, 1])
      const tape = tapes[0]!
      const down = tape.down().length
      // The first bytes to the pod go when the server has taken the connection. Over WebSocket it has when it has named
      // the port of the data: in a message of five bytes.
      const takenAt = transport === "websocket" ? 5 : tape.cameBefore(tape.opening() + 1)
      return { tape, down, takenAt, sentBefore: tape.sentBefore(down) }
    })

    it.effect(`carries one byte at a time is the same (${transport})`, () =>
      Effect.gen(function*() {
        const { dials, tapes: _, ...end } = yield* Sessions.runOne(
          { _tag: "Bytewise" },
          session(transport, "whole"),
          Wire.describe
        )
        assert.deepStrictEqual<unknown>([end, dials], [whole, 1])
      }))

    it.effect(`is cut at any byte, and so is every other: never is it a clean end (${transport})`, () =>
      Effect.gen(function*() {
        const { down, sentBefore, tape } = yield* recorded
        const wires = [...Wire.cutsDown(down), ...Wire.cutsUp(tape.sent())]
        for (const [wire, end] of yield* Sessions.runAll(wires, session(transport, "the same"), Wire.describe)) {
          const what = Wire.describe(wire)
          const { connect, read: [text, how] } = end
          if (wire.at >= (wire._tag === "Down" ? down : sentBefore)) {
            assert.deepStrictEqual<unknown>({ connect, read: end.read }, whole, what)
            continue
          }
          assert.isTrue(answer.startsWith(text), `${what}: ${JSON.stringify(text)} was read`)
          assert.include(
            [["ConnectionLost", ""], [undefined, "ConnectionLost"]].map(String),
            String([connect, how]),
            what
          )
        }
      }))

    it.effect(`is cut at any byte is asked for once more, on another, if it was not taken before (${transport})`, () =>
      Effect.gen(function*() {
        const { down, sentBefore, takenAt, tape } = yield* recorded
        const wires = [...Wire.cutsDown(down), ...Wire.cutsUp(tape.sent())]
        for (const [wire, end] of yield* Sessions.runAll(wires, session(transport, "whole"), Wire.describe)) {
          const what = Wire.describe(wire)
          const { connect, dials, read } = end
          const isTaken = wire.at >= (wire._tag === "Down" ? takenAt : transport === "websocket" ? 0 : tape.opening())
          const isOver = wire.at >= (wire._tag === "Down" ? down : sentBefore)
          if (isTaken && !isOver) {
            assert.deepStrictEqual<unknown>([connect, read[1], dials], [undefined, "ConnectionLost", 1], what)
          } else {assert.deepStrictEqual<unknown>(
              [connect, read, dials],
              [undefined, [answer, "end"], isOver ? 1 : 2],
              what
            )}
        }
      }))
  }
})
