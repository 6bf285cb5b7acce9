/**
 * The node of a test cluster: it runs pods as local processes, and answers for them.
 *
 * It runs commands on this machine, with the rights of this process. There is no root directory of a container's own, no
 * network and no user of its own: every path and port is the host's. A container has a directory, which is its `HOME`
 * and where its commands run; the pod's address is 127.0.0.1. Probes, volumes, hooks and limits are not looked at.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { MakeNode, NodeContext, NodeParts } from "../ApiServer.ts"
import type { Injected, Schedule } from "../Faults.ts"
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import type { StoreEvent } from "../store/Store.ts"
import * as Era from "./Era.ts"
import type { ExecFault } from "./ExecFault.ts"
import * as ExecFaults from "./ExecFaults.ts"
import * as ExecHandler from "./ExecHandler.ts"
import * as ExecRecords from "./ExecRecords.ts"
import * as Fifos from "./Fifos.ts"
import * as ForwardFault from "./ForwardFault.ts"
import * as ForwardHandler from "./ForwardHandler.ts"
import * as ForwardRecords from "./ForwardRecords.ts"
import * as Harm from "./Harm.ts"
import type { Images } from "./Images.ts"
import * as PodLog from "./PodLog.ts"
import * as PodRunner from "./PodRunner.ts"
import * as PodStatus from "./PodStatus.ts"
import * as ProcessTable from "./ProcessTable.ts"
import * as ProxyHandler from "./ProxyHandler.ts"
import * as Pty from "./Pty.ts"
import * as Runtime from "./Runtime.ts"
import * as Shutdown from "./Shutdown.ts"

/** What `make` takes. */
export interface Options {
  /** The version that is imitated; 1.34 by default. */
  readonly era?: Era.Era | undefined
  /** Changes to the harm that servers of the era do, or `none`. */
  readonly harm?: Harm.Options | undefined
  readonly images?: Images | undefined
  /** The most payload bytes in one message of output; 32,768 by default. */
  readonly messageBytes?: number | undefined
  /** Bytes that are held between a command and its client, in each direction; 4 MiB by default. */
  readonly backendBufferBytes?: number | undefined
  /** Bytes of stdin that the runtime has taken and the command has not read; 192 KiB by default. */
  readonly stdinPipeBytes?: number | undefined
  /**
   * Milliseconds without data in either direction, after which the connection of an exec is ended without a word; 4 hours
   * by default. Pings are no data (protocol reference 2.13).
   */
  readonly idleMillis?: number | undefined
  /** Bytes of log that are kept of each run of a container; 10 MiB by default. */
  readonly logBytes?: number | undefined
  /** Milliseconds that the second stream of a forwarded connection may take; 30,000 by default. */
  readonly forwardPairMillis?: number | undefined
  /** Milliseconds before a container is started for the third time, from where they double; 100 by default. */
  readonly restartMillis?: number | undefined
  /**
   * By what terminals are opened: the package `@lydell/node-pty`, an optional peer, or the program `script` of Linux; by
   * default the package where it can be, else the program. Without either a terminal is refused.
   */
  readonly terminals?: Pty.Way | undefined
}

/** The pods of a cluster, as a test sees them. */
export interface Pods {
  readonly era: Era.Era
  /** The local processes that live now, in all containers. */
  readonly processes: Effect.Effect<ReadonlyArray<ProcessTable.LocalProcessInfo>>
  /** The execs so far, by their first request, and the attaches: those have an empty command. */
  readonly execs: (match?: ExecRecords.ExecMatch) => Effect.Effect<ReadonlyArray<ExecRecords.ExecRecord>>
  /** How many commands were started by execs. */
  readonly starts: (match?: ExecRecords.ExecMatch) => Effect.Effect<number>
  /** How many connections of execs are open. */
  readonly openExecs: Effect.Effect<number>
  /** Puts a fault on execs and attaches. Of several that match, the one that was injected first and is not used up is taken. */
  readonly inject: (match: ExecRecords.ExecMatch, fault: ExecFault, schedule?: Schedule) => Effect.Effect<Injected>
  /** The forwarded connections so far, by their first bytes. */
  readonly forwards: (match?: ForwardFault.ForwardMatch) => Effect.Effect<ReadonlyArray<ForwardRecords.ForwardRecord>>
  /** Puts a fault on forwarded connections, in the same way. */
  readonly injectForward: (
    match: ForwardFault.ForwardMatch,
    fault: ForwardFault.ForwardFault,
    schedule?: Schedule
  ) => Effect.Effect<Injected>
  /** Removes all faults. */
  readonly clearFaults: Effect.Effect<void>
  /** The directory of a container, if its pod is on the node. */
  readonly directory: (container: {
    readonly namespace: string
    readonly pod: string
    readonly container: string
  }) => Effect.Effect<string | undefined>
}

