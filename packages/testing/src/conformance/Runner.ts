/**
 * Runs the table against one server, a row at a time, and tells what became of each.
 */
import type { Listeners } from "@effect-k8s/channels/Listeners"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Namespace, type Pod } from "@effect-k8s/core/apis/core/v1"
import type * as Credentials from "@effect-k8s/core/Credentials"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import type * as ClientProcess from "./ClientProcess.ts"
import * as ForwardPrograms from "./ForwardPrograms.ts"
import * as Lab from "./Lab.ts"
import * as LeakCheck from "./LeakCheck.ts"
import * as Pods from "./Pods.ts"
import { type Row, Unmet } from "./Row.ts"
import * as Tunnel from "./Tunnel.ts"

/** What the adapter under test provides. */
export type Services = Platform | Listeners | FileSystem.FileSystem | Path.Path | ChildProcessSpawner

/** What to run against. */
export interface Options {
  readonly rows: ReadonlyArray<Row>
  readonly server: Lab.Server
  readonly endpoint: Endpoint
  readonly credentials: Credentials.Credentials["Service"]
  /** A namespace to make, and to delete at the end. */
  readonly namespace: string
  /**
   * A process on the adapter's runtime that runs `ClientProcess.main` on the argument, with the kubeconfig of the server
   * in `KUBECONFIG`, and the token in `CONFORMANCE_TOKEN` where there is no TLS.
   */
  readonly client: (argument: string) => ChildProcess.Command
  /** What the adapter's process has open. */
  readonly probe: LeakCheck.Probe
  /** Told of each row when it has run. */
  readonly report: (result: Result) => Effect.Effect<void>
  /** How long a row may take; 4 minutes unless told: some move a GiB. */
  readonly rowTimeout?: Duration.Input | undefined
  /** How long what a row has left may take to end. */
  readonly leaks?: LeakCheck.Options | undefined
}

/** What became of a row on a path. */
export interface Result {
  readonly id: string
  readonly name: string
  readonly path: Lab.Path
  /** Whether only a test cluster can be made to show it. */
  readonly scripted: boolean
  readonly outcome: "passed" | "failed" | "skipped"
  /** Why it failed or was skipped. */
  readonly message: string | undefined
  readonly durationMillis: number
}

/** No row takes longer than this when it works. */
const defaultRowTimeout: Duration.Input = "4 minutes"

/** Runs the rows in order. Fails only when the namespace or a pod cannot be made. */
export const run = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<ReadonlyArray<Result>, KubeError, Services | Scope.Scope> {
  const tunnel = yield* Tunnel.make
  const client = yield* KubeClient.make({
    endpoint: options.endpoint,
    credentials: options.credentials,
    namespace: options.namespace
  })
  // All of it before the first row counts what is open.
  const programs = yield* Pods.programsOf(options.server)
  const { ports } = programs
  const pods = yield* Effect.provideService(prepare(options, programs), KubeClient.KubeClient, client)
  if (options.server._tag === "TestCluster") yield* ForwardPrograms.listening(ports)

  const results: Array<Result> = []
  for (const row of options.rows) {
    for (const path of row.paths) {
      const result = yield* runRow(options, tunnel, { pods, ports }, row, path)
      results.push(result)
      yield* options.report(result)
    }
  }
  return results
})

type PodsByKind = ReadonlyMap<Lab.PodKind, Pod>

const prepare = Effect.fnUntraced(function*(
  { namespace }: Options,
  programs: Pods.Programs
): Effect.fn.Return<PodsByKind, KubeError, KubeClient.KubeClient | Scope.Scope> {
  yield* Effect.acquireRelease(
    Api.make(Namespace).create({ metadata: { name: namespace } }),
    () => Effect.ignore(Api.make(Namespace).delete(namespace))
  )
  const pods = yield* Effect.forEach(Pods.kinds, (kind) => Pods.make(kind, programs), { concurrency: "unbounded" })
  return new Map(Pods.kinds.map((kind, i) => [kind, pods[i]!] as const))
})

const runRow = Effect.fnUntraced(function*(
  options: Options,
  tunnel: Tunnel.Tunnel,
  { pods, ports }: { readonly pods: PodsByKind; readonly ports: Pods.Programs["ports"] },
  row: Row,
  path: Lab.Path
): Effect.fn.Return<Result, never, Services> {
  const common = { id: row.id, name: row.name, path, scripted: row.scripted !== undefined }
  const reason = row.inapplicable(options.server, options.endpoint)
  if (reason !== undefined) return { ...common, outcome: "skipped", message: reason, durationMillis: 0 }
  const { rowTimeout = defaultRowTimeout } = options
  const began = yield* Clock.currentTimeMillis
  const dialled = tunnel.dials()
  const endpoint = path === "direct" ? options.endpoint : { ...options.endpoint, dial: tunnel.dial }
  const podOf = (kind: Lab.PodKind): Pod => {
    const pod = pods.get(kind)
    if (pod === undefined) throw new Error(`there is no pod of the kind ${kind}`)
    return pod
  }
  const lab = Lab.Lab.of({
    server: options.server,
    path,
    endpoint,
    credentials: options.credentials,
    tunnel,
    namespace: options.namespace,
    pod: podOf,
    ports,
    target: (kind = "plain", container) => Target.fromPod(podOf(kind), { container }),
    client: (target, job) => {
      const args: ClientProcess.Arguments = {
        target: { ...target, namespace: target.namespace ?? options.namespace },
        tunnel: path === "tunnel" ? tunnel.port : undefined,
        job
      }
      return options.client(JSON.stringify(args))
    },
    dials: () => tunnel.dials() - dialled
  })
  const program = Effect.gen(function*() {
    const client = yield* KubeClient.make({ ...options, endpoint })
    yield* Effect.provideService(row.run, KubeClient.KubeClient, client)
  }).pipe(
    Effect.provideService(Lab.Lab, lab),
    Effect.timeoutOrElse({
      duration: rowTimeout,
      orElse: () =>
        Effect.fail(new Unmet({ message: `no end within ${Duration.format(Duration.fromInputUnsafe(rowTimeout))}` }))
    })
  )
  const probe = LeakCheck.all(options.probe, processesIn(options.server))
  const exit = yield* Effect.exit(LeakCheck.checked(program, probe, options.leaks))
  const durationMillis = (yield* Clock.currentTimeMillis) - began
  return Exit.isSuccess(exit)
    ? { ...common, outcome: "passed", message: undefined, durationMillis }
    : { ...common, outcome: "failed", message: describe(exit.cause), durationMillis }
})

/** Processes in the pods, where they can be counted. */
const processesIn = (server: Lab.Server): LeakCheck.Probe =>
  server._tag === "TestCluster"
    ? Effect.map(server.cluster.pods.processes, ({ length }) => ({ "processes in pods": length }))
    : Effect.succeed({})

const describe = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
