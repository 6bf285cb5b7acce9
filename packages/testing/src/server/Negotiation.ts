/**
 * Which representation a client wants: plain JSON, tables, metadata alone, or a form of discovery.
 */
import type { ServerRequest } from "./Exchange.ts"

/** One entry of an `Accept` header: the media type, and what it is to be converted to. */
interface Accepted {
  readonly type: string
  readonly as: string | undefined
  readonly group: string | undefined
  readonly version: string | undefined
}

/** What objects are shown as. */
export type Shape = "object" | "Table" | "PartialObjectMetadata"

const accepted = (request: ServerRequest): ReadonlyArray<Accepted> => {
  const entries = (request.headers.get("accept") ?? []).flatMap((value) => value.split(","))
  const parsed = entries.map((entry) => {
    const [type = "", ...parameters] = entry.split(";").map((part) => part.trim())
    const values = new Map(parameters.map((parameter) => {
      const [key = "", value = ""] = parameter.split("=")
      return [key, value]
    }))
    return { type: type.toLowerCase(), as: values.get("as"), group: values.get("g"), version: values.get("v") }
  }).filter((entry) => entry.type !== "")
  return parsed.length === 0 ? [{ type: "*/*", as: undefined, group: undefined, version: undefined }] : parsed
}

const isJson = ({ type }: Accepted): boolean =>
  type === "application/json" || type === "application/*" || type === "*/*"

const shapes: Readonly<Record<string, Shape>> = {
  Table: "Table",
  PartialObjectMetadata: "PartialObjectMetadata",
  PartialObjectMetadataList: "PartialObjectMetadata"
}

/** The first entry that this server can serve for objects; nothing when there is none (406). */
export const shape = (request: ServerRequest): Shape | undefined => {
  for (const entry of accepted(request)) {
    if (!isJson(entry)) continue
    if (entry.as === undefined) return "object"
    const wanted = entry.group === "meta.k8s.io" && entry.version === "v1" ? shapes[entry.as] : undefined
    if (wanted !== undefined) return wanted
  }
  return undefined
}

/** The form of discovery: aggregated in a version, or the documents of old. Nothing when there is none (406). */
export const discovery = (request: ServerRequest): "v2" | "v2beta1" | "plain" | undefined => {
  for (const entry of accepted(request)) {
    if (!isJson(entry)) continue
    if (entry.as === undefined) return "plain"
    if (entry.group !== "apidiscovery.k8s.io" || entry.as !== "APIGroupDiscoveryList") continue
    if (entry.version === "v2" || entry.version === "v2beta1") return entry.version
  }
  return undefined
}
