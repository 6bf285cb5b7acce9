/**
 * `pnpm conformance [--runtime node|deno] [--kubeconfig FILE] [--filter TEXT] [--json FILE]`: runs the table against a
 * fresh TestCluster, or against the cluster of a kubeconfig, in a namespace of its own that is deleted at the end. A
 * filter is a list of ids, and of texts in the names, with commas: `E1,V2,terminal`.
 */
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type * as Lab from "@effect-k8s/testing/conformance/Lab"
import { images } from "@effect-k8s/testing/conformance/Pods"
import * as Runner from "@effect-k8s/testing/conformance/Runner"
import { table } from "@effect-k8s/testing/conformance/Table"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as ChildProcess from "effect/process/ChildProcess"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { inDeno, type Runtime } from "./conformance/Runtime.ts"

const client = fileURLToPath(new URL("conformance/client.ts", import.meta.url))

const { values } = parseArgs({
  options: {
    runtime: { type: "string", default: "node" },
    kubeconfig: { type: "string" },
    filter: { type: "string" },
    json: { type: "string" }
  }
})

const colour = process.stdout.isTTY
const paint = (code: number, text: string): string => colour ? `\x1b[${code}m${text}\x1b[0m` : text
const marks = { passed: paint(32, "ok  "), failed: paint(31, "FAIL"), skipped: paint(33, "skip") }

const filters = values.filter?.toLowerCase().split(",")

const matches = ({ id, name }: { readonly id: string; readonly name: string }): boolean =>
  filters === undefined || filters.some((text) => id.toLowerCase() === text || name.toLowerCase().includes(text))

const report = (result: Runner.Result): Effect.Effect<void> =>
  Effect.sync(() => {
    const line = `${marks[result.outcome]} ${result.id.padEnd(4)} ${result.path.padEnd(6)} ${result.name}`
    console.log(`${line} ${paint(90, `(${result.durationMillis} ms)`)}`)
    if (result.message !== undefined) console.log(`     ${result.message}`)
  })

interface Server {
  readonly server: Lab.Server
  readonly endpoint: Runner.Options["endpoint"]
  readonly credentials: Runner.Options["credentials"]
  readonly kubeconfig: string
}

const testCluster = Effect.fnUntraced(function*(tls: boolean) {
  const fs = yield* FileSystem.FileSystem
  const cluster = yield* TestCluster.make({ tls, pods: { images } })
  const kubeconfig = yield* fs.makeTempFileScoped({ prefix: "conformance-" })
  yield* fs.writeFileString(kubeconfig, cluster.kubeconfigText(), { mode: 0o600 })
  return {
    server: { _tag: "TestCluster", cluster },
    endpoint: cluster.endpoint,
    credentials: Credentials.make({ token: cluster.token }),
    kubeconfig
  } satisfies Server
})

const realCluster = Effect.fnUntraced(function*(file: string) {
  const resolved = yield* Effect.flatMap(KubeConfig.load({ files: [file] }), KubeConfig.resolve)
  const client = yield* KubeClient.make(resolved)
  const version = yield* client.json({ method: "GET", path: "/version", info: { verb: "get", resource: "version" } })
  const { gitVersion } = version as { readonly gitVersion: string }
  return { server: { _tag: "Cluster", version: gitVersion }, ...resolved, kubeconfig: file } satisfies Server
})

const program = Effect.fnUntraced(function*(runtime: Runtime) {
  const server = yield* values.kubeconfig === undefined
    ? testCluster(runtime.testClusterTls)
    : realCluster(values.kubeconfig)
  const what = server.server._tag === "Cluster" ? `Kubernetes ${server.server.version}` : "TestCluster"
  console.log(`conformance: ${what} at ${server.endpoint.url.origin}, ${runtime.name}`)
  const [command, ...before] = runtime.runs(client)
  const results = yield* Runner.run({
    rows: table.filter(matches),
    ...server,
    namespace: `conformance-${crypto.randomUUID().slice(0, 8)}`,
    client: (args) =>
      ChildProcess.make(command, [...before, ...args], {
        env: { KUBECONFIG: server.kubeconfig },
        extendEnv: true,
        stderr: "inherit"
      }),
    probe: runtime.probe,
    report
  })
  const count = (outcome: Runner.Result["outcome"]) => results.filter((result) => result.outcome === outcome).length
  if (values.json !== undefined) {
    writeFileSync(values.json, JSON.stringify({ server: what, runtime: runtime.name, results }, null, 2))
  }
  console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`)
  if (count("failed") > 0 || results.length === 0) process.exitCode = 1
})

const runtimes: Readonly<Record<string, () => Promise<{ readonly runtime: Runtime }>>> = {
  node: () => import("./conformance/node.ts"),
  deno: () => import("./conformance/deno.ts")
}

const isDeno = "Deno" in globalThis
const load = runtimes[values.runtime]
if (load === undefined) {
  console.error(`there is no adapter for ${values.runtime}; use --runtime ${Object.keys(runtimes).join(" or ")}`)
  process.exitCode = 2
} else if (values.runtime === "deno" && !isDeno) {
  const [command, ...args] = inDeno(fileURLToPath(import.meta.url))
  const { signal, status } = spawnSync(command, [...args, ...process.argv.slice(2)], { stdio: "inherit" })
  process.exitCode = status ?? (signal === null ? 1 : 128)
} else {
  const { runtime } = await load()
  await Effect.runPromise(Effect.provide(Effect.scoped(program(runtime)), runtime.services))
}
