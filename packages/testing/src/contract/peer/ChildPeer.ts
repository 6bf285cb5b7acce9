/**
 * The contract's servers in a Node process of their own.
 *
 * So the rows judge the adapter alone: neither the memory nor the event loop is shared with the servers, and they are the
 * same for every runtime.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import { Peer } from "../Peer.ts"
import type { Command, Reply, Request, Values } from "./Protocol.ts"

/** The same from `src` and from `dist`. */
const main = fileURLToPath(new URL(`./main${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url))

/** Starts the process; `node` is the path of Node. The scope ends it. */
export const make = Effect.fnUntraced(function*(
  node: string
): Effect.fn.Return<Peer["Service"], PlatformError, ChildProcessSpawner | Scope.Scope> {
  const requests = yield* Queue.unbounded<Request>()
  const pending = new Map<number, Deferred.Deferred<Reply["value"]>>()
  // The reply to a command has the value of its kind.
  const expect = <K extends keyof Values>(number: number): Effect.Effect<Values[K]> => {
    const deferred = Deferred.makeUnsafe<Reply["value"]>()
    pending.set(number, deferred)
    return Deferred.await(deferred) as Effect.Effect<Values[K]>
  }
  const hello = expect<"hello">(0)

  const stdin = Stream.fromQueue(requests).pipe(
    Stream.map((request) => `${JSON.stringify(request)}\n`),
    Stream.encodeText
  )
  const child = yield* ChildProcess.make(node, [main], { stdin, stderr: "inherit" })
  const replies = Stream.runForEach(Stream.splitLines(Stream.decodeText(child.stdout)), (line) =>
    Effect.suspend(() => {
      // Written by `main`.
      const { number, value } = JSON.parse(line) as Reply
      const deferred = pending.get(number)
      pending.delete(number)
      return deferred === undefined ? Effect.void : Deferred.succeed(deferred, value)
    }))
  const gone = Effect.suspend(() =>
    Effect.forEach(pending.values(), (deferred) => Deferred.die(deferred, new Error("the servers' process has ended")))
  )
  yield* Effect.forkScoped(Effect.ensuring(replies, gone))

  let numbers = 0
  const ask = <T extends Command>(command: T): Effect.Effect<Values[T["_tag"]]> =>
    Effect.suspend(() => {
      const number = ++numbers
      const reply = expect<T["_tag"]>(number)
      Queue.offerUnsafe(requests, { number, command })
      return reply
    })

  let ids = 0
  return Peer.of({
    certificates: yield* hello,
    listen: Effect.fnUntraced(function*(options) {
      const id = ++ids
      const address = yield* Effect.acquireRelease(
        ask({ _tag: "listen", id, options }),
        () => ask({ _tag: "close", id })
      )
      return {
        address,
        stats: ask({ _tag: "stats", id }),
        release: Effect.asVoid(ask({ _tag: "release", id }))
      }
    })
  })
})

/** The servers in a process of their own. */
export const layer = (node: string): Layer.Layer<Peer, PlatformError, ChildProcessSpawner> =>
  Layer.effect(Peer, make(node))
