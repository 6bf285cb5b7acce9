/**
 * Unmodified kubectl forwards ports: 1.28 to 1.30 over SPDY, 1.31 and later through the tunnel.
 */
import * as PodPorts from "@effect-k8s/channels/forward/podPorts"
import * as ForwardPrograms from "@effect-k8s/testing/conformance/ForwardPrograms"
import * as ForwardFault from "@effect-k8s/testing/pods/ForwardFault"
import type * as Json from "@effect-k8s/testing/store/Json"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { awaitPod, container, isReady, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import { installed } from "../support/Kubectl.ts"

// The last before the tunnel and the first after it are enough here; each version forwards a port of each era elsewhere.
const chosen = installed.filter(({ minor }, i) => i === 0 || i === installed.length - 1 || [30, 31].includes(minor()))

interface Running {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly code: () => number | null
}

const portForward = (file: string, cluster: TestCluster.Service, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      const home = Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubectl-forward-"))
      const kubeconfig = Path.join(home, "kubeconfig")
      Fs.writeFileSync(kubeconfig, cluster.kubeconfigText(), { mode: 0o600 })
      const env = { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig }
      const child = spawn(file, ["port-forward", ...args], { env })
      let [out, err] = ["", ""]
      let code: number | null = null
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
      // What it has said is here by then.
      child.on("close", (how) => {
        code = how
        Fs.rmSync(home, { recursive: true, force: true })
      })
      return { child, out: () => out, err: () => err, code: () => code }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Sends a text, and reads until the end or until enough has come. */
const exchange = (port: number, text: string, enough = Infinity): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let got = ""
    const socket = Net.connect({ port, host: "127.0.0.1" }, () => socket.write(text))
    const end = (): void => {
      resume(Effect.succeed(got))
      socket.destroy()
    }
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString()
      if (got.length >= enough) end()
    })
    socket.on("end", end).on("error", end)
    return Effect.sync(() => socket.destroy())
  })

/** What is listened on, and the pod's port that each leads to. */
const forwardings = (running: Running): ReadonlyArray<readonly [local: number, remote: number]> =>
  [...running.out().matchAll(/127\.0\.0\.1:(\d+) -> (\d+)/g)].map(([, local, remote]) => [
    Number(local),
    Number(remote)
  ])

const ports = (running: Running): ReadonlyArray<number> => forwardings(running).map(([local]) => local)

