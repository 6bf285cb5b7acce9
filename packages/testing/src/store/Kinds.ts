/**
 * What is particular to a kind: its defaults, its checks, and how it is named and deleted. Kinds without an entry are
 * kept as they come.
 */
import type { Cause } from "./Failure.ts"
import * as Json from "./Json.ts"
import * as PodSpec from "./PodSpec.ts"
import * as ResourceRow from "./ResourceRow.ts"
import * as Selector from "./Selector.ts"
import * as Validation from "./Validation.ts"

type Body = Json.JsonObject

/** The particulars of a kind. */
export interface Kind {
  readonly nameRule?: Validation.NameRule | undefined
  /** `metadata.generation` counts the changes of the specification. By default what has a status and a group has it. */
  readonly generation?: boolean | undefined
  /** Fills in what the API fills in. Runs on every write, before the checks. */
  readonly defaults?: ((object: Body) => Body) | undefined
  /** Fields of the specification that real servers fill in after they have recorded who wrote what. */
  readonly allocated?: ReadonlyArray<string> | undefined
  /** The status of a new object, of a kind with a status subresource. */
  readonly initialStatus?: ((object: Body) => Body) | undefined
  readonly validate?: ((object: Body) => ReadonlyArray<Cause>) | undefined
  readonly validateUpdate?: ((before: Body, after: Body) => ReadonlyArray<Cause>) | undefined
  readonly selectableFields?: Selector.SelectableFields | undefined
  /** A delete answers the object itself, where others answer a Status. */
  readonly answersDeleted?: boolean | undefined
  /** Fields whose values must be texts. */
  readonly textFields?: ReadonlyArray<string> | undefined
}

const within = (object: Body, field: string, change: (value: Body) => Body): Body => ({
  ...object,
  [field]: change(Json.object(object[field]))
})

const defaulted = (value: Body, defaults: Body): Body => {
  // An object without content is one that Go writes for a value that was not set.
  const absent = Object.entries(defaults).filter(([key]) => Object.keys(Json.compact({ key: value[key] })).length === 0)
  return { ...value, ...Object.fromEntries(absent) }
}

const template = (spec: Body, defaults: Body = Json.empty): Body =>
  within(spec, "template", (one) => within(one, "spec", (podSpec) => PodSpec.defaults({ ...defaults, ...podSpec })))

/** The particulars of a workload: a selector, a template, and the defaults of its specification. */
const workload = (defaults: Body, initialStatus: Body, extra: Kind = {}): Kind => ({
  defaults: (object) => within(object, "spec", (spec) => template(defaulted(spec, defaults))),
  initialStatus: () => initialStatus,
  validate: (object) => {
    const spec = object["spec"]
    const selector = Json.get(spec, "selector")
    const labels = Json.get(spec, "template", "metadata", "labels")
    const selects = selector !== undefined && Selector.fromObject(selector)(Json.stringMap(labels))
    return [
      ...(selector === undefined ? [Validation.required("spec.selector")] : []),
      ...(selects ? [] : [
        Validation.invalidValue(
          "spec.template.metadata.labels",
          labels ?? null,
          "`selector` does not match template `labels`"
        )
      ]),
      ...PodSpec.validate(Json.get(spec, "template", "spec"), "spec.template.spec")
    ]
  },
  validateUpdate: (before, after) => immutable(before, after, "spec", "selector"),
  ...extra
})

const immutable = (before: Body, after: Body, ...path: ReadonlyArray<string>): ReadonlyArray<Cause> => {
  const value = Json.get(after, ...path)
  return Json.equals(Json.get(before, ...path), value)
    ? []
    : [Validation.invalidValue(path.join("."), value ?? null, "field is immutable")]
}

const immutableWhenSet = (...fields: ReadonlyArray<string>): Kind["validateUpdate"] => (before, after) =>
  before["immutable"] === true
    ? fields.filter((field) => !Json.equals(before[field], after[field]))
      .map((field) => Validation.forbiddenValue(field, "field is immutable when `immutable` is set"))
    : []

