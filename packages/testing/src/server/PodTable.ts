/**
 * The cells of pods: how many containers are ready, and in one word what the pod is doing.
 */
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import type { Column } from "./Table.ts"

const statuses = (pod: StoredObject, list: string): ReadonlyArray<Json.Json> =>
  Json.array(Json.get(pod, "status", list))

const exitText = (terminated: Json.Json | undefined): string | undefined => {
  if (terminated === undefined) return undefined
  const reason = Json.string(Json.get(terminated, "reason")) ?? ""
  const signal = Json.number(Json.get(terminated, "signal")) ?? 0
  if (reason !== "") return reason
  return signal !== 0 ? `Signal:${signal}` : `ExitCode:${Json.number(Json.get(terminated, "exitCode")) ?? 0}`
}

// The first init container that is not done decides, unless all are.
const initText = (pod: StoredObject): string | undefined => {
  const all = statuses(pod, "initContainerStatuses")
  const total = Json.array(Json.get(pod, "spec", "initContainers")).length
  for (const [i, status] of all.entries()) {
    const terminated = Json.get(status, "state", "terminated")
    if (terminated !== undefined && Json.get(terminated, "exitCode") === 0) continue
    const waiting = Json.string(Json.get(status, "state", "waiting", "reason")) ?? ""
    if (terminated !== undefined) return `Init:${exitText(terminated)}`
    return waiting !== "" && waiting !== "PodInitializing" ? `Init:${waiting}` : `Init:${i}/${total}`
  }
  return undefined
}

const containerText = (pod: StoredObject): string | undefined => {
  let text: string | undefined
  let running = false
  for (const status of statuses(pod, "containerStatuses").toReversed()) {
    const waiting = Json.string(Json.get(status, "state", "waiting", "reason")) ?? ""
    const terminated = Json.get(status, "state", "terminated")
    if (waiting !== "") text = waiting
    else if (terminated !== undefined) text = exitText(terminated)
    else if (Json.get(status, "ready") === true && Json.get(status, "state", "running") !== undefined) running = true
  }
  return text === "Completed" && running ? "Running" : text
}

const status = (pod: StoredObject): string => {
  if (pod.metadata.deletionTimestamp !== undefined) return "Terminating"
  const own = Json.string(Json.get(pod, "status", "reason")) ?? Json.string(Json.get(pod, "status", "phase"))
  return initText(pod) ?? containerText(pod) ?? own ?? "Unknown"
}

const ready = (pod: StoredObject): string => {
  const count = statuses(pod, "containerStatuses").filter((one) => Json.get(one, "ready") === true).length
  return `${count}/${Json.array(Json.get(pod, "spec", "containers")).length}`
}

const restarts = (pod: StoredObject): string =>
  String(
    statuses(pod, "containerStatuses")
      .reduce<number>((sum, one) => sum + (Json.number(Json.get(one, "restartCount")) ?? 0), 0)
  )

const none = "<none>"

const text = (name: string, wide: boolean, cell: Column["cell"]): Column => ({ name, type: "string", wide, cell })

/** The columns between name and age. */
export const columns: ReadonlyArray<Column> = [
  text("Ready", false, ready),
  text("Status", false, status),
  text("Restarts", false, restarts)
]

/** The columns of `-o wide`. */
export const wideColumns: ReadonlyArray<Column> = [
  text("IP", true, (pod) => Json.string(Json.get(pod, "status", "podIP")) ?? none),
  text("Node", true, (pod) => Json.string(Json.get(pod, "spec", "nodeName")) ?? none),
  text("Nominated Node", true, () => none),
  text("Readiness Gates", true, () => none)
]
