/**
 * `pnpm conformance [--runtime node|deno] [--kubeconfig FILE] [--filter TEXT] [--json FILE]`: runs the table against a
 * fresh TestCluster, or against the cluster of a kubeconfig, in a namespace of its own that is deleted at the end. A
 * filter is a list of ids, and of texts in the names, with commas: `E1,V2,terminal`; `--shard 1/2` takes every other row, `--once` runs
 * each on its first path only, which is through the tunnel for rows about that; `--again` runs those that have failed once
 * more after the others, and that counts.
 * Exits with 0 when no row has failed, with 1 when one has, and with 2 when nothing was run. Ended by a signal it deletes the
 * namespace first.
 */
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import { tokenVariable } from "@effect-k8s/testing/conformance/ClientProcess"
import * as Filter from "@effect-k8s/testing/conformance/Filter"
import type * as Lab from "@effect-k8s/testing/conformance/Lab"
import { images } from "@effect-k8s/testing/conformance/Pods"
import type { Row } from "@effect-k8s/testing/conformance/Row"
import * as Runner from "@effect-k8s/testing/conformance/Runner"
import { table } from "@effect-k8s/testing/conformance/Table"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as NodeRuntime from "@effect/platform-node-shared/NodeRuntime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Redacted from "effect/Redacted"
import { execFileSync, spawn } from "node:child_process"
import { closeSync, openSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { inDeno, type Runtime } from "./conformance/Runtime.ts"
import * as Signals from "./signals.ts"

const client = fileURLToPath(new URL("conformance/client.ts", import.meta.url))

const { values } = parseArgs({
  options: {
    runtime: { type: "string", default: "node" },
    kubeconfig: { type: "string" },
    filter: { type: "string" },
    json: { type: "string" },
    shard: { type: "string" },
    once: { type: "boolean", default: false },
    again: { type: "boolean", default: false }
  }
})

const colour = process.stdout.isTTY
const paint = (code: number, text: string): string => colour ? `\x1b[${code}m${text}\x1b[0m` : text
const marks = { passed: paint(32, "ok  "), failed: paint(31, "FAIL"), skipped: paint(33, "skip") }

const selected = values.filter === undefined ? table : Filter.select(table, values.filter)
const [shard = 1, shards = 1] = (values.shard ?? "1/1").split("/").map(Number)
const rows = selected.filter((_, i) => i % shards === shard - 1).map((row) =>
  values.once ? { ...row, paths: row.paths.slice(0, 1) } : row
)

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
  /** The environment of clients in processes of their own. */
  readonly client: Readonly<Record<string, string>>
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
    client: { KUBECONFIG: kubeconfig, ...(tls ? {} : { [tokenVariable]: Redacted.value(cluster.token) }) }
  } satisfies Server
})

const realCluster = Effect.fnUntraced(function*(file: string) {
  const resolved = yield* Effect.flatMap(KubeConfig.load({ files: [file] }), KubeConfig.resolve)
  const client = yield* KubeClient.make(resolved)
  const version = yield* client.json({ method: "GET", path: "/version", info: { verb: "get", resource: "version" } })
  const { gitVersion } = version as { readonly gitVersion: string }
  return {
    server: { _tag: "Cluster", version: gitVersion },
    ...resolved,
    client: { KUBECONFIG: file }
  } satisfies Server
})

const program = Effect.fnUntraced(function*(runtime: Runtime) {
  const server = yield* values.kubeconfig === undefined
    ? testCluster(runtime.testClusterTls)
    : realCluster(values.kubeconfig)
  const what = server.server._tag === "Cluster" ? `Kubernetes ${server.server.version}` : "TestCluster"
  console.log(`conformance: ${what} at ${server.endpoint.url.origin}, ${runtime.name}`)
  const [command, ...before] = runtime.runs(client)
  const run = (some: ReadonlyArray<Row>) =>
    Runner.run({
      rows: some,
      ...server,
      namespace: `conformance-${crypto.randomUUID().slice(0, 8)}`,
      client: (argument) =>
        ChildProcess.make(command, [...before, argument], {
          env: server.client,
          extendEnv: true,
          stderr: "inherit"
        }),
      probe: runtime.probe,
      report
    })
  const first = yield* run(rows)
  const failed = first.filter(({ outcome }) => outcome === "failed")
  let results: ReadonlyArray<Runner.Result & { readonly failedFirst?: string }> = first
  if (values.again && failed.length > 0) {
    console.log(`once more, what has failed: ${failed.length}`)
    const isOf = ({ id, name }: Pick<Row, "id" | "name">) => (result: Runner.Result) =>
      result.id === id && result.name === name
    const second = yield* run(rows.flatMap((row) => {
      const paths = failed.filter(isOf(row)).map(({ path }) => path)
      return paths.length === 0 ? [] : [{ ...row, paths }]
    }))
    results = [
      ...first.filter(({ outcome }) => outcome !== "failed"),
      ...second.map((result) => {
        const before = failed.filter(isOf(result)).find(({ path }) => path === result.path)
        return { ...result, failedFirst: before?.message ?? "" }
      })
    ]
  }
  const count = (outcome: Runner.Result["outcome"]) => results.filter((result) => result.outcome === outcome).length
  if (values.json !== undefined) {
    writeFileSync(values.json, JSON.stringify({ server: what, runtime: runtime.name, results }, null, 2))
  }
  console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`)
  if (count("failed") > 0) process.exitCode = 1
})

const runtimes: Readonly<Record<string, () => Promise<{ readonly runtime: Runtime }>>> = {
  node: () => import("./conformance/node.ts"),
  deno: () => import("./conformance/deno.ts")
}

/** Why nothing can be run; found out before anything is. */
const problem = (): string | undefined => {
  if (!(values.runtime in runtimes)) {
    return `there is no adapter for ${values.runtime}; use --runtime ${Object.keys(runtimes).join(" or ")}`
  }
  if (rows.length === 0) return `no row is meant by "${values.filter}"`
  if (values.json === undefined) return undefined
  try {
    closeSync(openSync(values.json, "a"))
    return undefined
  } catch (cause) {
    return `the results cannot be written to ${values.json}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

const complain = (message: string): void => {
  console.error(message)
  process.exitCode = 2
}

const found = problem()
const load = runtimes[values.runtime]
if (found !== undefined || load === undefined) {
  complain(found ?? "")
} else if (values.runtime === "deno" && !("Deno" in globalThis)) {
  // What npm calls deno is a program that waits for Deno, and passes no signal on.
  const deno = execFileSync("deno", ["eval", "console.log(Deno.execPath())"], { encoding: "utf8" }).trim()
  const [command, ...args] = inDeno(fileURLToPath(import.meta.url), deno)
  const child = spawn(command, [...args, ...process.argv.slice(2)], { stdio: "inherit" })
  Signals.passOn(child)
  child.on("close", (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128)
  })
} else {
  const { runtime } = await load()
  // The end of a terminal is an interruption too.
  process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
  NodeRuntime.runMain(
    Effect.scoped(program(runtime)).pipe(
      Effect.catch(({ message }) => Effect.sync(() => complain(message))),
      Effect.provide(runtime.services)
    )
  )
}