const pods: Kind = {
  allocated: ["serviceAccount", "serviceAccountName"],
  generation: true,
  answersDeleted: true,
  defaults: (object) =>
    within(object, "spec", (spec) =>
      defaulted(PodSpec.defaults(spec), {
        serviceAccountName: "default",
        serviceAccount: Json.string(spec["serviceAccountName"]) ?? "default",
        enableServiceLinks: true
      })),
  initialStatus: (object) => ({ phase: "Pending", qosClass: PodSpec.qosClass(object["spec"]) }),
  validate: (object) => PodSpec.validate(object["spec"], "spec"),
  validateUpdate: (before, after) => PodSpec.validateUpdate(before["spec"], after["spec"]),
  selectableFields: {
    "spec.nodeName": "",
    "spec.restartPolicy": "",
    "spec.schedulerName": "",
    "spec.serviceAccountName": "",
    "spec.hostNetwork": "false",
    "status.phase": "",
    "status.podIP": "",
    "status.nominatedNodeName": ""
  }
}

const namespaces: Kind = {
  allocated: ["finalizers"],
  nameRule: "label",
  answersDeleted: true,
  defaults: (object) => {
    const metadata = Json.object(object["metadata"])
    const labels = { ...Json.object(metadata["labels"]), "kubernetes.io/metadata.name": metadata["name"] }
    return within({ ...object, metadata: { ...metadata, labels } }, "spec", (spec) => ({
      finalizers: ["kubernetes"],
      ...spec
    }))
  },
  initialStatus: () => ({ phase: "Active" }),
  selectableFields: { "status.phase": "" }
}

const services: Kind = {
  allocated: ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
  nameRule: "label1035",
  answersDeleted: true,
  defaults: (object) => ({ ...object, spec: serviceSpec(Json.object(object["spec"]), object) }),
  initialStatus: () => ({ loadBalancer: {} }),
  validate: (object) => {
    const spec = Json.object(object["spec"])
    const needsPorts = spec["type"] !== "ExternalName" && spec["clusterIP"] !== "None"
    return needsPorts && Json.array(spec["ports"]).length === 0 ? [Validation.required("spec.ports")] : []
  },
  selectableFields: { "spec.clusterIP": "", "spec.type": "" }
}

// The address of a service, told by its uid so that it stays the same.
const clusterIP = (object: Body): string => {
  const uid = Json.string(Json.get(object, "metadata", "uid")) ?? ""
  return `10.96.${Number.parseInt(uid.slice(0, 2), 16) || 0}.${Number.parseInt(uid.slice(2, 4), 16) || 1}`
}

const serviceSpec = (spec: Body, object: Body): Body => {
  const filled = defaulted(spec, {
    type: "ClusterIP",
    sessionAffinity: "None",
    ...(spec["type"] === "ExternalName" ? {} : {
      clusterIP: clusterIP(object),
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
      internalTrafficPolicy: "Cluster"
    })
  })
  const ports = Json.array(spec["ports"]).map((port) =>
    defaulted(Json.object(port), { protocol: "TCP", targetPort: Json.get(port, "port") })
  )
  return {
    ...filled,
    ...(filled["clusterIP"] === undefined ? {} : { clusterIPs: [filled["clusterIP"]] }),
    ...(ports.length === 0 ? {} : { ports })
  }
}

