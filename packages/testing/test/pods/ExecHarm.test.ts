/**
 * The harm that real servers do, each kind seen on them: here it must happen, and with its switch off it must not.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type * as Harm from "@effect-k8s/testing/pods/Harm"
import type * as LocalNode from "@effect-k8s/testing/pods/LocalNode"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import { mark, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

const { v4, v5 } = ExecClient

const sh = (script: string): ReadonlyArray<string> => ["sh", "-c", script]

const withHarm = (harm: Harm.Options, more: LocalNode.Options = {}) => start({ pods: { harm, ...more } })

const exitCode = (client: ExecClient.ExecClient): number | undefined => {
  const outcome = client.outcome()
  return outcome._tag === "Exited" ? outcome.code : undefined
}

const harmOf = (cluster: TestCluster.Service, command: RegExp) =>
  Effect.map(cluster.pods.execs({ command }), ([exec]) => exec?.harm ?? [])

const endStdin = (client: ExecClient.ExecClient): void => client.send(255, Uint8Array.of(0))

const mib = 1 << 20

// For a command that ends when it is told to, so that what it leaves unread is there before.
const untilTold = "while [ ! -e go ]; do sleep 0.05; done"
const tell = (cluster: TestCluster.Service) => mark(cluster, "go")

/** Waits until so many bytes of stdin have arrived for the only command. */
const arrived = (cluster: TestCluster.Service, bytes: number) =>
  eventually(cluster.pods.execs(), ([exec]) => assert.isAtLeast(exec?.stdinBytes ?? 0, bytes))

/** Feeds a command, which waits until it is told, and tells it when half of that has arrived. */
const feedAndTell = Effect.fnUntraced(function*(
  cluster: TestCluster.Service,
  script: string,
  size: number,
  protocols = v5
) {
  const client = yield* ExecClient.open(cluster, sh(script), { protocols, streams: "ioe" })
  yield* client.feed(size)
  yield* arrived(cluster, size / 2)
  yield* tell(cluster)
  return client
})

describe("stdin of a command that gives up an output", () => {
  const size = 4 * mib
  const stored = Effect.fnUntraced(function*(cluster: TestCluster.Service) {
    const directory = yield* cluster.pods.directory({ namespace: "default", pod: "p", container: "main" })
    return Fs.statSync(`${directory}/f`).size
  })
  // While stdin goes to the command, more of it waits outside of the server than in it.
  const small = { pods: { backendBufferBytes: 64 * 1024 } }

  /**
   * Feeds a command that reads when it is told to, and tells it when all has arrived: so it does once the server drops it. A
   * command that ends before would be left by its client's bytes without a status.
   */
  const feedUntilCut = Effect.fnUntraced(function*(cluster: TestCluster.Service, script: string, streams: string) {
    const before = (yield* cluster.pods.execs()).length
    const client = yield* ExecClient.open(cluster, sh(script), { protocols: v5, streams })
    yield* client.feed(size)
    endStdin(client)
    yield* eventually(cluster.pods.execs(), (all) => {
      assert.strictEqual(all[before]?.arrivals.at(-1)?.kind, "end-of-stdin")
    })
    yield* tell(cluster)
    yield* client.ended
    return client
  })

  // A shell that runs its last command in its own place gives up its outputs in `cat > f` alone; not every shell does.
  const commands = [
    `exec >f; ${untilTold}; exec cat`,
    `exec 2>/dev/null; ${untilTold}; tee f`,
    `exec >/dev/null 2>&1; ${untilTold}; dd of=f`
  ]
  for (const command of commands) {
    it.live(`is cut, and the command succeeds: ${command}`, () =>
      Effect.gen(function*() {
        const cluster = yield* start(small)
        const client = yield* feedUntilCut(cluster, command, "ioe")
        assert.strictEqual(exitCode(client), 0)
        assert.isAtMost(yield* stored(cluster), 224 * 1024)
        assert.deepStrictEqual(yield* harmOf(cluster, /f/), ["stdin-dropped"])
      }))
  }

  it.live("arrives whole while the command keeps its outputs", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(cluster, sh("cat > f; :"), { protocols: v5, streams: "ioe" })
      yield* client.feed(size)
      endStdin(client)
      yield* client.ended
      assert.strictEqual(exitCode(client), 0)
      assert.strictEqual(yield* stored(cluster), size)
      assert.deepStrictEqual(yield* harmOf(cluster, /cat/), [])
    }))

  it.live("arrives whole with the switch off", () =>
    Effect.gen(function*() {
      const cluster = yield* withHarm({ cutsStdin: false })
      const client = yield* ExecClient.open(cluster, sh("exec cat > f"), { protocols: v5, streams: "ioe" })
      yield* client.feed(size)
      endStdin(client)
      yield* client.ended
      assert.strictEqual(yield* stored(cluster), size)
    }))

  it.live("is cut from the start where stdout was not asked for, and not where stderr was not", () =>
    Effect.gen(function*() {
      const cluster = yield* start(small)
      const cut = yield* feedUntilCut(cluster, `${untilTold}; wc -c >&2`, "ie")
      assert.isAtMost(Number(cut.channel(2).toString()), 224 * 1024)
      const whole = yield* ExecClient.open(cluster, ["wc", "-c"], { protocols: v5, streams: "io" })
      yield* whole.feed(size)
      endStdin(whole)
      yield* whole.ended
      assert.strictEqual(Number(whole.channel(1).toString()), size)
    }))
})

