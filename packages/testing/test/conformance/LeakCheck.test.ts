/**
 * The leak check checked: what is left behind on purpose is found, by name, and nothing else is.
 */
import * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as Net from "node:net"
import { start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

/** Everything that the check knows of, in this process and in a cluster. */
const probeOf = (cluster: TestCluster.Service): LeakCheck.Probe =>
  LeakCheck.all(
    LeakCheck.nodeProbe,
    Effect.map(cluster.pods.processes, ({ length }) => ({ "processes in pods": length }))
  )

/** Something is left behind: how, how the check calls it, and how it is cleared away. */
interface Leak {
  readonly name: string
  readonly leave: (cluster: TestCluster.Service) => Effect.Effect<Effect.Effect<void>>
  readonly found: RegExp
}

const whenConnected = (port: number): Effect.Effect<Net.Socket> =>
  Effect.callback((resume) => {
    const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
  })

const leaks: ReadonlyArray<Leak> = [
  {
    name: "a socket",
    // Both ends are in this process.
    leave: (cluster) =>
      Effect.map(whenConnected(Number(cluster.url.port)), (socket) => Effect.sync(() => void socket.destroy())),
    found: /^left behind: 2 TCPSocketWrap$/
  },
  {
    name: "a listener",
    leave: () =>
      Effect.callback<Effect.Effect<void>>((resume) => {
        const server = Net.createServer()
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(Effect.sync(() => void server.close()))))
      }),
    found: /^left behind: 1 TCPServerWrap$/
  },
  {
    name: "a local child",
    leave: () =>
      Effect.sync(() => {
        const child = spawn("sleep", ["1000"], { stdio: "ignore" })
        return Effect.sync(() => void child.kill("SIGKILL"))
      }),
    found: /^left behind: 1 ProcessWrap$/
  },
  {
    name: "a fiber",
    leave: () => Effect.map(Effect.forkDetach(Effect.never), (fiber) => Effect.sync(() => fiber.interruptUnsafe())),
    found: /^left behind: 1 fibers$/
  },
  {
    name: "a process in a pod",
    leave: (cluster) => {
      // A bare command outlives its connection.
      const begun = Effect.gen(function*() {
        const command = ["sh", "-c", "echo begun; exec sleep 1000"]
        const client = yield* ExecClient.open(cluster, command, { protocols: ExecClient.v5 })
        yield* eventually(
          Effect.sync(() => client.channel(1).toString()),
          (text) => assert.strictEqual(text, "begun\n")
        )
      })
      return Effect.map(
        Effect.andThen(Effect.scoped(begun), cluster.pods.execs()),
        ([exec]) => Effect.sync(() => void process.kill(exec?.pid ?? 0, "SIGKILL"))
      )
    },
    // It runs in this process, which is told too.
    found: /^left behind: (?=.*\b1 processes in pods\b)/
  }
]

describe("the leak check", () => {
  for (const { found, leave, name } of leaks) {
    it.live(`fails by name for ${name} that is left behind`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        let clear: Effect.Effect<void> = Effect.void
        const leaving = Effect.map(leave(cluster), (how) => {
          clear = how
        })
        const error = yield* Effect.flip(LeakCheck.checked(leaving, probeOf(cluster), { polls: 5 }))
        assert.match(error.message, found)
        yield* clear
        // Cleared away, it is the state that the check began with.
        yield* LeakCheck.checked(Effect.void, probeOf(cluster))
      }))

    it.live(`passes for ${name} that ends with its scope`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const leaving = Effect.flatMap(leave(cluster), (clear) => Effect.addFinalizer(() => clear))
        yield* LeakCheck.checked(leaving, probeOf(cluster))
      }))
  }

  it.live("tells everything that is left, each with its count", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const fibers = yield* Effect.acquireRelease(
        Effect.succeed(new Set<Effect.Effect<void>>()),
        (all) => Effect.forEach(all, (clear) => clear, { discard: true })
      )
      const leave = Effect.gen(function*() {
        for (const { leave } of leaks) fibers.add(yield* leave(cluster))
        fibers.add(yield* leaks.find(({ name }) => name === "a fiber")!.leave(cluster))
      })
      const error = yield* Effect.flip(LeakCheck.checked(leave, probeOf(cluster), { polls: 5 }))
      const parts = error.message.replace("left behind: ", "").split(", ")
      assert.includeMembers(parts, [
        "2 TCPSocketWrap",
        "1 TCPServerWrap",
        // The pod's is one of this process.
        "2 ProcessWrap",
        "1 processes in pods",
        "2 fibers"
      ])
    }))

  it.live("does not count what was there before, and what ends meanwhile", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const socket = yield* whenConnected(Number(cluster.url.port))
      // The other end is in this process too, and may be there later.
      yield* eventually(cluster.stats, ({ openSockets }) => assert.strictEqual(openSockets, 1))
      yield* LeakCheck.checked(Effect.void, probeOf(cluster), { polls: 5 })
      yield* LeakCheck.checked(Effect.sync(() => void socket.destroy()), probeOf(cluster), { polls: 5 })
    }))

  it.live("gives the result, or the failure of its own, which comes before what it has left", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      assert.strictEqual(yield* LeakCheck.checked(Effect.succeed(7), probeOf(cluster)), 7)
      let fiber: { readonly interruptUnsafe: () => void } | undefined
      const failing = Effect.gen(function*() {
        fiber = yield* Effect.forkDetach(Effect.never)
        return yield* Effect.fail("its own" as const)
      })
      assert.strictEqual(yield* Effect.flip(LeakCheck.checked(failing, probeOf(cluster), { polls: 5 })), "its own")
      fiber?.interruptUnsafe()
    }))
})