const base64 = (text: string): string => {
  let binary = ""
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

const secrets: Kind = {
  // `stringData` is for writing: it is never read back.
  defaults: (object) => {
    const texts = Object.entries(Json.stringMap(object["stringData"]))
    const data = {
      ...Json.object(object["data"]),
      ...Object.fromEntries(texts.map(([key, text]) => [key, base64(text)]))
    }
    return {
      ...Json.omit(object, "stringData", "data"),
      ...(Object.keys(data).length === 0 ? {} : { data }),
      type: object["type"] ?? "Opaque"
    }
  },
  validateUpdate: (before, after) => [
    ...immutable(before, after, "type"),
    ...immutableWhenSet("data")?.(before, after) ?? []
  ],
  textFields: ["data", "stringData"],
  selectableFields: { type: "" }
}

const jobs: Kind = {
  defaults: (object) => within(object, "spec", jobSpec),
  initialStatus: () => Json.empty,
  validate: (object) => PodSpec.validate(Json.get(object, "spec", "template", "spec"), "spec.template.spec"),
  selectableFields: { "status.successful": "0" }
}

const jobSpec = (spec: Body): Body =>
  template(
    defaulted(spec, {
      parallelism: 1,
      completions: 1,
      backoffLimit: 6,
      completionMode: "NonIndexed",
      suspend: false
    })
  )

const involved = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
const eventFields = (object: string, ...more: ReadonlyArray<string>): Selector.SelectableFields =>
  Object.fromEntries([...involved.map((field) => [`${object}.${field}`, ""]), ...more.map((field) => [field, ""])])

const rolling = (rollingUpdate: Body): Body => ({ type: "RollingUpdate", rollingUpdate })

const kinds: Readonly<Record<string, Kind>> = {
  "/pods": pods,
  "/namespaces": namespaces,
  "/services": services,
  "/secrets": secrets,
  "/configmaps": {
    textFields: ["data", "binaryData"],
    validateUpdate: immutableWhenSet("data", "binaryData")
  },
  "/events": { selectableFields: eventFields("involvedObject", "reason", "reportingComponent", "source", "type") },
  "events.k8s.io/events": { selectableFields: eventFields("regarding", "reason", "reportingController", "type") },
  "/nodes": { selectableFields: { "spec.unschedulable": "false" } },
  "/persistentvolumeclaims": {
    answersDeleted: true,
    defaults: (object) => within(object, "spec", (spec) => defaulted(spec, { volumeMode: "Filesystem" })),
    initialStatus: () => ({ phase: "Pending" })
  },
  "/serviceaccounts": { answersDeleted: true },
  "/replicationcontrollers": {
    defaults: (object) => within(object, "spec", (spec) => template(defaulted(spec, { replicas: 1 }))),
    initialStatus: () => ({ replicas: 0 }),
    generation: true,
    selectableFields: { "status.replicas": "0" }
  },
  "apiextensions.k8s.io/customresourcedefinitions": {
    validate: (object) => {
      const name = Json.string(Json.get(object, "metadata", "name")) ?? ""
      const plural = Json.string(Json.get(object, "spec", "names", "plural")) ?? ""
      const group = Json.string(Json.get(object, "spec", "group")) ?? ""
      return [
        ...(name === `${plural}.${group}`
          ? []
          : [Validation.invalidValue("metadata.name", name, "must be spec.names.plural+\".\"+spec.group")]),
        ...(Json.array(Json.get(object, "spec", "versions")).length > 0
          ? []
          : [Validation.required("spec.versions")])
      ]
    }
  },
  "apps/deployments": workload({
    replicas: 1,
    strategy: rolling({ maxUnavailable: "25%", maxSurge: "25%" }),
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600
  }, {}),
  "apps/replicasets": workload({ replicas: 1 }, { replicas: 0 }, { selectableFields: { "status.replicas": "0" } }),
  "apps/statefulsets": workload({
    replicas: 1,
    podManagementPolicy: "OrderedReady",
    updateStrategy: rolling({ partition: 0 }),
    revisionHistoryLimit: 10
  }, { replicas: 0, availableReplicas: 0 }),
  "apps/daemonsets": workload({
    updateStrategy: rolling({ maxUnavailable: 1, maxSurge: 0 }),
    revisionHistoryLimit: 10
  }, { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 }),
  "batch/jobs": jobs,
  "batch/cronjobs": {
    defaults: (object) =>
      within(object, "spec", (spec) =>
        within(
          defaulted(spec, {
            concurrencyPolicy: "Allow",
            suspend: false,
            successfulJobsHistoryLimit: 3,
            failedJobsHistoryLimit: 1
          }),
          "jobTemplate",
          (one) => within(one, "spec", template)
        )),
    initialStatus: () => Json.empty
  },
  "rbac.authorization.k8s.io/roles": { nameRule: "path" },
  "rbac.authorization.k8s.io/rolebindings": { nameRule: "path" },
  "rbac.authorization.k8s.io/clusterroles": { nameRule: "path" },
  "rbac.authorization.k8s.io/clusterrolebindings": { nameRule: "path" }
}

const plain: Kind = {}

/** The particulars of a row's kind. */
export const of = (row: ResourceRow.ResourceRow): Kind => kinds[ResourceRow.collection(row)] ?? plain

/** Whether `metadata.generation` is kept. */
export const hasGeneration = (row: ResourceRow.ResourceRow): boolean =>
  of(row).generation ??
    (!ResourceRow.isBuiltIn(row) || row.group !== "" && ResourceRow.hasSubresource(row, "status"))
