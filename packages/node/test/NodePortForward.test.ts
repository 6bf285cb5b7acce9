import * as ChannelError from "@effect-k8s/channels/ChannelError"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as NodePortForward from "@effect-k8s/node/NodePortForward"
import * as ForwardFault from "@effect-k8s/testing/pods/ForwardFault"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import * as Http from "node:http"
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import { text } from "node:stream/consumers"
import { clusterOf, serve } from "./support/webPod.ts"

const MiB = 1024 * 1024

const until = (condition: () => boolean): Effect.Effect<boolean> =>
  Effect.repeat(Effect.sync(condition), { schedule: Schedule.spaced("10 millis"), until: (met) => met, times: 500 })

const settled = async (value: () => number): Promise<number> => {
  for (let last = -1;;) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    if (value() === last) return last
    last = value()
  }
}

const open = (options: Parameters<typeof PortForward.open>[1] = {}) => PortForward.open(Target.pod("web"), options)

/** Whether a stream has what undici calls of a socket, besides what all streams have. Its types want a whole one. */
const servesUndici = (stream: Duplex): stream is Net.Socket =>
  ["ref", "unref"].every((name) => typeof Reflect.get(stream, name) === "function")

layer(clusterOf(), { excludeTestServices: true })("a forwarded connection as a stream", (it) => {
  it.effect("serves requests of node:http, kept alive, and of undici", () =>
    Effect.gen(function*() {
      const server = Http.createServer((request, response) => {
        request.pipe(response)
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))),
        () => Effect.sync(() => server.close().closeAllConnections())
      )
      const { port } = server.address() as Net.AddressInfo
      const forward = yield* open()
      const stream = yield* NodePortForward.duplex(forward, port)
      const agent = new Http.Agent({ keepAlive: true, maxSockets: 1, timeout: 5_000 })
      agent.createConnection = () => stream
      for (const word of ["one", "two"]) {
        const answer = yield* Effect.promise(async () => {
          const request = Http.request({ host: "web", method: "POST", path: "/", agent })
          request.end(word)
          const [response] = await once(request, "response") as [Http.IncomingMessage]
          return text(response)
        })
        assert.strictEqual(answer, word)
      }
      assert.strictEqual((yield* forward.stats).connections, 1)
      agent.destroy()

      const second = yield* NodePortForward.duplex(forward, port)
      const undici = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
      assert(servesUndici(second))
      const client = new undici.Client("http://web", {
        // It does not expect a socket before it has asked.
        connect: (_, callback) => queueMicrotask(() => callback(null, second))
      })
      const body = randomBytes(3 * MiB)
      const echoed = yield* Effect.promise(async () => {
        const response = await client.request({ path: "/", method: "POST", body })
        return Buffer.from(await response.body.arrayBuffer())
      })
      assert.strictEqual(Buffer.compare(echoed, body), 0)
      yield* Effect.promise(() => client.destroy())
    }))

  it.effect("connects as clients do that connect what they are given, and times out", () =>
    Effect.gen(function*() {
      const { port } = yield* serve((socket) => socket.pipe(socket))
      const stream = yield* NodePortForward.duplex(yield* open(), port)
      yield* Effect.promise(async () => {
        stream.setNoDelay(true).setKeepAlive(true).ref().unref()
        await once(stream.connect(5432, "web"), "connect")
        stream.write("hello")
        const [data] = await once(stream, "data") as [Buffer]
        assert.strictEqual(data.toString(), "hello")
        const timeout = once(stream, "timeout")
        stream.setTimeout(20)
        await timeout
        stream.setTimeout(0)
      })
    }))

  it.effect("ends what is sent, and reads on to the end of the pod", () =>
    Effect.gen(function*() {
      // Answers when its input has ended.
      const { port } = yield* serve((socket) => {
        const hash = createHash("sha256")
        socket.on("data", (chunk) => hash.update(chunk)).on("end", () => socket.end(hash.digest("hex")))
      })
      const data = randomBytes(5 * MiB)
      const forward = yield* open({ tellEnd: "at-once-and-lose-late-answers" })
      const stream = yield* NodePortForward.duplex(forward, port)
      const answer = yield* Effect.promise(() => text(stream.end(data)))
      assert.strictEqual(answer, createHash("sha256").update(data).digest("hex"))
      // Real servers do not pass an end on, and cut the connection instead; this one does as it is told.
    }).pipe(Effect.scoped, Effect.provide(clusterOf({ pods: { harm: { cutsForwards: false } } }))))

  it.effect("does not tell the end before the pod has ended, unless told to", () =>
    Effect.gen(function*() {
      let ended = false
      let wasEnded = true
      const { port } = yield* serve((socket) => {
        socket.on("data", () =>
          setTimeout(() => {
            wasEnded = ended
            socket.end("late")
          }, 100)).on("end", () => {
            ended = true
          })
      })
      const stream = yield* NodePortForward.duplex(yield* open(), port)
      const answer = yield* Effect.promise(() => text(stream.end("ask")))
      assert.deepStrictEqual([answer, wasEnded], ["late", false])
    }))

  it.effect("holds up a pod that nobody reads, and a writer whose pod does not read", () =>
    Effect.gen(function*() {
      let poured = 0
      let read = 0
      const zeros = Buffer.alloc(64 * 1024)
      const pouring = yield* serve((socket) => {
        const more = (): void => {
          while (poured < 64 * MiB) {
            poured += zeros.length
            if (!socket.write(zeros)) return void socket.once("drain", more)
          }
          socket.end()
        }
        more()
      })
      const forward = yield* open({ bufferBytes: 256 * 1024 })
      const reader = yield* NodePortForward.duplex(forward, pouring.port)
      const waiting = yield* Effect.promise(() => settled(() => poured))
      assert.isBelow(waiting, 48 * MiB)
      assert.isAtMost(reader.readableLength, MiB)
      reader.on("data", (chunk: Buffer) => (read += chunk.length))
      yield* Effect.promise(() => once(reader, "end"))
      assert.strictEqual(read, 64 * MiB)

      const deaf = yield* serve((socket) => socket.pause())
      const writer = yield* NodePortForward.duplex(forward, deaf.port)
      let written = 0
      yield* Effect.promise(async () => {
        let isFull = false
        while (!isFull && written < 512 * MiB) {
          written += zeros.length
          if (writer.write(zeros)) continue
          const drained = once(writer, "drain").then(() => true)
          isFull = !await Promise.race([
            drained,
            new Promise<false>((resolve) => setTimeout(() => resolve(false), 500))
          ])
        }
      })
      assert.isBelow(written, 512 * MiB)
      assert.isAtMost(writer.writableLength, MiB)
    }))

  it.effect("is destroyed with its scope, and may be destroyed before", () =>
    Effect.gen(function*() {
      const { open: count, port } = yield* serve((socket) => socket.pipe(socket))
      const forward = yield* open()
      for (const early of [false, true]) {
        const scope = yield* Scope.make()
        const stream = yield* Scope.provide(NodePortForward.duplex(forward, port), scope)
        assert.isTrue(yield* until(() => count() === 1))
        if (early) {
          stream.destroy()
          assert.isTrue(yield* until(() => count() === 0))
        }
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual([stream.destroyed, stream.closed, stream.errored], [true, true, null])
        assert.isTrue(yield* until(() => count() === 0))
      }
      assert.strictEqual((yield* forward.stats).connections, 0)
    }))

  it.effect("is not dialled any longer when nobody waits for it", () =>
    Effect.gen(function*() {
      const { port } = yield* serve((socket) => socket.pipe(socket))
      const cluster = yield* TestCluster.TestCluster
      const forward = yield* open({ handshakeTimeout: "1 hour" })
      // The server takes it on no link.
      const ignored = yield* cluster.pods.injectForward({ port }, ForwardFault.ignore, { times: 2 })
      const dialling = yield* Effect.forkDetach(Effect.scoped(NodePortForward.duplex(forward, port)))
      yield* Effect.repeat(ignored.hits, { schedule: Schedule.spaced("10 millis"), until: (hits) => hits === 2 })
      dialling.interruptUnsafe()
      assert.isTrue(yield* until(() => dialling.pollUnsafe() !== undefined))
      assert.strictEqual((yield* forward.stats).connections, 0)
    }))

  it.effect("is given to the scope or destroyed, whenever who dials is interrupted", () =>
    Effect.gen(function*() {
      const forward = yield* open()
      const seen = new Set<string>()
      const interrupted = Effect.fnUntraced(function*(step: number, operations: number) {
        let dialled = 0
        const counted = Effect.acquireRelease(
          Effect.sync(() => {
            dialled++
          }),
          () =>
            Effect.sync(() => {
              dialled--
            })
        )
        const socket = Socket.make({
          reader: Effect.as(counted, { pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
          writer: Effect.as(counted, { write: () => Effect.void, writeAll: () => Effect.void })
        })
        const scope = yield* Scope.make()
        // It yields after a few operations, as it does after thousands elsewhere.
        const dialling = yield* Scope.provide(NodePortForward.duplex({ ...forward, socket: () => socket }, 80), scope)
          .pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, operations),
            Effect.forkChild
          )
        for (let i = 0; i < step; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(dialling)
        const exit = yield* Fiber.await(dialling)
        if (Exit.isSuccess(exit)) assert.deepStrictEqual([dialled, exit.value.destroyed], [2, false])
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(dialled, 0, `step ${step} of ${operations} operations`)
        seen.add(Exit.isSuccess(exit) ? "made" : "interrupted")
      })
      for (let operations = 5; operations < 15; operations++) {
        for (let step = 0; step < 40; step++) yield* interrupted(step, operations)
      }
      assert.sameMembers([...seen], ["interrupted", "made"])
    }))

  it.effect("tells a refusal by the stream, whose error nobody needs to hear, and one before it by its type", () =>
    Effect.gen(function*() {
      const { port } = yield* serve((socket) => socket.pipe(socket))
      const cluster = yield* TestCluster.TestCluster
      const forward = yield* open()
      yield* cluster.pods.injectForward({ port }, ForwardFault.refuse("nobody is at home"))
      const refused = yield* NodePortForward.duplex(forward, port)
      refused.resume()
      assert.isTrue(yield* until(() => refused.closed))
      assert(ChannelError.isChannelError(refused.errored))
      assert.include(refused.errored.message, "nobody is at home")
      const error = yield* Effect.flip(NodePortForward.duplex(forward, "nameless"))
      assert.strictEqual(error.reason._tag, "PortUnavailable")
    }))
})