/** A node that can be plugged into an API server. */
export interface LocalNode extends Pods {
  readonly node: MakeNode
}

const nodeName = "test-node"
const defaultBufferBytes = 4 * 1024 * 1024
const defaultStdinPipeBytes = 192 * 1024
const defaultLogBytes = 10 * 1024 * 1024
const defaultMessageBytes = 32 * 1024
const defaultIdleMillis = 4 * 60 * 60 * 1000
const defaultRestartMillis = 100
const defaultForwardPairMillis = 30_000
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/** A node without pods. Its scope ends all processes and removes all directories. */
export const make = Effect.fnUntraced(
  function*(options: Options = {}): Effect.fn.Return<LocalNode, never, Scope.Scope> {
    const scope = yield* Effect.scope
    const era = options.era ?? Era.defaultEra
    const table = ProcessTable.make()
    const records = ExecRecords.make()
    const faults = ExecFaults.make()
    const forwards = ForwardRecords.make()
    const forwardFaults = ForwardFault.make()
    const runners = new Map<string, PodRunner.PodRunner>()
    const root = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Fs.realpathSync(Os.tmpdir()), "effect-k8s-testcluster-"))),
      (root) => Effect.andThen(Runtime.killAll(table), Runtime.removeDirectory(root))
    )
    yield* Shutdown.onDeath(() => {
      table.kill()
      Fs.rmSync(root, { recursive: true, force: true })
    })
    const pipes = Path.join(root, "pipes")
    yield* Runtime.makeDirectory(pipes)
    const hostPath = process.env["PATH"] ?? defaultPath
    const runtime: Runtime.Runtime = {
      root,
      fifos: Fifos.make(pipes),
      table,
      images: options.images ?? {},
      hostPath,
      pty: yield* Effect.cached(Pty.find(hostPath, options.terminals))
    }
    const find = (pod: StoredObject): PodRunner.PodRunner | undefined => runners.get(pod.metadata.uid)
    const byName = new Map<string, string>()

    const node: MakeNode = Effect.fnUntraced(
      function*(context: NodeContext): Effect.fn.Return<NodeParts, never, Scope.Scope> {
        yield* register(context, Era.facts[era])
        yield* context.pods.pipe(
          Stream.runForEach((event) => follow(context, event)),
          Effect.forkIn(scope)
        )
        const common: Omit<ExecHandler.Options, "kind"> = {
          era,
          harm: Harm.make(era, options.harm),
          sizes: {
            backendBufferBytes: options.backendBufferBytes ?? defaultBufferBytes,
            stdinPipeBytes: options.stdinPipeBytes ?? defaultStdinPipeBytes
          },
          messageBytes: options.messageBytes ?? defaultMessageBytes,
          idleMillis: options.idleMillis ?? defaultIdleMillis,
          runtime,
          records,
          faults,
          scope,
          find
        }
        const portForward = ForwardHandler.handler({
          era,
          harm: Harm.make(era, options.harm),
          forwardPairMillis: options.forwardPairMillis ?? defaultForwardPairMillis,
          records: forwards,
          faults: forwardFaults,
          isThere: (pod) => find(pod) !== undefined
        })
        const proxy = ProxyHandler.handler({ isThere: (pod) => find(pod) !== undefined })
        return {
          subresources: new Map([
            ["pods/log", PodLog.handler(find)],
            ["pods/exec", ExecHandler.handler({ ...common, kind: "exec" })],
            ["pods/attach", ExecHandler.handler({ ...common, kind: "attach" })],
            ["pods/portforward", portForward],
            ["pods/proxy", proxy],
            ["services/proxy", proxy],
            ["nodes/proxy", proxy]
          ])
        }
      }
    )

    const follow = Effect.fnUntraced(function*(
      { podRow: row, registry }: NodeContext,
      { object, type }: StoreEvent
    ): Effect.fn.Return<void> {
      const { deletionTimestamp, name, namespace = "", uid } = object.metadata
      const known = runners.get(uid)
      if (type === "DELETED") return known?.remove()
      if (known !== undefined) return known.update(object)
      const host = Json.string(Json.get(object, "spec", "nodeName")) ?? ""
      if (host === "") {
        if (Json.get(object, "spec", "schedulerName") !== "default-scheduler" || deletionTimestamp !== undefined) return
        const schedule = registry.update({ row, namespace, name }, "subresource", (before) =>
          Result.succeed(
            before.metadata.uid === uid
              ? { ...before, spec: { ...Json.object(before["spec"]), nodeName } }
              : before
          ))
        return yield* Effect.ignore(schedule)
      }
      if (host !== nodeName) return
      const runner = PodRunner.make(object, {
        runtime,
        registry,
        row,
        logBytes: options.logBytes ?? defaultLogBytes,
        restartMillis: options.restartMillis ?? defaultRestartMillis
      })
      runners.set(uid, runner)
      byName.set(`${namespace}/${name}`, uid)
      const forget = Effect.sync(() => {
        runners.delete(uid)
        if (byName.get(`${namespace}/${name}`) === uid) byName.delete(`${namespace}/${name}`)
      })
      yield* Effect.forkIn(Effect.ensuring(runner.run, forget), scope)
    })

    return {
      node,
      era,
      processes: Effect.sync(table.list),
      execs: (match = {}) => Effect.sync(() => records.find(match)),
      starts: (match = {}) => Effect.sync(() => records.find(match).reduce((sum, { starts }) => sum + starts, 0)),
      openExecs: Effect.sync(() => records.find({}).filter(({ isOpen }) => isOpen).length),
      inject: faults.inject,
      forwards: (match = {}) => Effect.sync(() => forwards.find(match)),
      injectForward: forwardFaults.inject,
      clearFaults: Effect.andThen(faults.clear, forwardFaults.clear),
      directory: ({ container, namespace, pod }) =>
        Effect.sync(() => {
          const uid = byName.get(`${namespace}/${pod}`)
          return uid === undefined ? undefined : Path.join(root, uid, container)
        })
    }
  }
)

