/**
 * What is tried after an answer behind which something may run, and how often the server is asked and starts it.
 */
import * as Attach from "@effect-k8s/channels/Attach"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Faults from "../../Faults.ts"
import * as ExecFault from "../../pods/ExecFault.ts"
import * as Clients from "../Clients.ts"
import { Lab } from "../Lab.ts"
import * as Remote from "../Remote.ts"
import { check, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

const scripted = "a real server does not count how often it has started a command"

/** Answers behind which a command may run, and how often it may have been started then. */
const doubtful: ReadonlyArray<readonly [name: string, fault: ExecFault.ExecFault, started: 0 | 1]> = [
  ["502", ExecFault.refuse(502, "Bad Gateway"), 0],
  ["503 without a body", ExecFault.refuse(503), 0],
  ["504", ExecFault.refuse(504, "upstream timed out"), 0],
  ["200", ExecFault.refuse(200, "<html>"), 0],
  ["no HTTP", ExecFault.garbledAnswer, 0],
  ["a connection that ends before the answer", ExecFault.closeBeforeAnswer, 0],
  ["an answer that is lost", ExecFault.loseAnswer, 1],
  ["no answer in time", ExecFault.hang, 0]
]

/** Where no answer comes, a handshake takes as long as it may; the one that follows has no more time. */
const settingsOf = (fault: ExecFault.ExecFault): ExecOptions =>
  fault === ExecFault.hang ? { handshakeTimeout: "3 seconds" } : {}

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row(
    "F1",
    "after an answer behind which a command may run it is asked for again only by leave of the caller",
    function*() {
      const { target } = yield* Lab
      const { pods, requests } = yield* Scripted.cluster
      for (const options of [{}, { stdin: "pipe" }, { supervise: "never" }] as const) {
        for (const fallback of ["safe", "always"] as const) {
          for (const [name, fault, started] of doubtful) {
            const marker = Remote.makeMarker()
            yield* Scripted.fault(marker, fault, { times: 1 })
            const command = Exec.on(target(), { ...settingsOf(fault), ...options, fallback })(["true", marker])
            // One that remembers nothing of the answers before.
            const outcome = yield* reasonOf(Effect.scoped(Effect.gen(function*() {
              const handle = yield* Effect.provideService(command, KubeClient, yield* Clients.make())
              if (handle.attempts.length !== 1) return `${handle.attempts.length} attempts`
              if ("stdin" in options) yield* Stream.run(Stream.empty, handle.stdin)
              return `${handle.transport} ${yield* handle.exitCode}`
            })))
            const [what, asked] = [
              `${name}, ${fallback}, ${JSON.stringify(options)}`,
              yield* requests.count({ resource: "pods/exec", path: new RegExp(marker) })
            ]
            yield* same(asked, fallback === "safe" ? 1 : 2, `requests after ${what}`)
            if (fallback === "always") yield* same(outcome, "success: \"spdy 0\"", `outcome after ${what}`)
            else yield* check(!outcome.startsWith("success"), `outcome after ${what}: ${outcome}`)
            // Whether one runs whose answer is lost, the server does not tell in time.
            const least = fallback === "safe" ? 0 : 1
            const starts = yield* pods.starts(Scripted.withWord(marker))
            yield* check(starts >= least && starts <= least + started, `${starts} starts after ${what}`)
          }
        }
      }
    },
    { scripted }
  ),
  row("F2", "who attaches or forwards a port starts nothing, and goes on to the next protocol", function*() {
    const { namespace, target } = yield* Lab
    const { faults, requests } = yield* Scripted.cluster
    const answers = [
      Faults.status(502, "Bad Gateway"),
      Faults.status(503),
      Faults.status(504, "upstream timed out"),
      Faults.status(
        503,
        JSON.stringify({ kind: "Status", status: "Failure", reason: "ServiceUnavailable", code: 503 })
      ),
      Faults.status(200, "<html>"),
      Faults.raw("SSH-2.0-OpenSSH_9.2p1\r\n"),
      Faults.close,
      Faults.reset
    ]
    for (const [i, answer] of answers.entries()) {
      for (const resource of ["pods/attach", "pods/portforward"]) {
        const before = yield* requests.count({ namespace, resource })
        const injected = yield* faults.inject({ namespace, resource }, answer)
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* Clients.make()
          const { attempts, transport } = resource === "pods/attach"
            ? yield* Effect.provideService(Attach.attach(target()), KubeClient, client)
            : yield* Effect.provideService(PortForward.open(target("web")), KubeClient, client)
          yield* same(transport, "spdy", `transport of ${resource} after answer ${i}`)
          yield* same(attempts.length, 1, `attempts told of ${resource} after answer ${i}`)
        }))
        yield* same(yield* injected.hits, 1, "answers given")
        yield* same((yield* requests.count({ namespace, resource })) - before, 2, `requests for ${resource}`)
      }
    }
  }, { scripted: "a real server cannot be made to answer like this" }),
  row(
    "F3",
    "a server that upgrades without getting through to the runtime is asked once more over SPDY: one start",
    function*() {
      const { target } = yield* Lab
      const { pods, requests } = yield* Scripted.cluster
      const words = [
        "error sending request: Post \"//[::]:33733/cri/exec/p09n54Wf\": http: server gave HTTP response to HTTPS client",
        "error dialing backend: dial tcp 10.0.0.7:10250: connect: connection refused"
      ]
      for (const message of words) {
        for (const options of [{}, { stdin: "pipe" }, { stdin: "pipe", supervise: "never" }, { tty: true }] as const) {
          const marker = Remote.makeMarker()
          yield* Scripted.fault(marker, ExecFault.failStart(message), { times: 1 })
          yield* Effect.scoped(Effect.gen(function*() {
            const handle = yield* Exec.on(target(), options)(["sh", "-c", "echo here; exit 3", marker])
            const what = `${JSON.stringify(options)}, ${message}`
            yield* same((yield* Stream.mkString(Stream.decodeText(handle.stdout))).trim(), "here", `stdout of ${what}`)
            yield* same(yield* handle.exitCode, 3, `exit code of ${what}`)
            yield* same(handle.transport, "spdy", `transport of ${what}`)
            yield* same(handle.attempts.map(({ code }) => code), [101], `attempts told of ${what}`)
            yield* same(yield* requests.count({ path: new RegExp(marker) }), 2, `requests of ${what}`)
            yield* same(yield* pods.starts(Scripted.withWord(marker)), 1, `starts of ${what}`)
          }))
        }
      }
    },
    { scripted: "this needs a node with another runtime" }
  )
]
