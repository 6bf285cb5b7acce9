/**
 * What the server fills into a pod's specification, and what it checks of it.
 */
import type { Cause } from "./Failure.ts"
import * as Json from "./Json.ts"
import * as Validation from "./Validation.ts"

const defaultContainer = (container: Json.Json): Json.Json => {
  if (!Json.isObject(container)) return container
  const image = Json.string(container["image"]) ?? ""
  const tag = /:([^/]+)$/.exec(image)?.[1]
  const ports = container["ports"]
  return {
    ...container,
    ...(Json.isArray(ports) ? { ports: ports.map((port) => ({ protocol: "TCP", ...Json.object(port) })) } : {}),
    resources: container["resources"] ?? {},
    terminationMessagePath: container["terminationMessagePath"] ?? "/dev/termination-log",
    terminationMessagePolicy: container["terminationMessagePolicy"] ?? "File",
    imagePullPolicy: container["imagePullPolicy"] ??
      (tag === undefined && !image.includes("@") || tag === "latest" ? "Always" : "IfNotPresent")
  }
}

/** The specification of a pod, or of a template, with the defaults of the API. */
export const defaults = (spec: Json.JsonObject): Json.JsonObject => ({
  ...spec,
  ...Object.fromEntries(
    ["initContainers", "containers", "ephemeralContainers"]
      .filter((field) => Json.isArray(spec[field]))
      .map((field) => [field, Json.array(spec[field]).map(defaultContainer)])
  ),
  restartPolicy: spec["restartPolicy"] ?? "Always",
  terminationGracePeriodSeconds: spec["terminationGracePeriodSeconds"] ?? 30,
  dnsPolicy: spec["dnsPolicy"] ?? "ClusterFirst",
  securityContext: spec["securityContext"] ?? {},
  schedulerName: spec["schedulerName"] ?? "default-scheduler"
})

/** What is wrong with a specification; `path` leads to it. */
export const validate = (spec: Json.Json | undefined, path: string): ReadonlyArray<Cause> => {
  const containers = Json.array(Json.get(spec, "containers"))
  if (containers.length === 0) return [Validation.required(`${path}.containers`)]
  const causes: Array<Cause> = []
  const seen = new Set<string>()
  for (const list of ["containers", "initContainers"]) {
    Json.array(Json.get(spec, list)).forEach((container, i) => {
      const field = `${path}.${list}[${i}]`
      const name = Json.string(Json.get(container, "name")) ?? ""
      if (name === "") causes.push(Validation.required(`${field}.name`))
      else causes.push(...Validation.labelName1123(`${field}.name`, name))
      if (name !== "" && seen.has(name)) causes.push(Validation.duplicate(`${field}.name`, name))
      seen.add(name)
      if ((Json.string(Json.get(container, "image")) ?? "") === "") {
        causes.push(Validation.required(`${field}.image`))
      }
    })
  }
  return causes
}

/** `BestEffort`, `Burstable` or `Guaranteed`. */
export const qosClass = (spec: Json.Json | undefined): string => {
  const containers = [...Json.array(Json.get(spec, "containers")), ...Json.array(Json.get(spec, "initContainers"))]
  const of = (container: Json.Json, kind: string): Json.JsonObject =>
    Json.object(Json.get(container, "resources", kind))
  const isEmpty = (container: Json.Json): boolean =>
    ["requests", "limits"].every((kind) => Object.keys(of(container, kind)).length === 0)
  if (containers.every(isEmpty)) return "BestEffort"
  const isGuaranteed = (container: Json.Json): boolean =>
    ["cpu", "memory"].every((resource) => {
      const limit = of(container, "limits")[resource]
      return limit !== undefined && Json.equals(of(container, "requests")[resource] ?? limit, limit)
    })
  return containers.every(isGuaranteed) ? "Guaranteed" : "Burstable"
}

// The fields of a running pod that may change; the rest of the specification is fixed.
const mutable = ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"]

const fixedPart = (spec: Json.Json | undefined): Json.JsonObject => {
  const withoutImages = (field: string): Json.Json =>
    Json.array(Json.get(spec, field)).map((container) => Json.omit(Json.object(container), "image"))
  return {
    ...Json.omit(Json.object(spec), ...mutable),
    containers: withoutImages("containers"),
    initContainers: withoutImages("initContainers")
  }
}

/** What is wrong with a change of a pod's specification. */
export const validateUpdate = (before: Json.Json | undefined, after: Json.Json | undefined): ReadonlyArray<Cause> =>
  Json.equals(fixedPart(before), fixedPart(after)) ? [] : [Validation.forbiddenValue(
    "spec",
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
  )]
