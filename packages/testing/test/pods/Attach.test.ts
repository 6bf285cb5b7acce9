import * as Programs from "@effect-k8s/testing/pods/Programs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import {
  awaitPod,
  container,
  containerStatus,
  createPod,
  getPod,
  markIsThere,
  reference,
  start
} from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"
import { ways } from "../support/Terminals.ts"

const { v4, v5 } = ExecClient

const pathOf = (streams: string, more = ""): string => {
  const flags = [["i", "stdin"], ["o", "stdout"], ["e", "stderr"], ["t", "tty"]] as const
  const query = flags.flatMap(([letter, name]) => streams.includes(letter) ? [`${name}=true`] : [])
  return `/api/v1/namespaces/default/pods/p/attach?${[...query, more].filter((part) => part !== "").join("&")}`
}

const attach = (
  cluster: Parameters<typeof ExecClient.open>[0],
  streams: string,
  protocols: string = v5,
  more = ""
) => ExecClient.open(cluster, [], { protocols, path: pathOf(streams, more) })

const shows = (client: ExecClient.ExecClient, channel: number, text: string) =>
  eventually(Effect.sync(() => client.channel(channel).toString()), (shown) => assert.include(shown, text))

// `quit` ends it with 7, the end of stdin with 5.
const reader = "while read -r l; do echo \"got $l\"; [ \"$l\" != quit ] || exit 7; done; echo eof; exit 5"
const running = (script: string, more = {}) => ({
  restartPolicy: "Never",
  containers: [container("main", { command: ["sh", "-c", script], ...more })]
})

const success = "{\"metadata\":{},\"status\":\"Success\"}"

