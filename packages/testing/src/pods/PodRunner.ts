/**
 * A pod on the node, from its scheduling to its removal.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import type { Reference, Registry } from "../store/Registry.ts"
import type { ResourceRow } from "../store/ResourceRow.ts"
import * as Container from "./Container.ts"
import * as ContainerSpec from "./ContainerSpec.ts"
import * as Notice from "./Notice.ts"
import * as PodStatus from "./PodStatus.ts"
import * as Runtime from "./Runtime.ts"

/** What pods run with. */
export interface Options {
  readonly runtime: Runtime.Runtime
  readonly registry: Registry
  readonly row: ResourceRow
  readonly logBytes: number
  readonly restartMillis: number
}

/** A pod on the node. */
export interface PodRunner {
  readonly container: (name: string) => Container.Container | undefined
  /** Told when something about a container changes, its log included. */
  readonly notice: Notice.Notice
  /** The pod has changed in the store. */
  readonly update: (pod: StoredObject) => void
  /** The pod is gone from the store. */
  readonly remove: () => void
  /** Runs the pod until it is gone. The scope ends its containers by force. */
  readonly run: Effect.Effect<void>
}

/** A pod that was given to the node. */
export const make = (initial: StoredObject, options: Options): PodRunner => {
  const { registry, row, runtime } = options
  const { name, namespace = "", uid } = initial.metadata
  const reference: Reference = { row, namespace, name }
  const directory = Path.join(runtime.root, uid)
  const notice = Notice.make()
  let pod = initial
  let isGone = false
  let startedAt = 0
  const containers = new Map<string, Container.Container>()
  const isStopping = (): boolean => isGone || pod.metadata.deletionTimestamp !== undefined

  // A pod of the same name that came after this one is not this one's to write to.
  const publish: Effect.Effect<void> = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const views = Array.from(containers.values(), (container) => container.view())
    const write = registry.update(reference, "status", (before) =>
      Result.succeed(
        before.metadata.uid === uid
          ? { ...before, status: PodStatus.make(before, { views, startedAt, now }) }
          : before
      ))
    yield* Effect.ignore(write)
  })

  const addContainers = (): ReadonlyArray<Container.Container> =>
    ContainerSpec.of(pod, runtime.images).flatMap((spec) => {
      if (containers.has(spec.name)) return []
      const container = Container.make({
        runtime,
        namespace,
        pod: name,
        uid,
        directory,
        spec,
        restartPolicy: Json.string(Json.get(pod, "spec", "restartPolicy")) ?? "Always",
        logBytes: options.logBytes,
        restartMillis: options.restartMillis,
        changed: publish,
        notice,
        isStopping
      })
      containers.set(spec.name, container)
      return [container]
    })

  const hasSucceeded = (container: Container.Container): boolean => {
    const { state } = container.view()
    return state._tag === "Terminated" && state.exitCode === 0
  }

  const runEphemeral = Effect.gen(function*() {
    while (true) {
      const news = (): boolean => ContainerSpec.names(pod).some((container) => !containers.has(container))
      yield* notice.until(news)
      for (const container of addContainers()) yield* Effect.forkChild(container.life)
    }
  })

  const live = Effect.gen(function*() {
    const all = addContainers()
    yield* publish
    yield* Effect.forkChild(runEphemeral)
    const ofKind = (kind: string): ReadonlyArray<Container.Container> => all.filter(({ spec }) => spec.kind === kind)
    for (const container of ofKind("init")) {
      yield* container.life
      if (!hasSucceeded(container)) return yield* Effect.never
    }
    yield* Effect.forEach([...ofKind("main"), ...ofKind("ephemeral")], (container) => container.life, {
      concurrency: "unbounded",
      discard: true
    })
    return yield* Effect.never
  })

  const hasStopped = (): boolean =>
    Array.from(containers.values()).every((container) => container.view().state._tag !== "Running")

  const graceMillis = (): number => (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1_000

  // A grace that is shortened meanwhile counts from then on.
  const awaitStop: Effect.Effect<void> = Effect.suspend(() => {
    const grace = graceMillis()
    const isShorter = (): boolean => graceMillis() < grace
    return notice.until(() => isGone || hasStopped() || isShorter()).pipe(
      Effect.map(() => !isGone && !hasStopped()),
      Effect.timeoutOrElse({ duration: grace, orElse: () => Effect.succeed(false) })
    )
  }).pipe(Effect.flatMap((isShorter) => (isShorter ? awaitStop : Effect.void)))

  const stop = Effect.gen(function*() {
    yield* notice.until(isStopping)
    if (isGone) return
    for (const container of containers.values()) container.terminate()
    yield* awaitStop
  })

  const run = Effect.gen(function*() {
    startedAt = yield* Clock.currentTimeMillis
    yield* Effect.acquireRelease(Runtime.makeDirectory(directory), () => Runtime.removeDirectory(directory))
    yield* Effect.raceFirst(live, stop)
    if (isGone) return
    const now = yield* Clock.currentTimeMillis
    for (const container of containers.values()) container.settle(now)
    yield* publish
    yield* Effect.ignore(registry.remove(reference, { gracePeriodSeconds: 0, uid }))
    // Finalizers may keep it; nothing of it runs any more.
    yield* notice.until(() => isGone)
  }) satisfies Effect.Effect<void, never, Scope.Scope>

  return {
    container: (containerName) => containers.get(containerName),
    notice,
    update: (next) => {
      pod = next
      notice.notify()
    },
    remove: () => {
      isGone = true
      notice.notify()
    },
    run: Effect.scoped(run)
  }
}
