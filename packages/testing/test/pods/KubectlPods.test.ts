/**
 * Unmodified kubectl on pods. Versions before 1.30 speak SPDY for exec, and later ones when they are told to.
 */
import * as ExecFault from "@effect-k8s/testing/pods/ExecFault"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { container, mark, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import { oldestAndNewest } from "../support/Kubectl.ts"

const able = oldestAndNewest.filter(({ minor }) => minor() >= 30)
const overSpdy = oldestAndNewest.map((kubectl) =>
  [kubectl, kubectl.minor() >= 30 ? { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false" } : {}] as const
)

interface Output {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

const kubectl = Effect.fnUntraced(function*(
  file: string,
  cluster: TestCluster.Service,
  variables: Readonly<Record<string, string>> = {}
) {
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubectl-pods-"))),
    (home) => Effect.sync(() => Fs.rmSync(home, { recursive: true, force: true }))
  )
  const kubeconfig = Path.join(home, "kubeconfig")
  Fs.writeFileSync(kubeconfig, cluster.kubeconfigText(), { mode: 0o600 })
  return (args: ReadonlyArray<string>, stdin?: string): Effect.Effect<Output> =>
    Effect.callback((resume) => {
      const child = spawn(file, args, {
        env: { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig, ...variables }
      })
      let [out, err] = ["", ""]
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
      child.on("close", (code) => resume(Effect.succeed({ code, out, err })))
      child.stdin.end(stdin)
      return Effect.sync(() => child.kill("SIGKILL"))
    })
})

const printing = {
  containers: [container("main", { command: ["sh", "-c", "echo first; echo second; exec sleep 1000"] })]
}

describe.skipIf(able.length === 0)("kubectl (skipped where none of 1.30 or later is on the path)", () => {
  for (const { name, path: file } of able) {
    it.live(
      `${name} runs commands in pods, reads their logs, and deletes them`,
      () =>
        Effect.gen(function*() {
          const cluster = yield* start({ tls: true }, printing)
          const run = yield* kubectl(file, cluster)
          const get = yield* run(["get", "pods"])
          assert.match(get.out, /^NAME +READY +STATUS +RESTARTS +AGE\np +1\/1 +Running +0 +/)

          const exec = yield* run(["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3"])
          assert.deepStrictEqual(exec, { code: 3, out: "out\n", err: "err\ncommand terminated with exit code 3\n" })
          const piped = yield* run(["exec", "-i", "p", "--", "wc", "-c"], "x".repeat(3_000_000))
          assert.deepStrictEqual([piped.code, piped.out.trim()], [0, "3000000"])
          const absent = yield* run(["exec", "p", "--", "nonexistent"])
          assert.strictEqual(absent.code, 1)
          assert.match(absent.err, /exec: "nonexistent": executable file not found in \$PATH: unknown/)

          const logs = yield* run(["logs", "p", "--tail=1"])
          assert.strictEqual(logs.out, "second\n")
          const [following] = yield* Effect.all([
            run(["logs", "-f", "p"]),
            eventually(cluster.requests.count({ path: /log\?.*follow=true/ }), (count) => assert.strictEqual(count, 1))
              .pipe(
                Effect.andThen(run(["delete", "pod", "p", "--grace-period=0", "--force"]))
              )
          ], { concurrency: 2 })
          assert.strictEqual(following.out, "first\nsecond\n")
          assert.strictEqual((yield* run(["get", "pods"])).err.trim(), "No resources found in default namespace.")
          assert.deepStrictEqual(yield* cluster.pods.processes, [])
        }),
      30_000
    )

    it.live(
      `${name} takes the harm of real servers for success, as it does there`,
      () =>
        Effect.gen(function*() {
          // A server that holds little takes all of stdin only when it drops it. Then the command reads, and ends.
          const cluster = yield* start({ tls: true, pods: { backendBufferBytes: 64 * 1024 } })
          const run = yield* kubectl(file, cluster)
          const [cut] = yield* Effect.all([
            run(
              ["exec", "-i", "p", "--", "sh", "-c", "exec >f; while [ ! -e go ]; do sleep 0.05; done; cat"],
              "x".repeat(3_000_000)
            ),
            eventually(cluster.pods.execs(), ([exec]) => {
              assert.strictEqual(exec?.arrivals.at(-1)?.kind, "end-of-stdin")
            }).pipe(Effect.andThen(mark(cluster, "go")))
          ], { concurrency: 2 })
          assert.strictEqual(cut.code, 0)
          const stored = yield* run(["exec", "p", "--", "sh", "-c", "wc -c < f"])
          assert.isBelow(Number(stored.out), 300_000)
          yield* cluster.pods.inject({}, ExecFault.withoutStatus)
          const silent = yield* run(["exec", "p", "--", "sh", "-c", "exit 3"])
          // kubectl remarks on a first message that comes before it has made its streams.
          const remarks = silent.err.split("\n").filter((line) => !line.includes("Unknown stream id"))
          assert.deepStrictEqual([silent.code, remarks.join("")], [0, ""])
          yield* cluster.pods.inject({}, ExecFault.textMessage)
          assert.match((yield* run(["exec", "p", "--", "echo", "hi"])).err, /unexpected message type: 1/)
          yield* cluster.pods.inject({}, ExecFault.closeCode(1001))
          assert.strictEqual((yield* run(["exec", "p", "--", "true"])).code, 1)
          yield* cluster.pods.inject({}, ExecFault.fragmentOutput(3))
          assert.strictEqual((yield* run(["exec", "p", "--", "echo", "fragments"])).out, "fragments\n")
        }),
      30_000
    )
  }
})

describe.skipIf(overSpdy.length === 0)("kubectl over SPDY (skipped where none is installed)", () => {
  for (const [{ name, path: file }, env] of overSpdy) {
    it.live(
      `${name} runs commands in pods: outputs, exit codes, stdin to its end, and what could not start`,
      () =>
        Effect.gen(function*() {
          const cluster = yield* start({ tls: true })
          const run = yield* kubectl(file, cluster, env)
          const exec = yield* run(["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3"])
          assert.deepStrictEqual([exec.code, exec.out], [3, "out\n"])
          assert.match(exec.err, /^err\ncommand terminated with exit code 3\n$/)
          const piped = yield* run(["exec", "-i", "p", "--", "wc", "-c"], "x".repeat(3_000_000))
          assert.deepStrictEqual([piped.code, piped.out.trim(), piped.err], [0, "3000000", ""])
          const through = yield* run(["exec", "-i", "p", "--", "sh", "-c", "cat; echo end >&2"], "y".repeat(1_000_000))
          assert.deepStrictEqual([through.code, through.out.length, through.err], [0, 1_000_000, "end\n"])
          const absent = yield* run(["exec", "p", "--", "nonexistent"])
          assert.strictEqual(absent.code, 1)
          assert.match(absent.err, /exec: "nonexistent": executable file not found in \$PATH: unknown/)
          const missing = yield* run(["exec", "missing", "--", "true"])
          assert.match(missing.err, /pods "missing" not found/)
          assert.strictEqual(missing.code, 1)

          const execs = yield* cluster.pods.execs()
          assert.deepStrictEqual(
            [...new Set(execs.map(({ subprotocol, transport }) => `${transport} ${subprotocol}`))],
            ["spdy v4.channel.k8s.io"]
          )
          yield* eventually(
            cluster.pods.processes,
            (processes) => assert.deepStrictEqual(processes.filter(({ exec }) => exec !== undefined), [])
          )
        }),
      30_000
    )

    it.live(
      `${name} takes a session without a Status for success over SPDY too, as it does on real servers`,
      () =>
        Effect.gen(function*() {
          const cluster = yield* start({ tls: true })
          const run = yield* kubectl(file, cluster, env)
          yield* cluster.pods.inject({}, ExecFault.withoutStatus)
          const silent = yield* run(["exec", "p", "--", "sh", "-c", "exit 3"])
          assert.deepStrictEqual([silent.code, silent.err], [0, ""])
        }),
      30_000
    )
  }
})
