import * as NodeListeners from "@effect-k8s/node/NodeListeners"
import * as Listening from "@effect-k8s/testing/contract/Listening"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import { listen } from "../src/internal/listen.ts"

const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

layer(NodeListeners.layer, { excludeTestServices: true })("a listener of Node", (it) => {
  for (const row of Listening.rows) it.effect(row.name, () => row.run)
})

describe("a connection that a listener has accepted", () => {
  for (const ends of [false, true]) {
    it.live(`is closed by a reset${ends ? ", behind its end too, which keeps nothing busy" : ", which its peer sees"}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const before = sockets()
        const done = yield* Deferred.make<void>()
        const listener = yield* listen({ host: "127.0.0.1", port: 0 })
        yield* Effect.forkScoped(listener.run(({ reset, socket }) =>
          Effect.gen(function*() {
            yield* Effect.asVoid(Socket.readerBytes(socket))
            if (ends) yield* Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write("bye")))
            yield* reset
          }).pipe(Effect.scoped, Effect.ignore, Effect.ensuring(Deferred.succeed(done, undefined)))
        ))
        const end = yield* Effect.callback<string>((resume) => {
          const peer = Net.connect({ ...listener.address, allowHalfOpen: true })
          peer.on("error", ({ message }) => resume(Effect.succeed(message)))
          peer.on("end", () => resume(Effect.sync(() => (peer.destroy(), "ended"))))
          peer.resume()
        })
        yield* Deferred.await(done)
        if (!ends) assert.include(end, "ECONNRESET")
        while (sockets() > before) yield* Effect.sleep(10)
      })))
  }
})