describe("an attach", () => {
  for (const protocols of [v5, v4]) {
    it.live(`shows output from now on, and says Success when the process ends, whatever its exit code (${protocols})`, () =>
      Effect.gen(function*() {
        const script = "echo before; read -r l; echo \"out $l\"; echo \"err $l\" >&2; exit 3"
        const cluster = yield* start({}, running(script, { stdin: true }))
        yield* eventually(
          ExecClient.open(cluster, [], { path: "/api/v1/namespaces/default/pods/p/log", headers: {} }),
          (log) => assert.include(log.body(), "before")
        )
        const client = yield* attach(cluster, "ioe", protocols)
        client.send(0, "now\n")
        yield* client.ended
        assert.deepStrictEqual(client.messages[0], [2, 1, 0])
        assert.strictEqual(client.channel(1).toString(), "out now\n")
        assert.strictEqual(client.channel(2).toString(), "err now\n")
        assert.strictEqual(client.channel(3).toString(), success)
        assert.strictEqual(client.closeCode(), 1000)
        yield* awaitPod(cluster, (pod) => {
          const state = containerStatus(pod)["state"]
          assert.include(JSON.stringify(state), "\"exitCode\":3")
        })
      }))
  }

  it.live("shows each client what it asked for, and takes stdin from all", () =>
    Effect.gen(function*() {
      const script = "while read -r l; do echo \"out $l\"; echo \"err $l\" >&2; done"
      const cluster = yield* start({}, running(script, { stdin: true }))
      const [all, out, err] = [
        yield* attach(cluster, "ioe"),
        yield* attach(cluster, "io", v4),
        yield* attach(cluster, "e")
      ]
      all.send(0, "one\n")
      yield* shows(out, 1, "out one\n")
      out.send(0, "two\n")
      yield* shows(all, 1, "out one\nout two\n")
      yield* shows(all, 2, "err one\nerr two\n")
      yield* shows(err, 2, "err one\nerr two\n")
      assert.deepStrictEqual([out.channel(2).length, err.channel(1).length], [0, 0])
    }))

  it.live("over v4 without stdin ends at once where the container has one, and takes it away with stdinOnce", () =>
    Effect.gen(function*() {
      for (const [more, shown] of [[{}, ""], [{ stdinOnce: true }, "eof\n"]] as const) {
        const cluster = yield* start({}, running(reader, { stdin: true, ...more }))
        const client = yield* attach(cluster, "o", v4)
        yield* client.ended
        assert.strictEqual(client.channel(1).toString(), shown)
        assert.strictEqual(client.channel(3).toString(), success)
        const other = yield* attach(yield* start({}, running(reader, { stdin: true, ...more })), "o", v5)
        yield* Effect.sleep("200 millis")
        assert.strictEqual(other.channel(3).length, 0)
      }
    }))

  it.live("ends at once with the end of a client's stdin, and leaves the container's open, without stdinOnce", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, running(reader, { stdin: true }))
      const [one, other] = [yield* attach(cluster, "ioe"), yield* attach(cluster, "oe")]
      one.bytes(ExecClient.endOfStdin)
      yield* one.ended
      assert.strictEqual(one.channel(3).toString(), success)
      const next = yield* attach(cluster, "ioe")
      next.send(0, "still\n")
      yield* shows(next, 1, "got still\n")
      yield* shows(other, 1, "got still\n")
      assert.strictEqual(other.end(), "none")
    }))

  it.live("ends the container's stdin with the client's, or when it leaves, with stdinOnce", () =>
    Effect.gen(function*() {
      const leaving: ReadonlyArray<(client: ExecClient.ExecClient) => void> = [
        (client) => client.bytes(ExecClient.endOfStdin),
        (client) => client.destroy()
      ]
      for (const leave of leaving) {
        const cluster = yield* start({}, running(reader, { stdin: true, stdinOnce: true }))
        const [one, other] = [yield* attach(cluster, "ioe"), yield* attach(cluster, "oe")]
        one.send(0, "line\n")
        yield* shows(one, 1, "got line\n")
        leave(one)
        yield* other.ended
        assert.strictEqual(other.channel(1).toString(), "got line\neof\n")
        assert.strictEqual(other.channel(3).toString(), success)
      }
    }))

  it.live("drops what is written to a container without stdin, and shows nothing to who wants a terminal that is not there", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, running("while :; do echo tick; sleep 0.02; done"))
      const client = yield* attach(cluster, "io")
      client.send(0, "x".repeat(100_000))
      yield* shows(client, 1, "tick\ntick\n")
      const [blind, seeing] = [yield* attach(cluster, "iot", v5), yield* attach(cluster, "iot", v4)]
      yield* shows(seeing, 1, "tick\ntick\ntick\n")
      assert.strictEqual(blind.channel(1).toString(), "")
    }))

  it.live("is refused for a container that does not run, in the kubelet's words", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, running("exec sleep 1000"))
      yield* createPod(cluster, "q", running("exit 3"))
      yield* awaitPod(cluster, (pod) => assert.include(JSON.stringify(containerStatus(pod)["state"]), "exitCode"), "q")
      const path = pathOf("oe").replace("/p/", "/q/")
      const early = yield* ExecClient.run(cluster, [], { protocols: v4, path })
      assert.deepStrictEqual([early.status, early.body()], [500, "container main not found in pod q_default"])
      const late = yield* ExecClient.run(cluster, [], { protocols: v5, path })
      assert.include(
        late.channel(3).toString(),
        "unable to upgrade connection: container main not found in pod q_default"
      )
      const unknown = yield* ExecClient.run(cluster, [], { protocols: v5, path: pathOf("oe", "container=nope") })
      assert.deepStrictEqual(unknown.status, 400)
    }))

  it.live("goes on when the pod is told to end, until its process has", () =>
    Effect.gen(function*() {
      const script = "trap 'echo last; exit 0' TERM; : > on; while :; do sleep 0.01; done"
      const cluster = yield* start({}, running(script))
      yield* markIsThere(cluster, "on")
      const client = yield* attach(cluster, "oe")
      yield* Effect.result(cluster.registry.remove(reference(cluster), { gracePeriodSeconds: 5 }))
      yield* client.ended
      assert.strictEqual(client.channel(1).toString(), "last\n")
      assert.strictEqual(client.channel(3).toString(), success)
    }))

  it.live("lets the process wait for a client that does not read", () =>
    Effect.gen(function*() {
      const cluster = yield* start(
        { pods: { backendBufferBytes: 64 * 1024 } },
        running("read -r l; head -c 20000000 /dev/zero; echo done >done; exec sleep 1000", { stdin: true })
      )
      const client = yield* ExecClient.open(cluster, [], { protocols: v4, path: pathOf("io"), paused: true })
      client.send(0, "go\n")
      const isDone = Effect.map(
        ExecClient.run(cluster, ["test", "-e", "done"], { protocols: v5 }),
        (probe) => {
          const outcome = probe.outcome()
          return outcome._tag === "Exited" ? outcome.code === 0 : undefined
        }
      )
      for (let i = 0; i < 5; i++) assert.isFalse(yield* isDone)
      client.destroy()
      yield* eventually(isDone, (done) => assert.isTrue(done))
    }))

  it.live("is among the records with an empty command, and starts nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, running("exec sleep 1000"))
      yield* attach(cluster, "oe")
      const records = yield* cluster.pods.execs({ command: "" })
      assert.deepStrictEqual(records.map(({ command, container, starts }) => ({ command, container, starts })), [
        { command: [], container: "main", starts: 0 }
      ])
      assert.isTrue(Result.isSuccess(yield* Effect.result(getPod(cluster))))
    }))
})

