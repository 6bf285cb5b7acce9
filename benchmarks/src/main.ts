/**
 * The benchmarks' command line: `pnpm bench [NAME...] [--kubeconfig FILE] [--rounds N] [--mib N] [--count N] [--json FILE]
 * [--list]`, and `pnpm bench load`.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { type Benchmark, type Entry, mebibyte } from "./driver/Benchmark.ts"
import { benchmarks as local } from "./driver/Catalogue.ts"
import * as ClusterCatalogue from "./driver/ClusterCatalogue.ts"
import * as Deno from "./driver/Deno.ts"
import { benchmarks as forwarding } from "./driver/ForwardCatalogue.ts"
import { toJson } from "./driver/Json.ts"
import * as Kubectl from "./driver/Kubectl.ts"
import * as Load from "./driver/Load.ts"
import * as Program from "./driver/Program.ts"
import * as RealCluster from "./driver/RealCluster.ts"
import * as Run from "./driver/Run.ts"
import * as Server from "./driver/Server.ts"
import { stage } from "./driver/stage.ts"
import { render } from "./driver/Table.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    kubeconfig: { type: "string" },
    json: { type: "string" },
    rounds: { type: "string" },
    mib: { type: "string" },
    count: { type: "string" },
    limit: { type: "string" },
    list: { type: "boolean" },
    help: { type: "boolean" }
  }
})

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

const defaultLimit = 600
const usage = `pnpm bench [NAME...] [--rounds N] [--mib N] [--count N] [--json FILE]
pnpm bench --kubeconfig FILE [NAME...]   against a real cluster, in a namespace of its own
pnpm bench load [--count N]              counts what many connections and commands leave behind

--mib and --count are the most data that is moved and the most repetitions: for small runs. --limit is how many seconds
a process may take, ${defaultLimit} unless told.
`

const catalogue: ReadonlyArray<Benchmark> = values.kubeconfig === undefined
  ? [...local, ...forwarding]
  : ClusterCatalogue.benchmarks

const isNamed = ({ name }: Benchmark, transport: string): boolean =>
  positionals.length === 0 || positionals.includes(name) || positionals.includes(`${name}-${transport}`)

const wanted = catalogue.filter((benchmark) => benchmark.transports.some((transport) => isNamed(benchmark, transport)))

const isLoad = values.kubeconfig === undefined && positionals.length === 1 && positionals[0] === "load"

if (values.help === true || values.list === true || (wanted.length === 0 && !isLoad)) {
  print(usage)
  const list = ({ name, title, transports }: Benchmark): void => print(`${name} (${transports.join(", ")}): ${title}`)
  ;[...local, ...forwarding].forEach(list)
  print("\nwith --kubeconfig:\n")
  ClusterCatalogue.benchmarks.forEach(list)
  process.exit(wanted.length === 0 ? 1 : 0)
}

const number = (name: "rounds" | "mib" | "count" | "limit"): number | undefined => {
  const text = values[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  process.stderr.write(`--${name} must be a number above 0, not ${text}\n`)
  process.exit(2)
}

const note = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

const [rounds, mib, count] = [number("rounds"), number("mib"), number("count")]
const bytes = mib === undefined ? undefined : mib * mebibyte
const limitMillis = (number("limit") ?? defaultLimit) * 1000

// Each kind of server is started when it is first needed, and stopped at the end, whatever the end is.
const servers = new Map<string, Promise<Server.Server>>()
let clusterVersion: string | undefined
const serverOf = ({ server }: Pick<Benchmark, "server">): Promise<Server.Server> => {
  const kind = server ?? "server"
  const known = servers.get(kind)
  if (known !== undefined) return known
  const started = kind === "real-cluster"
    ? startReal(values.kubeconfig ?? "")
    : kind === "test-cluster"
    ? Server.startTestCluster()
    : Server.startServer()
  servers.set(kind, started)
  return started
}
/** Starts a server of ours, to be stopped at the end. */
const own = (name: string, start: () => Promise<Server.OwnServer>): Promise<Server.OwnServer> => {
  const started = start()
  servers.set(name, started)
  return started
}
const startReal = async (file: string): Promise<Server.Server> => {
  const cluster = await RealCluster.start(file, Math.min(ClusterCatalogue.patternBytes, bytes ?? Infinity))
  clusterVersion = cluster.version
  print(`Kubernetes ${cluster.version}\n`)
  return cluster
}
const stopAll = async (): Promise<void> => {
  const started = [...servers.values()]
  servers.clear()
  for (const server of await Promise.allSettled(started)) {
    if (server.status === "fulfilled") await server.value.stop()
  }
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    const end = () => process.exit(130)
    Program.endAll()
    stopAll().then(end, end)
  })
}

const runAll = async (): Promise<void> => {
  const kubectl = Kubectl.find()
  const deno = Deno.find()
  const leftOut = (entry: Entry): string | undefined => {
    if (entry.runtime === "deno" && deno === undefined) return "the workspace was installed without Deno"
    const isKubectl = entry.program === "clients/kubectl" ||
      (entry.program === "clients/forwarder" && entry.variant === undefined)
    return isKubectl && kubectl._tag === "LeftOut" ? kubectl.reason : undefined
  }
  const outcomes: Array<Run.Outcome> = []
  for (const benchmark of wanted) {
    for (const transport of benchmark.transports.filter((transport) => isNamed(benchmark, transport))) {
      const outcome = await Run.run(
        {
          server: await serverOf(benchmark),
          kubectl: kubectl._tag === "Found" ? kubectl.path : undefined,
          deno,
          limitMillis
        },
        benchmark,
        transport,
        { rounds, bytes, count, leftOut },
        (text) => note(text === "" ? "" : `${benchmark.name}, ${transport}: ${text}`)
      )
      outcomes.push(outcome)
      print(render(outcome))
    }
  }
  if (values.json !== undefined) {
    const text = JSON.stringify(toJson(outcomes, { kubectl, cluster: clusterVersion }), null, 2)
    writeFileSync(values.json, `${text}\n`)
  }
}

note("building")
stage(["core", "channels", "node", "deno"])
note("")
try {
  if (isLoad) {
    const isGood = await Load.run(
      {
        forwarding: await own("test-cluster", Server.startTestCluster),
        commands: await own("server", Server.startServer)
      },
      { count, limitMillis, note, print }
    )
    if (!isGood) process.exitCode = 1
  } else {
    await runAll()
  }
} finally {
  await stopAll()
}
