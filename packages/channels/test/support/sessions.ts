/**
 * Runs many sessions at once on virtual time, each to its end, and sees to it that none hangs, none dies of a defect, and
 * that nothing of them is left.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./execServer.ts"
import * as Fibers from "./fibers.ts"

/** A session: what became of it. Its server is asked afterwards whether it still has a connection. */
export interface Session<A> {
  readonly run: Effect.Effect<A, never, Scope.Scope>
  readonly open: () => number
}

// Longer than every deadline of a session.
const limitMillis = 180_000
const stepMillis = 100
// So many at once share the passing of time.
const batchSize = 400

const runBatch = Effect.fnUntraced(function*<I, A>(
  inputs: ReadonlyArray<I>,
  make: (input: I) => Effect.Effect<Session<A>, never, Scope.Scope>,
  describe: (input: I) => string
) {
  const fibers = Fibers.count()
  const running = new Set(inputs)
  const one = Effect.fnUntraced(function*(input: I) {
    const session = yield* make(input)
    const result = yield* Effect.scoped(session.run)
    // The server hears of the end in its turn.
    for (let i = 0; i < 20 && session.open() > 0; i++) yield* settle
    assert.strictEqual(session.open(), 0, `connections that are left: ${describe(input)}`)
    running.delete(input)
    return result
  }, Effect.scoped)
  const all = yield* Effect.forkChild(
    Effect.provideService(
      Effect.forEach(inputs, one, { concurrency: "unbounded" }),
      Metric.FiberRuntimeMetrics,
      fibers.service
    )
  )
  for (let passed = 0; all.pollUnsafe() === undefined; passed += stepMillis) {
    if (passed > limitMillis) {
      yield* Fiber.interrupt(all)
      assert.fail(`sessions that hang: ${Array.from(running, describe).slice(0, 20).join("; ")}`)
    }
    yield* settle
    yield* TestClock.adjust(stepMillis)
  }
  const results = yield* Fiber.join(all)
  for (let i = 0; i < 20 && fibers.alive() > 0; i++) yield* settle
  assert.deepStrictEqual(fibers.defects, [], "fibers that have died")
  assert.strictEqual(fibers.alive(), 0, "fibers that are left")
  return results
})

/** Runs one session. */
export const runOne = Effect.fnUntraced(function*<I, A>(
  input: I,
  make: (input: I) => Effect.Effect<Session<A>, never, Scope.Scope>,
  describe: (input: I) => string
) {
  const [result] = yield* runBatch([input], make, describe)
  return result!
})

/** Runs a session for each input. */
export const runAll = Effect.fnUntraced(function*<I, A>(
  inputs: ReadonlyArray<I>,
  make: (input: I) => Effect.Effect<Session<A>, never, Scope.Scope>,
  describe: (input: I) => string
) {
  const results: Array<readonly [I, A]> = []
  for (let at = 0; at < inputs.length; at += batchSize) {
    const batch = inputs.slice(at, at + batchSize)
    const ends = yield* runBatch(batch, make, describe)
    results.push(...batch.map((input, i) => [input, ends[i]!] as const))
  }
  return results
})

/** What it gave, or the reason that it has failed with. */
export const endOf = <A, E extends { readonly reason: { readonly _tag: string } }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, {
    onSuccess: (value) => value === undefined ? "end" : JSON.stringify(value),
    onFailure: ({ reason }) => reason._tag
  })

/** What an output gives, and how it ends. */
export const collect = (output: Stream.Stream<Uint8Array, { readonly reason: { readonly _tag: string } }>) =>
  Effect.suspend(() => {
    let text = ""
    const reading = Stream.runForEach(Stream.decodeText(output), (part) => Effect.sync(() => void (text += part)))
    return Effect.map(endOf(reading), (end) => [text, end] as const)
  })