describe("a command that ends with much of its stdin unread", () => {
  for (const protocols of [v5, v4]) {
    it.live(`never gets a status, nor a close, until the client leaves (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* feedAndTell(cluster, `head -c 10; ${untilTold}; exit 3`, mib, protocols)
        yield* eventually(harmOf(cluster, /head/), (harm) => assert.deepStrictEqual(harm, ["hung"]))
        client.ping("still there?")
        yield* eventually(Effect.sync(() => client.events.length), (count) => assert.strictEqual(count, 1))
        assert.strictEqual(client.channel(1).length, 10)
        assert.strictEqual(client.channel(3).length, 0)
        assert.strictEqual(client.end(), "none")
        client.destroy()
        yield* eventually(cluster.pods.openExecs, (open) => assert.strictEqual(open, 0))
      }))
  }

  it.live("gets its status when the pipe to it holds the rest, or with the switch off", () =>
    Effect.gen(function*() {
      for (const [harm, size] of [[{}, 140_000], [{ hangsOnUnreadStdin: false }, mib]] as const) {
        const cluster = yield* withHarm(harm)
        const client = yield* feedAndTell(cluster, `head -c 10 >/dev/null; ${untilTold}; exit 3`, size)
        yield* client.ended
        assert.strictEqual(exitCode(client), 3)
      }
    }))

  it.live("is no different when it has closed its stdin", () =>
    Effect.gen(function*() {
      const script = `exec <&-; ${untilTold}; echo done`
      const little = yield* feedAndTell(yield* start(), script, 98_304)
      yield* little.ended
      assert.strictEqual(exitCode(little), 0)
      const cluster = yield* start()
      const much = yield* feedAndTell(cluster, script, mib)
      yield* eventually(harmOf(cluster, /done/), (harm) => assert.deepStrictEqual(harm, ["hung"]))
      assert.strictEqual(much.channel(1).toString(), "done\n")
    }))
})

describe("the tail of a long output", () => {
  const size = 24 * mib
  // More than the system's own buffers take, so that the server is left with the rest.
  const slow = { backendBufferBytes: 64 * mib }
  const command = sh(`head -c ${size} /dev/zero; exit 7`)

  const readLate = Effect.fnUntraced(
    function*(cluster: TestCluster.Service, protocols: string, when: Effect.Effect<void>) {
      const client = yield* ExecClient.open(cluster, command, { protocols, paused: true })
      yield* when
      client.resume()
      yield* client.ended
      return client
    }
  )
  const hasEnded = (cluster: TestCluster.Service) =>
    eventually(cluster.pods.execs(), (all) => assert.strictEqual(all.at(-1)?.exitCode, 7))

  it.live("is lost in v5 when the client reads too slowly, and the failure is a Success", () =>
    Effect.gen(function*() {
      const cluster = yield* withHarm({ translatorPingMillis: 20 }, slow)
      const lost = eventually(harmOf(cluster, /head/), (harm) => assert.deepStrictEqual(harm, ["tail-lost"]))
      const client = yield* readLate(cluster, v5, lost)
      assert.isBelow(client.channel(1).length, size)
      assert.strictEqual(exitCode(client), 0)
      assert.strictEqual(client.closeCode(), 1000)
      assert.strictEqual(client.end(), "fin")
    }))

  it.live("arrives in v5 when the client reads before the translator's ping, or with the switch off", () =>
    Effect.gen(function*() {
      // The ping comes later than the slowest of machines reads.
      for (const harm of [{ translatorPingMillis: 100_000 }, { losesSlowTail: false, translatorPingMillis: 1 }]) {
        const cluster = yield* withHarm(harm, slow)
        const client = yield* readLate(cluster, v5, Effect.andThen(hasEnded(cluster), Effect.sleep("100 millis")))
        assert.strictEqual(client.channel(1).length, size)
        assert.strictEqual(exitCode(client), 7)
      }
    }))

  it.live("arrives in v4 however slowly the client reads", () =>
    Effect.gen(function*() {
      const cluster = yield* withHarm({ translatorPingMillis: 1 }, slow)
      const client = yield* readLate(cluster, v4, Effect.andThen(hasEnded(cluster), Effect.sleep("100 millis")))
      assert.strictEqual(client.channel(1).length, size)
      assert.strictEqual(exitCode(client), 7)
    }))

  it.live("is reset by a byte that the client sends after the server's close", () =>
    Effect.gen(function*() {
      // Small enough to fit into the system's buffers, and too large for the client's part of them.
      for (const protocols of [v4, v5]) {
        const cluster = yield* start()
        const client = yield* ExecClient.open(cluster, sh(`head -c ${mib / 2} /dev/zero; exit 7`), {
          protocols,
          paused: true
        })
        yield* eventually(cluster.pods.openExecs, (open) => assert.strictEqual(open, 0))
        client.ping("too late")
        yield* Effect.sleep("50 millis")
        client.ping("again")
        client.resume()
        yield* client.ended
        assert.include(["ECONNRESET", "EPIPE"], client.end())
        assert.strictEqual(client.outcome()._tag, "Missing")
      }
    }))

  it.live("survives a late byte with the switch off", () =>
    Effect.gen(function*() {
      const cluster = yield* withHarm({ closesAtOnce: false })
      const client = yield* ExecClient.open(cluster, sh(`head -c ${mib / 2} /dev/zero; exit 7`), {
        protocols: v4,
        paused: true
      })
      yield* eventually(cluster.pods.execs(), ([exec]) => assert.isTrue(exec?.hasStatus))
      client.ping("late, but who cares")
      yield* eventually(cluster.pods.execs(), ([exec]) =>
        assert.deepInclude(exec?.arrivals.at(-1), { kind: "ping", bytes: 19, afterStatus: true }))
      assert.strictEqual((yield* cluster.pods.execs())[0]?.lateBytes, 19 + 6)
      client.resume()
      yield* client.ended
      assert.strictEqual(client.end(), "fin")
      assert.strictEqual(exitCode(client), 7)
      assert.strictEqual(client.channel(1).length, mib / 2)
    }))
})

describe("the command of a client that leaves", () => {
  const kinds: ReadonlyArray<readonly [string, string]> = [
    ["one that waits", "exec sleep 1000"],
    ["one that reads its stdin", "cat >/dev/null 3>&1; echo end > end; exec sleep 1000"],
    ["one that writes", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"]
  ]
  const leave = Effect.fnUntraced(function*(
    cluster: TestCluster.Service,
    script: string,
    protocols: string,
    how: "close" | "destroy"
  ) {
    const client = yield* ExecClient.open(cluster, sh(script), { protocols, streams: "ioe" })
    yield* eventually(cluster.pods.starts({ command: `sh -c ${script}` }), (starts) => assert.strictEqual(starts, 1))
    if (how === "close") {
      client.close()
      yield* client.ended
    }
    client.destroy()
    yield* eventually(cluster.pods.openExecs, (open) => assert.strictEqual(open, 0))
  })
  const execs = (cluster: TestCluster.Service) =>
    Effect.map(cluster.pods.processes, (all) => all.filter(({ exec }) => exec !== undefined).length)

  for (
    const [era, protocols, how] of [["1.34", v5, "close"], ["1.34", v4, "destroy"], ["1.36", v5, "destroy"], [
      "1.36",
      v4,
      "close"
    ]] as const
  ) {
    it.live(`goes on, but for the end of its stdin (${era}, ${protocols}, ${how})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ pods: { era } })
        for (const [, script] of kinds) yield* leave(cluster, script, protocols, how)
        const directory = yield* cluster.pods.directory({ namespace: "default", pod: "p", container: "main" })
        yield* eventually(Effect.sync(() => Fs.existsSync(`${directory}/end`)), (exists) => assert.isTrue(exists))
        yield* Effect.sleep("50 millis")
        assert.isAtLeast(yield* execs(cluster), 3)
        const ended = yield* cluster.pods.execs()
        assert.isTrue(ended.every(({ exitCode }) => exitCode === undefined))
      }))
  }

  it.live("is killed where its v4 connection was lost without a close frame (1.36), or with the switch off", () =>
    Effect.gen(function*() {
      for (
        const [pods, protocols, how] of [
          [{ era: "1.36" }, v4, "destroy"],
          [{ harm: { leavesCommands: false } }, v5, "close"],
          [{ harm: "none" }, v4, "destroy"]
        ] as const
      ) {
        const cluster = yield* start({ pods })
        for (const [, script] of kinds) yield* leave(cluster, script, protocols, how)
        yield* eventually(execs(cluster), (count) => assert.strictEqual(count, 0))
        yield* eventually(
          cluster.pods.execs(),
          (all) => assert.deepStrictEqual(all.map(({ exitCode }) => exitCode), [137, 137, 137])
        )
      }
    }))

  it.live("stays alone: what was unread when it ended keeps nothing open", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(cluster, sh(untilTold), { protocols: v5, streams: "ioe" })
      yield* Effect.forkChild(client.feed(64 * mib))
      yield* arrived(cluster, mib)
      yield* tell(cluster)
      yield* eventually(cluster.pods.execs(), ([exec]) => assert.deepStrictEqual(exec?.harm, ["hung"]))
      client.destroy()
      yield* eventually(cluster.pods.openExecs, (open) => assert.strictEqual(open, 0))
      yield* eventually(execs(cluster), (count) => assert.strictEqual(count, 0))
      yield* eventually(cluster.stats, ({ openSockets }) => assert.strictEqual(openSockets, 0))
    }))
})

