/**
 * Each kubectl against each era: the protocol that the two agree on, and that what it carries is whole.
 */
import * as ForwardPrograms from "@effect-k8s/testing/conformance/ForwardPrograms"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { container, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import { installed, oldestAndNewest } from "../support/Kubectl.ts"

const eras = ["1.28", "1.34", "1.36"] as const

interface Running {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly code: () => number | null
}

/** Starts kubectl; it ends with the scope. */
const kubectl = (file: string, kubeconfig: string, args: ReadonlyArray<string>, stdin?: string) =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      // Without a home it would keep what it has discovered in the working directory.
      const env = { PATH: process.env["PATH"], HOME: Path.dirname(kubeconfig), KUBECONFIG: kubeconfig }
      const child = spawn(file, args, { env })
      let [out, err] = ["", ""]
      let code: number | null = null
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
      child.on("close", (how) => (code = how))
      if (stdin !== undefined) child.stdin.end(stdin)
      return { child, out: () => out, err: () => err, code: () => code }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const ended = (running: Running) =>
  Effect.as(eventually(Effect.sync(running.code), (code) => assert.isNotNull(code, running.err())), running)

const ask = (port: number): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let got = ""
    const socket = Net.connect({ port, host: "127.0.0.1" }, () => socket.write("GET / HTTP/1.0\r\n\r\n"))
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()))
    socket.on("close", () => resume(Effect.succeed(got))).on("error", () => {})
    return Effect.sync(() => socket.destroy())
  })

describe.skipIf(installed.length === 0)("kubectl on each era (skipped where none is on the path)", () => {
  for (const each of installed) {
    const { minor, name, path: file } = each
    // What a version asks for depends on it alone, and what an era answers is looked at by the oldest and the newest.
    for (const era of oldestAndNewest.includes(each) ? eras : eras.slice(1, 2)) {
      // WebSocket is asked for since 1.30, the tunnel since 1.31; 1.28 knows neither.
      const [exec, forward] = [minor() >= 30 && era !== "1.28", minor() >= 31 && era !== "1.28"]
      it.live(
        `${name} runs, attaches and forwards on ${era}`,
        () =>
          Effect.gen(function*() {
            const pod = yield* ForwardPrograms.freePorts
            const cluster = yield* start({ tls: true, pods: { era } }, {
              containers: [
                container("main", { command: ForwardPrograms.node(pod) }),
                container("reader", { command: ["sh", "-c", "read -r l; echo \"got $l\"; read -r l"], stdin: true })
              ]
            })
            yield* ForwardPrograms.listening(pod)
            const home = yield* Effect.acquireRelease(
              Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubectl-eras-"))),
              (home) => Effect.sync(() => Fs.rmSync(home, { recursive: true, force: true }))
            )
            const kubeconfig = Path.join(home, "kubeconfig")
            Fs.writeFileSync(kubeconfig, cluster.kubeconfigText(), { mode: 0o600 })
            const run = (args: ReadonlyArray<string>, stdin?: string) => kubectl(file, kubeconfig, args, stdin)

            const failing = yield* ended(
              yield* run(["exec", "p", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 3"])
            )
            assert.deepStrictEqual([failing.code(), failing.out()], [3, "out\n"], failing.err())
            assert.include(failing.err(), "err\n")
            const piped = yield* ended(
              yield* run(["exec", "-i", "p", "-c", "main", "--", "wc", "-c"], "x".repeat(300_000))
            )
            assert.deepStrictEqual([piped.code(), piped.out().trim()], [0, "300000"], piped.err())

            const attached = yield* run(["attach", "-i", "p", "-c", "reader"])
            attached.child.stdin?.write("hello\n")
            yield* eventually(Effect.sync(attached.out), (out) => assert.include(out, "got hello", attached.err()))
            attached.child.kill("SIGKILL")
            const carriers = (yield* cluster.pods.execs()).map(({ subprotocol, transport }) =>
              `${transport} ${subprotocol}`
            )
            assert.deepStrictEqual(
              carriers,
              Array.from({ length: 3 }, () => exec ? "websocket v5.channel.k8s.io" : "spdy v4.channel.k8s.io")
            )

            const forwarding = yield* run(["port-forward", "pod/p", `:${pod.http}`])
            const port = (): number => Number(/127\.0\.0\.1:(\d+) ->/.exec(forwarding.out())?.[1])
            yield* eventually(Effect.sync(port), (number) => assert.isAbove(number, 0, forwarding.err()))
            assert.include(yield* ask(port()), "hello\n")
            const records = yield* cluster.pods.forwards()
            assert.deepStrictEqual(records.map(({ transport }) => transport), [forward ? "tunnel" : "spdy"])
          }),
        60_000
      )
    }
  }
})