const goArchitecture = process.arch === "x64" ? "amd64" : process.arch

// The node as an object, for those who look for it.
const register = (
  { registry }: NodeContext,
  { declaredFeatures, runtime, version }: Era.EraFacts
): Effect.Effect<void> => {
  const row = registry.catalogue.find("", "v1", "nodes")
  if (row === undefined) return Effect.void
  const input = {
    metadata: { name: nodeName, labels: { "kubernetes.io/hostname": nodeName, "kubernetes.io/os": process.platform } },
    spec: {}
  }
  const status = {
    addresses: [{ type: "InternalIP", address: PodStatus.address }, { type: "Hostname", address: nodeName }],
    conditions: [{ type: "Ready", status: "True", reason: "KubeletReady" }],
    nodeInfo: {
      architecture: goArchitecture,
      bootID: "",
      containerRuntimeVersion: runtime,
      kernelVersion: Os.release(),
      kubeProxyVersion: "",
      kubeletVersion: `v${version}`,
      machineID: "",
      operatingSystem: process.platform,
      osImage: Os.type(),
      systemUUID: ""
    },
    ...(declaredFeatures.length === 0 ? {} : { declaredFeatures })
  }
  return Effect.ignore(Effect.andThen(
    registry.create(row, undefined, input),
    registry.update({ row, name: nodeName }, "status", (before) => Result.succeed({ ...before, status }))
  ))
}
