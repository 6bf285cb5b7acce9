/**
 * Unmodified kubectl attaching to containers, and on terminals: over SPDY before 1.30, over WebSocket since.
 */
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { awaitPod, container, containerStatus, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import { installed, oldestAndNewest } from "../support/Kubectl.ts"
import { ways } from "../support/Terminals.ts"

interface Kubectl {
  readonly out: () => string
  readonly err: () => string
  readonly type: (text: string) => void
  readonly endStdin: () => void
  /** Its exit code, once it has ended. */
  readonly code: Effect.Effect<number | null>
}

/** Starts kubectl; it ends with the scope. */
const kubectl = Effect.fnUntraced(function*(
  file: string,
  cluster: TestCluster.Service,
  args: ReadonlyArray<string>,
  onTerminal = false
) {
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubectl-attach-"))),
    (home) => Effect.sync(() => Fs.rmSync(home, { recursive: true, force: true }))
  )
  const kubeconfig = Path.join(home, "kubeconfig")
  Fs.writeFileSync(kubeconfig, cluster.kubeconfigText(), { mode: 0o600 })
  const [program, words] = onTerminal
    ? ["script", ["-qefc", ["stty rows 30 cols 100;", file, ...args].join(" "), "/dev/null"]]
    : [file, args]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(program, words, { env: { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig } })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let [out, err]: [string, string] = ["", ""]
  let code: number | null | undefined
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
  child.stdin.on("error", () => {})
  child.on("close", (how) => (code = how))
  const running: Kubectl = {
    out: () => out,
    err: () => err,
    type: (text) => child.stdin.write(text),
    endStdin: () => child.stdin.end(),
    code: Effect.map(
      eventually(Effect.sync(() => code), (how) => assert.isDefined(how, `kubectl has not ended: ${out}${err}`)),
      (how) => how ?? null
    )
  }
  return running
})

const shows = (running: Kubectl, text: string) =>
  eventually(Effect.sync(running.out), (out) => assert.include(out, text, running.err()))

const reader =
  "while read -r l; do [ \"$l\" = size ] && stty size || echo \"got $l\"; [ \"$l\" != quit ] || exit 7; done; " +
  "echo eof; exit 5"
const pods = {
  restartPolicy: "Never",
  containers: [
    container("open", { command: ["sh", "-c", reader], stdin: true }),
    container("once", { command: ["sh", "-c", reader], stdin: true, stdinOnce: true }),
    container("tty", { command: ["sh", "-c", reader], stdin: true, tty: true }),
    container("clock", { command: ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo tick $i; sleep 0.05; done"] })
  ]
}

describe.skipIf(installed.length === 0)(
  "kubectl attach (skipped where none is on the path)",
  () => {
    for (const { minor, name, path: file } of oldestAndNewest) {
      const carrier = minor() >= 30 ? "websocket v5.channel.k8s.io" : "spdy v4.channel.k8s.io"
      it.live(`${name} attaches to output and to stdin, over ${carrier}`, () =>
        Effect.gen(function*() {
          const cluster = yield* start({ tls: true }, pods)

          const clock = yield* kubectl(file, cluster, ["attach", "p", "-c", "clock"])
          yield* eventually(Effect.sync(clock.out), (out) => assert.match(out, /^(?:tick \d+\n){3}/, clock.err()))

          // Its stdin ends, and with it the session, but the container's does not.
          const first = yield* kubectl(file, cluster, ["attach", "-i", "p", "-c", "open"])
          first.type("one\n")
          yield* shows(first, "got one\n")
          first.endStdin()
          assert.strictEqual(yield* first.code, 0)
          const second = yield* kubectl(file, cluster, ["attach", "-i", "p", "-c", "open"])
          second.type("quit\n")
          assert.strictEqual(yield* second.code, 0)
          assert.strictEqual(second.out(), "got quit\n")

          const once = yield* kubectl(file, cluster, ["attach", "-i", "p", "-c", "once"])
          once.type("a line\n")
          yield* shows(once, "got a line\n")
          once.endStdin()
          assert.strictEqual(yield* once.code, 0)
          assert.strictEqual(once.out(), "got a line\neof\n")
          yield* awaitPod(cluster, (pod) => {
            assert.include(JSON.stringify(containerStatus(pod, "open")["state"]), "\"exitCode\":7")
            assert.include(JSON.stringify(containerStatus(pod, "once")["state"]), "\"exitCode\":5")
          })
          const ended = yield* kubectl(file, cluster, ["attach", "p", "-c", "once"])
          assert.strictEqual(yield* ended.code, 1)
          assert.match(ended.err(), /container once not found in pod p_default/)
          const execs = yield* cluster.pods.execs()
          assert.deepStrictEqual(
            [...new Set(execs.map(({ subprotocol, transport }) => `${transport} ${subprotocol}`))],
            [carrier]
          )
        }))

      // The client is on a terminal of the program's.
      for (const terminals of process.platform === "linux" ? ways : []) {
        it.live(
          `${name} attaches to a terminal, and opens one, by the ${terminals}, over ${carrier}`,
          () =>
            Effect.gen(function*() {
              const cluster = yield* start({ tls: true, pods: { terminals } }, pods)
              const typedUntil = (running: Kubectl, line: string, text: string) =>
                eventually(
                  Effect.sync(() => {
                    running.type(`${line}\r`)
                    return running.out()
                  }),
                  (out) => assert.include(out, text)
                )
              const terminal = yield* kubectl(file, cluster, ["attach", "-it", "p", "-c", "tty"], true)
              yield* typedUntil(terminal, "size", "30 100\r\n")
              terminal.type("\x04")
              yield* shows(terminal, "eof\r\n")
              assert.strictEqual(yield* terminal.code, 0)

              const exec = yield* kubectl(file, cluster, ["exec", "-it", "p", "-c", "clock", "--", "sh"], true)
              yield* typedUntil(exec, "stty size", "30 100\r\n")
              exec.type("exit 6\r")
              assert.strictEqual(yield* exec.code, 6)
            })
        )
      }
    }
  }
)
