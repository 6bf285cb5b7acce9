/**
 * The fields of the built-in kinds, by the messages that protobuf makes of them.
 */
import { messages } from "../schemas/protobuf.ts"

/** A field of a message. */
export interface Field {
  readonly name: string
  /** A scalar of proto2, or a message. */
  readonly type: string
  readonly shape: "one" | "list" | "map"
}

/** The name of a field whose own fields stand in place of it in JSON. */
export const inlined = "-"

const parsed = new Map<string, ReadonlyMap<number, Field>>()

/** The fields of a message by their numbers; none for what is no message. */
export const fields = (message: string): ReadonlyMap<number, Field> => {
  const known = parsed.get(message)
  if (known !== undefined) return known
  const entries = (messages[message] ?? "").split("|").filter((text) => text !== "").map((text) => {
    const [number, name = "", type = ""] = text.split(" ")
    const shape: Field["shape"] = type.startsWith("map:") ? "map" : type.endsWith("[]") ? "list" : "one"
    return [Number(number), { name, shape, type: type.replace(/^map:|\[\]$/g, "") }] as const
  })
  const found = new Map(entries)
  parsed.set(message, found)
  return found
}

const named = new Map<string, ReadonlyMap<string, Field>>()

/** The fields of a message by their names in JSON. */
export const members = (message: string): ReadonlyMap<string, Field> => {
  const known = named.get(message)
  if (known !== undefined) return known
  const own = Array.from(fields(message).values()).flatMap((field): ReadonlyArray<readonly [string, Field]> =>
    field.name === inlined ? Array.from(members(field.type)) : [[field.name, field]]
  )
  const found = new Map(own)
  named.set(message, found)
  return found
}

const packages: Readonly<Record<string, string>> = { "": "core", internal: "apiserverinternal" }

/** The message of a kind; nothing for a kind that is not built in. */
export const ofKind = (apiVersion: string, kind: string): string | undefined => {
  const [group = "", version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion]
  const [label = ""] = group.split(".")
  const own = `${packages[label] ?? label}.${version}.${kind}`
  return [own, `meta.v1.${kind}`].find((name) => messages[name] !== undefined)
}