describe("what a client sends", () => {
  it.live("is recorded: what, when, how much was unread then, and whether it was after the status", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const pong = { opcode: WebSocketFrame.Opcode.Pong, payload: new Uint8Array(0) }
      const client = yield* ExecClient.open(cluster, sh(`head -c ${16 * mib} /dev/zero; cat`), {
        protocols: v5,
        streams: "ioe",
        paused: true
      })
      // The sockets between hold some megabytes: a pong, which asks for no answer, shows when they are full, and output
      // waits in the server.
      yield* eventually(
        Effect.andThen(Effect.sync(() => client.frame(pong)), cluster.pods.execs()),
        ([exec]) => assert.isAbove(exec?.arrivals.at(-1)?.backlog ?? 0, 0)
      )
      client.send(0, "abc")
      client.ping("?")
      const fromStdin = Effect.map(
        cluster.pods.execs(),
        ([exec]) => Array.dropWhile(exec?.arrivals ?? [], ({ kind }) => kind !== "stdin")
      )
      yield* eventually(
        fromStdin,
        (arrivals) => assert.deepStrictEqual(arrivals.map(({ kind }) => kind), ["stdin", "ping"])
      )
      client.resume()
      endStdin(client)
      yield* client.ended
      const [exec] = yield* cluster.pods.execs()
      const arrivals = yield* fromStdin
      assert.deepStrictEqual(
        arrivals.map(({ afterStatus, bytes, kind }) => [kind, bytes, afterStatus]),
        [["stdin", 3, false], ["ping", 1, false], ["end-of-stdin", 0, false]]
      )
      assert.isAbove(arrivals[0]?.backlog ?? 0, 0)
      assert.isAbove(arrivals[0]?.at ?? 0, 1_700_000_000_000)
      assert.deepStrictEqual(
        [
          exec?.starts,
          exec?.exitCode,
          exec?.isOpen,
          exec?.stdinBytes,
          exec?.outputBytes,
          exec?.subprotocol,
          exec?.user
        ],
        [1, 0, false, 3, 16 * mib + 3, v5, "admin"]
      )
    }))
})
