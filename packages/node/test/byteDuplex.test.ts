import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import * as ByteDuplex from "../src/internal/byteDuplex.ts"

const lastWord = new TextEncoder().encode("success")

/** Keeps what it accepts, and reads none of it. */
const listen = (accepted: Deferred.Deferred<Net.Socket>) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer({ pauseOnConnect: true }, (socket) =>
        Deferred.doneUnsafe(accepted, Effect.succeed(socket)))
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const lost = (cause: unknown) =>
  new TransportError({ reason: new ConnectionLost({ address: { host: "127.0.0.1", port: 1 }, cause }) })

const connect = (server: Net.Server) =>
  Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const { port } = server.address() as Net.AddressInfo
      const socket = Net.connect({ port, host: "127.0.0.1" }, () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => void socket.destroy())
  )

it.live("the last word of a peer that hangs up while we write arrives before the failure", () =>
  Effect.gen(function*() {
    const accepted = yield* Deferred.make<Net.Socket>()
    const socket = yield* connect(yield* listen(accepted))
    const duplex = ByteDuplex.make(socket, lost)
    yield* duplex.write([new Uint8Array(1024)])
    const peer = yield* Deferred.await(accepted)
    // Closed with unread bytes, it resets the connection: the kernel holds the word and refuses to write, once
    // it has heard of that.
    peer.write(lastWord)
    peer.destroy()
    assert.instanceOf(yield* Effect.flip(Effect.forever(duplex.write([new Uint8Array(1024)]))), TransportError)
    const [heard] = yield* duplex.pull
    assert.strictEqual(new TextDecoder().decode(heard), "success")
    assert.instanceOf(yield* Effect.flip(duplex.pull), TransportError)
  }))