describe.each(ways)("a terminal by the %s", (terminals) => {
  const startPod = (spec: Parameters<typeof start>[1] = {}) => start({ pods: { terminals } }, spec)
  const script = "echo \"begun\"; : > on; while read -r l; do [ \"$l\" = size ] && stty size || echo \"got $l\"; " +
    "[ \"$l\" != quit ] || exit 7; done; exit 5"
  const withTty = running(script, { stdin: true, tty: true })

  it.live("of a container echoes, has one output, and takes the sizes of whoever is attached", () =>
    Effect.gen(function*() {
      const cluster = yield* startPod(withTty)
      // What is typed before is shown before its first word.
      yield* markIsThere(cluster, "on")
      const [one, other] = [yield* attach(cluster, "iot"), yield* attach(cluster, "io", v4)]
      one.send(0, "hi\n")
      yield* shows(one, 1, "hi\r\ngot hi\r\n")
      yield* shows(other, 1, "hi\r\ngot hi\r\n")
      for (const [client, width, height] of [[one, 100, 30], [other, 77, 33]] as const) {
        client.send(4, JSON.stringify({ Width: width, Height: height }))
        yield* eventually(
          Effect.sync(() => {
            client.send(0, "size\n")
            return client.channel(1).toString()
          }),
          (shown) => assert.include(shown, `${height} ${width}\r\n`)
        )
      }
      other.send(0, "\x04")
      yield* one.ended
      assert.strictEqual(one.channel(3).toString(), success)
      yield* awaitPod(cluster, (pod) => assert.include(JSON.stringify(containerStatus(pod)["state"]), "\"exitCode\":5"))
      assert.deepStrictEqual(yield* cluster.pods.processes, [])
    }))

  it.live("is left by the end of stdin, which does not reach its process", () =>
    Effect.gen(function*() {
      const cluster = yield* startPod(running(script, { stdin: true, stdinOnce: true, tty: true }))
      const one = yield* attach(cluster, "iot")
      one.bytes(ExecClient.endOfStdin)
      yield* one.ended
      const next = yield* attach(cluster, "iot")
      next.send(0, "still\n")
      yield* shows(next, 1, "got still\r\n")
    }))

  it.live("is refused to who wants its stderr without asking for a terminal", () =>
    Effect.gen(function*() {
      const cluster = yield* startPod(withTty)
      const client = yield* ExecClient.run(cluster, [], { protocols: v4, path: pathOf("ioe") })
      assert.deepStrictEqual(
        [client.status, client.body()],
        [500, "rpc error: code = InvalidArgument desc = tty and stderr cannot both be true"]
      )
    }))

  it.live("ends its process with the pod", () =>
    Effect.gen(function*() {
      const cluster = yield* startPod(
        running("trap 'echo last; exit 0' TERM; while :; do echo on; sleep 0.01; done", { tty: true })
      )
      const client = yield* attach(cluster, "ot")
      yield* shows(client, 1, "on\r\n")
      yield* Effect.result(cluster.registry.remove(reference(cluster), { gracePeriodSeconds: 5 }))
      yield* client.ended
      assert.match(client.channel(1).toString(), /^(?:on\r\n)+last\r\n$/)
      yield* eventually(cluster.pods.processes, (left) => assert.deepStrictEqual(left, []))
    }))

  it.live("of an exec echoes, takes sizes, is not ended by the end of stdin but by ^D, and tells its exit code", () =>
    Effect.gen(function*() {
      const cluster = yield* startPod()
      const client = yield* ExecClient.open(cluster, ["sh", "-c", script], { protocols: v5, streams: "io", tty: true })
      yield* shows(client, 1, "begun\r\n")
      client.send(4, "{\"Width\":77,\"Height\":33}")
      yield* eventually(
        Effect.sync(() => {
          client.send(0, "size\n")
          return client.channel(1).toString()
        }),
        (shown) => assert.include(shown, "33 77\r\n")
      )
      const other = yield* ExecClient.open(cluster, ["sh", "-c", script], { protocols: v5, streams: "io", tty: true })
      yield* shows(other, 1, "begun\r\n")
      other.bytes(ExecClient.endOfStdin)
      client.send(0, "\x04")
      yield* client.ended
      const outcome = client.outcome()
      assert.strictEqual(outcome._tag === "Exited" ? outcome.code : outcome._tag, 5)
      assert.strictEqual(other.end(), "none")
    }))
})

it.live("a terminal is refused where there are none, with what to install", () =>
  Effect.gen(function*() {
    const path = process.env["PATH"] ?? ""
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "programs-"))),
      (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
    )
    for (const name of ["sh", "sleep"]) Fs.symlinkSync(Programs.search(name, path) ?? "", Path.join(directory, name))
    yield* Effect.acquireRelease(
      Effect.sync(() => process.env["PATH"] = directory),
      () => Effect.sync(() => process.env["PATH"] = path)
    )
    const cluster = yield* start({ pods: { terminals: "script" } })
    const client = yield* ExecClient.run(cluster, ["sh"], { protocols: v5, streams: "o", tty: true })
    assert.match(
      client.channel(3).toString(),
      /no terminals on this machine: ask without tty \(-t\), or install the package @lydell\/node-pty, or on Linux/
    )
  }))
