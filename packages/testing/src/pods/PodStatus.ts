/**
 * The status of a pod from the states of its containers, by the kubelet's rules.
 */
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as Writes from "../store/Writes.ts"
import type { ContainerSpec } from "./ContainerSpec.ts"

/** A container that does not run yet, or again. */
export interface Waiting {
  readonly _tag: "Waiting"
  readonly reason: string
  readonly message?: string | undefined
}

/** A container that runs. Times are in milliseconds since 1970. */
export interface Running {
  readonly _tag: "Running"
  readonly startedAt: number
}

/** A container that has ended. */
export interface Terminated {
  readonly _tag: "Terminated"
  readonly exitCode: number
  readonly reason: string
  readonly message?: string | undefined
  readonly startedAt: number
  readonly finishedAt: number
  readonly containerId: string
}

/** What a container does. */
export type ContainerState = Waiting | Running | Terminated

/** A container, as its pod's status shows it. */
export interface ContainerView {
  readonly spec: ContainerSpec
  readonly state: ContainerState
  readonly last: Terminated | undefined
  readonly restarts: number
  /** 64 hexadecimal digits; empty before the first start. */
  readonly id: string
}

const fullId = (id: string): string => (id === "" ? "" : `containerd://${id}`)

const terminated = (state: Terminated): Json.JsonObject => ({
  exitCode: state.exitCode,
  reason: state.reason,
  ...(state.message === undefined ? {} : { message: state.message }),
  startedAt: Writes.time(state.startedAt),
  finishedAt: Writes.time(state.finishedAt),
  containerID: fullId(state.containerId)
})

const stateOf = (state: ContainerState): Json.JsonObject => {
  switch (state._tag) {
    case "Waiting":
      return {
        waiting: { reason: state.reason, ...(state.message === undefined ? {} : { message: state.message }) }
      }
    case "Running":
      return { running: { startedAt: Writes.time(state.startedAt) } }
    case "Terminated":
      return { terminated: terminated(state) }
  }
}

// An init container is ready when it is done.
const isReady = ({ spec, state }: ContainerView): boolean =>
  spec.kind === "init" ? state._tag === "Terminated" && state.exitCode === 0 : state._tag === "Running"

const containerStatus = (view: ContainerView): Json.JsonObject => ({
  name: view.spec.name,
  state: stateOf(view.state),
  lastState: view.last === undefined ? {} : { terminated: terminated(view.last) },
  ready: isReady(view),
  restartCount: view.restarts,
  image: view.spec.image,
  imageID: view.id === "" ? "" : view.spec.image,
  ...(view.id === "" ? {} : { containerID: fullId(view.id) }),
  started: view.state._tag === "Running"
})

const hasFailed = ({ state }: ContainerView): boolean => state._tag === "Terminated" && state.exitCode !== 0

const phaseOf = (views: ReadonlyArray<ContainerView>, restartPolicy: string): string => {
  const init = views.filter(({ spec }) => spec.kind === "init")
  const main = views.filter(({ spec }) => spec.kind === "main")
  if (restartPolicy === "Never" && init.some(hasFailed)) return "Failed"
  if (!init.every(isReady)) return "Pending"
  const count = (matches: (view: ContainerView) => boolean): number => main.filter(matches).length
  const stopped = count(({ last, state }) =>
    state._tag === "Terminated" || state._tag === "Waiting" && last !== undefined
  )
  const running = count(({ state }) => state._tag === "Running")
  if (running + stopped < main.length) return "Pending"
  if (running > 0 || restartPolicy === "Always" || main.length === 0) return "Running"
  if (count(({ state }) => state._tag === "Terminated" && state.exitCode === 0) === main.length) return "Succeeded"
  return restartPolicy === "Never" ? "Failed" : "Running"
}

interface Condition {
  readonly type: string
  readonly status: "True" | "False"
  readonly reason?: string | undefined
  readonly message?: string | undefined
}

const conditionsOf = (views: ReadonlyArray<ContainerView>, phase: string): ReadonlyArray<Condition> => {
  const unready = (kind: ContainerSpec["kind"]): ReadonlyArray<string> =>
    views.filter((view) => view.spec.kind === kind && !isReady(view)).map(({ spec }) => spec.name)
  const init = unready("init")
  const main = unready("main")
  const over = phase === "Succeeded" ? "PodCompleted" : phase === "Failed" ? "PodFailed" : undefined
  const ready: Omit<Condition, "type"> = over !== undefined
    ? { status: "False", reason: over }
    : main.length === 0
    ? { status: "True" }
    : { status: "False", reason: "ContainersNotReady", message: `containers with unready status: [${main.join(" ")}]` }
  return [
    { type: "PodReadyToStartContainers", status: over === undefined ? "True" : "False" },
    init.length === 0
      ? { type: "Initialized", status: "True", ...(over === "PodCompleted" ? { reason: over } : {}) }
      : {
        type: "Initialized",
        status: "False",
        reason: "ContainersNotInitialized",
        message: `containers with incomplete status: [${init.join(" ")}]`
      },
    { type: "Ready", ...ready },
    { type: "ContainersReady", ...ready },
    { type: "PodScheduled", status: "True" }
  ]
}

/** Where the node and its pods are. */
export const address = "127.0.0.1"

/** What a status is made of. */
export interface Facts {
  readonly views: ReadonlyArray<ContainerView>
  /** When the node took the pod on, in milliseconds since 1970. */
  readonly startedAt: number
  readonly now: number
}

/** The status of a pod, given the one it has. What others have put there stays. */
export const make = (pod: StoredObject, { now, startedAt, views }: Facts): Json.JsonObject => {
  const before = Json.object(pod["status"])
  const restartPolicy = Json.string(Json.get(pod, "spec", "restartPolicy")) ?? "Always"
  const phase = phaseOf(views, restartPolicy)
  const known = Json.array(before["conditions"])
  const conditions = conditionsOf(views, phase).map((condition): Json.JsonObject => {
    const same = known.find((one) =>
      Json.get(one, "type") === condition.type && Json.get(one, "status") === condition.status
    )
    return {
      ...condition,
      lastProbeTime: null,
      lastTransitionTime: Json.get(same, "lastTransitionTime") ?? Writes.time(now)
    }
  })
  const own = new Set(conditions.map((condition) => condition["type"]))
  const statuses = (kind: ContainerSpec["kind"]): ReadonlyArray<Json.JsonObject> =>
    views.filter(({ spec }) => spec.kind === kind).map(containerStatus)
  const inOrder = (list: ReadonlyArray<Json.JsonObject>): ReadonlyArray<Json.JsonObject> =>
    list.toSorted((a, b) => ((Json.string(a["name"]) ?? "") < (Json.string(b["name"]) ?? "") ? -1 : 1))
  const some = (name: string, list: ReadonlyArray<Json.JsonObject>): Json.JsonObject =>
    list.length === 0 ? {} : { [name]: list }
  return {
    ...before,
    phase,
    conditions: [...conditions, ...known.filter((one) => !own.has(Json.get(one, "type")))],
    hostIP: address,
    hostIPs: [{ ip: address }],
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: Writes.time(startedAt),
    ...some("initContainerStatuses", statuses("init")),
    ...some("containerStatuses", inOrder(statuses("main"))),
    ...some("ephemeralContainerStatuses", statuses("ephemeral"))
  }
}
