/**
 * A connection whose pod is gone goes on with the one that has taken its place, and loses nothing on the way, whoever
 * writes, reads or leaves meanwhile.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { text, utf8 } from "../protocol/bytes.ts"
import { settle, timePasses } from "../support/execServer.ts"
import { after, fail, goneWords, reasonOf, say, sayOn, start } from "../support/forwardSession.ts"

/** A connection to a pod that is replaced while nobody looks; the next one takes a while to take connections. */
const replaced = Effect.fnUntraced(function*(first: string | undefined, tellEnd?: "at-once-and-lose-late-answers") {
  const heard: Array<string> = []
  const { forward, server } = yield* start({ tellEnd }, {
    takesAfter: (socket) => socket === 1 ? 0 : 1_000,
    onBytes: (pair) => Effect.sync(() => void heard.push(`${pair.socket}: ${pair.heard()}`))
  })
  const scope = yield* Effect.scope
  const connecting = yield* Scope.fork(scope)
  const connection = yield* Scope.provide(forward.connect(80), connecting)
  if (first !== undefined) yield* Effect.forkChild(sayOn(connection, first))
  yield* settle
  const gone = Effect.suspend(() => {
    server.replace()
    return fail(server.pairs[0]!, goneWords)
  })
  return { connection, connecting, gone, heard, server }
})

const head = (stream: Stream.Stream<Uint8Array, { readonly reason: { readonly _tag: string } }>) =>
  Effect.match(Stream.runHead(Stream.map(stream, text)), {
    onSuccess: Option.getOrElse(() => "the end"),
    onFailure: ({ reason }) => reason._tag
  })

describe("while the pod is looked for again", () => {
  for (const first of ["first ", undefined]) {
    it.effect(`what is written is not lost, behind ${first === undefined ? "nothing" : "what was written before"}`, () =>
      Effect.gen(function*() {
        const { connection, gone, heard, server } = yield* replaced(first)
        const reading = yield* Effect.forkChild(head(connection.read))
        yield* settle
        yield* gone
        yield* settle
        const writing = yield* Effect.forkChild(Effect.exit(say(connection, "second")))
        yield* settle
        assert.isUndefined(writing.pollUnsafe())
        yield* after(1_000)
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(writing)))
        const expected = first === undefined ? ["2: second"] : ["1: first ", "2: first ", "2: second"]
        assert.deepStrictEqual(heard, expected)
        yield* server.pairs[1]!.send(utf8("answer"))
        assert.strictEqual(yield* Fiber.join(reading), "answer")
        yield* timePasses
      }))
  }

  it.effect("an end that is told at once is told behind what is written", () =>
    Effect.gen(function*() {
      const { connection, gone, heard, server } = yield* replaced("first ", "at-once-and-lose-late-answers")
      yield* Effect.forkChild(Stream.runDrain(connection.read))
      yield* settle
      yield* gone
      yield* settle
      yield* Effect.forkChild(say(connection, "second"))
      yield* after(1_000)
      assert.deepStrictEqual(heard, ["1: first ", "2: first ", "2: second"])
      assert.deepInclude(server.pairs[1]!.got(), { ended: true, reset: false })
      yield* timePasses
    }))

  for (const who of ["reader", "writer"] as const) {
    it.effect(`a ${who} that leaves does not take with it what was written before`, () =>
      Effect.gen(function*() {
        const { connection, gone, heard, server } = yield* replaced("request")
        yield* gone
        yield* settle
        const reads = Effect.asVoid(head(connection.read))
        const leaving = yield* Effect.forkChild(
          who === "reader" ? reads : Effect.ignore(sayOn(connection, " and more"))
        )
        yield* settle
        assert.strictEqual(server.sockets(), 2)
        yield* Fiber.interrupt(leaving)
        const reading = yield* Effect.forkChild(head(connection.read))
        yield* settle
        yield* after(1_000)
        assert.strictEqual(heard[1], who === "reader" ? "2: request" : "2: request and more")
        yield* server.pairs[1]!.send(utf8("answer"))
        yield* settle
        assert.strictEqual(yield* Fiber.join(reading), "answer")
        yield* timePasses
      }))
  }

  it.effect("the end of the connection's scope fails its readers, and tells the new pod of no end", () =>
    Effect.gen(function*() {
      const { connecting, connection, gone, server } = yield* replaced(undefined)
      yield* say(connection, "request")
      const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(connection.read)))
      yield* settle
      yield* gone
      yield* settle
      assert.strictEqual(server.sockets(), 2)
      yield* Scope.close(connecting, Exit.void)
      yield* settle
      assert.strictEqual(yield* Fiber.join(reading), "PodGone")
      yield* after(1_000)
      assert.deepInclude(server.pairs[1]!.got(), { bytes: 0, ended: false, reset: true })
      yield* timePasses
    }))
})

describe("when no other pod is found", () => {
  it.effect("readers and writers fail with what the server has said", () =>
    Effect.gen(function*() {
      let isDown = false
      const { forward, server } = yield* start({}, { refuses: () => isDown ? 500 : undefined })
      const connection = yield* forward.connect(80)
      yield* say(connection, "request")
      const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(connection.read)))
      yield* settle
      server.replace()
      isDown = true
      yield* fail(server.pairs[0]!, goneWords)
      assert.strictEqual(yield* Fiber.join(reading), "PodGone")
      assert.strictEqual(yield* reasonOf(Stream.runDrain(connection.read)), "PodGone")
      yield* timePasses
    }))
})