describe.skipIf(chosen.length === 0)("kubectl port-forward (skipped where none is on the path)", () => {
  for (const { minor, name, path: file } of chosen) {
    const tunnels = minor() >= 31
    it.live(
      `${name} forwards to two ports, many times over one connection`,
      () =>
        Effect.gen(function*() {
          const pod = yield* ForwardPrograms.freePorts
          const cluster = yield* start({ tls: true }, {
            containers: [container("main", { command: ForwardPrograms.node(pod) })]
          })
          yield* ForwardPrograms.listening(pod)
          const running = yield* portForward(file, cluster, ["pod/p", `:${pod.http}`, `:${pod.lab}`])
          yield* eventually(Effect.sync(() => ports(running)), (all) => assert.lengthOf(all, 2, running.err()))
          const [http = 0, lab = 0] = ports(running)
          for (let i = 0; i < 3; i++) {
            const answer = yield* exchange(http, "GET / HTTP/1.0\r\n\r\n")
            assert.include(answer, "200 OK")
            assert.include(answer, "hello\n")
          }
          assert.strictEqual(yield* exchange(lab, "echo\nhello there", 11), "hello there")
          const size = 3_000_000
          assert.lengthOf(yield* exchange(lab, `pour ${size}\n`), size)
          const all = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, i) => `echo\n${i} `.padEnd(1000, "x")),
            (text) => exchange(lab, text, text.length - 5),
            { concurrency: "unbounded" }
          )
          assert.isTrue(all.every((text, i) => text.startsWith(`${i} x`)))
          const records = yield* cluster.pods.forwards()
          assert.deepStrictEqual(
            [new Set(records.map(({ socket }) => socket)).size, new Set(records.map(({ transport }) => transport))],
            [1, new Set([tunnels ? "tunnel" : "spdy"])]
          )
          // A refused connection ends kubectl's session, as it does with a real server.
          yield* cluster.pods.injectForward(
            { port: pod.lab },
            ForwardFault.refuse("error forwarding port: no such thing")
          )
          yield* exchange(lab, "echo\n")
          yield* eventually(Effect.sync(running.code), (code) => assert.strictEqual(code, 1))
          assert.include(running.err(), "no such thing")
          assert.include(running.err(), "lost connection to pod")
        }),
      60_000
    )
  }

  for (const clusterIP of [undefined, "None"]) {
    const kind = clusterIP === undefined ? "service" : "headless service"
    it.live(`P14: takes the ports of a ${kind} for the same ports of the pod as we do, and listens at the same`, () =>
      Effect.gen(function*() {
        const file = chosen.at(-1)!.path
        // Two that are free here, to listen at; what they lead to is not asked.
        const { http: byTarget, lab: bySelf } = yield* ForwardPrograms.freePorts
        const cluster = yield* TestCluster.make({ tls: true })
        const create = (resource: "pods" | "services", object: Json.JsonObject) => {
          const row = cluster.registry.catalogue.find("", "v1", resource)
          assert.isDefined(row)
          return Effect.orDie(cluster.registry.create(row, "default", object))
        }
        const pod = { containers: [{ name: "main", image: "i", ports: [{ name: "http", containerPort: 8080 }] }] }
        yield* create("pods", { metadata: { name: "p", labels: { app: "web" } }, spec: pod })
        const spec = {
          selector: { app: "web" },
          ...(clusterIP === undefined ? {} : { clusterIP }),
          ports: [{ name: "page", port: byTarget, targetPort: "http" }, { name: "same", port: bySelf }]
        }
        yield* create("services", { metadata: { name: "web" }, spec })
        yield* awaitPod(cluster, isReady)
        const metadata = { name: "web", uid: "", resourceVersion: "", creationTimestamp: "" }
        const ours = (asked: number | string): ReturnType<typeof forwardings> => {
          const found = PodPorts.ofService({ metadata, spec }, { metadata, spec: pod }, asked)
          return found._tag === "Port" ? [[found.asked, found.port]] : []
        }

        for (const asked of ["page", "same", byTarget, bySelf]) {
          const running = yield* portForward(file, cluster, ["svc/web", String(asked)])
          yield* eventually(Effect.sync(() => forwardings(running)), (all) => assert.lengthOf(all, 1, running.err()))
          assert.deepStrictEqual(ours(asked), forwardings(running), `port ${asked}`)
          running.child.kill("SIGKILL")
          yield* eventually(Effect.sync(() => running.child.signalCode), (signal) => assert.isNotNull(signal))
        }
        for (const asked of ["nope", 8080]) {
          const running = yield* portForward(file, cluster, ["svc/web", String(asked)])
          yield* eventually(Effect.sync(running.code), (code) => assert.strictEqual(code, 1))
          assert.deepStrictEqual(ours(asked), [], `port ${asked}`)
        }
      }))
  }

  it.live("says what the server says: no such pod, and no such port in the pod", () =>
    Effect.gen(function*() {
      const file = chosen.at(-1)!.path
      const pod = yield* ForwardPrograms.freePorts
      const cluster = yield* start({ tls: true }, {
        containers: [container("main", { command: ForwardPrograms.node(pod) })]
      })
      const absent = yield* portForward(file, cluster, ["pod/nope", "80"])
      yield* eventually(Effect.sync(absent.code), (code) => assert.strictEqual(code, 1))
      assert.include(absent.err(), "pods \"nope\" not found")
      const refused = yield* portForward(file, cluster, ["pod/p", `:${pod.refused}`])
      yield* eventually(Effect.sync(() => ports(refused)), (all) => assert.lengthOf(all, 1))
      yield* exchange(ports(refused)[0]!, "hello")
      yield* eventually(Effect.sync(refused.err), (text) => assert.include(text, "connection refused"))
    }))
})
