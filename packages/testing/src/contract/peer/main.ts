/**
 * A process with the contract's servers, for rows in another one; see `ChildPeer`. It ends with its stdin.
 */
import * as NodeRuntime from "@effect/platform-node-shared/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Readline from "node:readline"
import type { Listener } from "../Peer.ts"
import * as NodePeer from "./NodePeer.ts"
import type { Reply, Request, Values } from "./Protocol.ts"

const reply = (number: number, value: Reply["value"]): Effect.Effect<void> =>
  Effect.sync(() => void process.stdout.write(`${JSON.stringify({ number, value } satisfies Reply)}\n`))

const program = Effect.gen(function*() {
  const peer = yield* NodePeer.make
  const listeners = new Map<number, { readonly listener: Listener; readonly scope: Scope.Closeable }>()
  const all = yield* Effect.scope

  const run = Effect.fnUntraced(function*(command: Request["command"]): Effect.fn.Return<Values[typeof command._tag]> {
    if (command._tag === "listen") {
      const scope = yield* Scope.fork(all)
      const listener = yield* Scope.provide(peer.listen(command.options), scope)
      listeners.set(command.id, { listener, scope })
      return listener.address
    }
    const known = listeners.get(command.id)
    if (known === undefined) return yield* Effect.die(new Error(`there is no listener ${command.id}`))
    switch (command._tag) {
      case "stats":
        return yield* known.listener.stats
      case "release":
        yield* known.listener.release
        return null
      case "close":
        listeners.delete(command.id)
        yield* Scope.close(known.scope, Exit.void)
        return null
    }
  })

  yield* reply(0, peer.certificates)
  const lines = Stream.fromAsyncIterable(Readline.createInterface({ input: process.stdin }), (cause) => cause)
  yield* Stream.runForEach(lines, (line) => {
    // Written by `ChildPeer`.
    const { command, number } = JSON.parse(line) as Request
    return Effect.flatMap(run(command), (value) => reply(number, value))
  })
})

NodeRuntime.runMain(Effect.scoped(program))
