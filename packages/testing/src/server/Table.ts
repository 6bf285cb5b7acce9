/**
 * Tables, which `kubectl get` prints: columns and cells of the kinds people look at, name and age of all others.
 */
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import * as PodTable from "./PodTable.ts"

/** A column: its name, its type, and whether only `-o wide` shows it. */
export interface Column {
  readonly name: string
  readonly type: "string" | "integer" | "boolean"
  readonly wide: boolean
  readonly cell: (object: StoredObject, now: number) => Json.Json
}

const none = "<none>"

/** A duration as Kubernetes shows ages: the coarser the longer. */
export const age = (millis: number): string => {
  const seconds = Math.floor(millis / 1000)
  if (seconds < 0) return seconds >= -2 ? "0s" : "<invalid>"
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  const years = Math.floor(days / 365)
  const two = (large: number, unit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${large}${unit}` : `${large}${unit}${small}${smallUnit}`
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s")
  if (minutes < 180) return `${minutes}m`
  if (hours < 8) return two(hours, "h", minutes % 60, "m")
  if (hours < 48) return `${hours}h`
  if (days < 8) return two(days, "d", hours % 24, "h")
  if (years < 2) return `${days}d`
  return years < 8 ? two(years, "y", days % 365, "d") : `${years}y`
}

const since = (value: Json.Json | undefined, now: number): string => {
  const from = Date.parse(Json.string(value) ?? "")
  return Number.isNaN(from) ? "<unknown>" : age(now - from)
}

type Cell = Column["cell"]

const column = (name: string, cell: Cell, type: Column["type"] = "string", wide = false): Column => ({
  name,
  type,
  wide,
  cell
})

const field = (path: string, fallback: Json.Json = none): Cell => (object) =>
  Json.get(object, ...path.split(".")) ?? fallback
const count = (path: string): Cell => (object) => Object.keys(Json.object(Json.get(object, ...path.split(".")))).length
const list = (path: string): Cell => (object) => {
  const found = Json.array(Json.get(object, ...path.split("."))).map(String)
  return found.length === 0 ? none : found.join(",")
}
const pairs = (path: string): Cell => (object) => {
  const found = Object.entries(Json.stringMap(Json.get(object, ...path.split("."))))
  return found.length === 0 ? none : found.map(([key, value]) => `${key}=${value}`).join(",")
}
const containers = (path: string, member: string): Cell => (object) =>
  Json.array(Json.get(object, ...path.split("."))).map((one) => Json.string(Json.get(one, member)) ?? "").join(",")

const nameColumn = column("Name", (object) => object.metadata.name)
const ageColumn = column("Age", (object, now) => since(object.metadata.creationTimestamp, now))

const template = "spec.template.spec.containers"
const templateColumns: ReadonlyArray<Column> = [
  column("Containers", containers(template, "name"), "string", true),
  column("Images", containers(template, "image"), "string", true),
  column("Selector", pairs("spec.selector.matchLabels"), "string", true)
]

const integer = (name: string, path: string): Column => column(name, field(path, 0), "integer")

const readyOf = (ready: string, wanted: string): Cell => (object) =>
  `${Json.number(Json.get(object, "status", ready)) ?? 0}/${Json.number(Json.get(object, "spec", wanted)) ?? 0}`

const ports: Cell = (object) => {
  const found = Json.array(Json.get(object, "spec", "ports")).map((port) => {
    const nodePort = Json.number(Json.get(port, "nodePort"))
    return `${Json.number(Json.get(port, "port")) ?? 0}${nodePort === undefined ? "" : `:${nodePort}`}/${
      Json.string(Json.get(port, "protocol")) ?? "TCP"
    }`
  })
  return found.length === 0 ? none : found.join(",")
}

const nodeStatus: Cell = (object) => {
  const ready = Json.array(Json.get(object, "status", "conditions")).find((one) => Json.get(one, "type") === "Ready")
  const state = ready === undefined ? "Unknown" : Json.get(ready, "status") === "True" ? "Ready" : "NotReady"
  return Json.get(object, "spec", "unschedulable") === true ? `${state},SchedulingDisabled` : state
}

const eventObject: Cell = (object) => {
  const about = object["involvedObject"] ?? object["regarding"]
  return `${(Json.string(Json.get(about, "kind")) ?? "").toLowerCase()}/${Json.string(Json.get(about, "name")) ?? ""}`
}

const jobStatus: Cell = (object) => {
  const holds = (type: string): boolean =>
    Json.array(Json.get(object, "status", "conditions")).some((one) =>
      Json.get(one, "type") === type && Json.get(one, "status") === "True"
    )
  if (object.metadata.deletionTimestamp !== undefined) return "Terminating"
  return holds("Complete") ? "Complete" : holds("Failed") ? "Failed" : holds("Suspended") ? "Suspended" : "Running"
}

const columns: Readonly<Record<string, ReadonlyArray<Column>>> = {
  "/pods": [nameColumn, ...PodTable.columns, ageColumn, ...PodTable.wideColumns],
  "/namespaces": [nameColumn, column("Status", field("status.phase", "Active")), ageColumn],
  "/configmaps": [
    nameColumn,
    column("Data", (object) => Number(count("data")(object, 0)) + Number(count("binaryData")(object, 0))),
    ageColumn
  ],
  "/secrets": [nameColumn, column("Type", field("type")), column("Data", count("data")), ageColumn],
  "/services": [
    nameColumn,
    column("Type", field("spec.type")),
    column("Cluster-IP", field("spec.clusterIP")),
    column("External-IP", list("spec.externalIPs")),
    column("Port(s)", ports),
    ageColumn,
    column("Selector", pairs("spec.selector"), "string", true)
  ],
  "/serviceaccounts": [
    nameColumn,
    column("Secrets", (object) => Json.array(object["secrets"]).length),
    ageColumn
  ],
  "/nodes": [
    nameColumn,
    column("Status", nodeStatus),
    column("Roles", () => none),
    ageColumn,
    column("Version", field("status.nodeInfo.kubeletVersion", ""))
  ],
  "/events": [
    column("Last Seen", (object, now) => since(object["lastTimestamp"] ?? object.metadata.creationTimestamp, now)),
    column("Type", field("type", "")),
    column("Reason", field("reason", "")),
    column("Object", eventObject),
    column("Message", (object) => Json.string(object["message"] ?? object["note"])?.trim() ?? ""),
    column("Name", (object) => object.metadata.name, "string", true)
  ],
  "apps/deployments": [
    nameColumn,
    column("Ready", readyOf("readyReplicas", "replicas")),
    integer("Up-to-date", "status.updatedReplicas"),
    integer("Available", "status.availableReplicas"),
    ageColumn,
    ...templateColumns
  ],
  "apps/replicasets": [
    nameColumn,
    integer("Desired", "spec.replicas"),
    integer("Current", "status.replicas"),
    integer("Ready", "status.readyReplicas"),
    ageColumn,
    ...templateColumns
  ],
  "apps/statefulsets": [
    nameColumn,
    column("Ready", readyOf("readyReplicas", "replicas")),
    ageColumn,
    ...templateColumns.slice(0, 2)
  ],
  "apps/daemonsets": [
    nameColumn,
    integer("Desired", "status.desiredNumberScheduled"),
    integer("Current", "status.currentNumberScheduled"),
    integer("Ready", "status.numberReady"),
    integer("Up-to-date", "status.updatedNumberScheduled"),
    integer("Available", "status.numberAvailable"),
    column("Node Selector", pairs("spec.template.spec.nodeSelector")),
    ageColumn,
    ...templateColumns
  ],
  "batch/jobs": [
    nameColumn,
    column("Status", jobStatus),
    column(
      "Completions",
      (object) =>
        `${Json.number(Json.get(object, "status", "succeeded")) ?? 0}/${
          Json.number(Json.get(object, "spec", "completions")) ?? 1
        }`
    ),
    column(
      "Duration",
      (object, now) =>
        object["status"] === undefined || Json.get(object, "status", "startTime") === undefined
          ? ""
          : since(Json.get(object, "status", "startTime"), now)
    ),
    ageColumn,
    ...templateColumns
  ],
  "batch/cronjobs": [
    nameColumn,
    column("Schedule", field("spec.schedule")),
    column("Timezone", field("spec.timeZone")),
    column("Suspend", (object) => Json.get(object, "spec", "suspend") === true ? "True" : "False", "boolean"),
    column("Active", (object) => Json.array(Json.get(object, "status", "active")).length, "integer"),
    column("Last Schedule", (object, now) =>
      Json.get(object, "status", "lastScheduleTime") === undefined
        ? none
        : since(Json.get(object, "status", "lastScheduleTime"), now)),
    ageColumn
  ]
}

const plain: ReadonlyArray<Column> = [nameColumn, ageColumn]

/** What a row of a table carries of its object. */
export type IncludeObject = "None" | "Metadata" | "Object"

/** What to show, and how. */
export interface Options {
  readonly row: ResourceRow.ResourceRow
  readonly now: number
  readonly includeObject: IncludeObject
  /** Leaves the column definitions off: only the first event of a watch has them. */
  readonly withoutColumns?: boolean | undefined
}

/** A table of objects. `metadata` is that of the list. */
export const render = (
  objects: ReadonlyArray<StoredObject>,
  metadata: Json.JsonObject,
  { includeObject, now, row, withoutColumns = false }: Options
): Json.JsonObject => {
  const shown = columns[ResourceRow.collection(row)] ?? plain
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: withoutColumns ? null : shown.map(({ name, type, wide }) => ({
      name,
      type,
      format: name === "Name" ? "name" : "",
      description: "",
      priority: wide ? 1 : 0
    })),
    rows: objects.map((object) => ({
      cells: shown.map(({ cell }) => cell(object, now)),
      ...(includeObject === "None" ? {} : {
        object: includeObject === "Object"
          ? { kind: row.kind, apiVersion: ResourceRow.apiVersion(row), ...object }
          : partial(object)
      })
    }))
  }
}

/** The metadata of an object alone. */
export const partial = (object: StoredObject): Json.JsonObject => ({
  kind: "PartialObjectMetadata",
  apiVersion: "meta.k8s.io/v1",
  metadata: object.metadata
})
