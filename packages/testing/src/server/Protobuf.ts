/**
 * Reads Kubernetes protobuf, which kubectl 1.32 and later send for the kinds they know (`kubectl create`, `auth can-i`).
 *
 * The wire does not tell a zero that was set from one that Go always writes. Texts that are empty are left out, and so
 * are zeros and `false`, but for the fields listed here, where they mean something.
 */
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Json from "../store/Json.ts"
import * as Messages from "./Messages.ts"

/** The media type of such a body. */
export const mediaType = "application/vnd.kubernetes.protobuf"

class Malformed extends Data.TaggedError("Malformed") {}

// Fields whose zero or `false` is not their default. The first are those of kubectl's own commands.
const meaningful = new Set([
  "gracePeriodSeconds",
  "replicas",
  "suspend",
  "immutable",
  "value",
  "activeDeadlineSeconds",
  "allowPrivilegeEscalation",
  "automountServiceAccountToken",
  "backoffLimit",
  "blockOwnerDeletion",
  "completions",
  "controller",
  "enableServiceLinks",
  "failedJobsHistoryLimit",
  "fsGroup",
  "optional",
  "parallelism",
  "readOnlyRootFilesystem",
  "revisionHistoryLimit",
  "runAsGroup",
  "runAsNonRoot",
  "runAsUser",
  "startingDeadlineSeconds",
  "successfulJobsHistoryLimit",
  "terminationGracePeriodSeconds",
  "ttlSecondsAfterFinished"
])

/** A field on the wire: a number, or bytes. */
interface Raw {
  readonly number: number
  readonly value: bigint | Uint8Array
}

const empty = new Uint8Array(0)

function* rawFields(bytes: Uint8Array): Generator<Raw> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Malformed()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
    throw new Malformed()
  }
  const take = (length: number): Uint8Array => {
    if (length < 0 || at + length > bytes.length) throw new Malformed()
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const number = tag >> 3
    switch (tag & 7) {
      case 0:
        yield { number, value: varint() }
        break
      case 1:
        yield { number, value: take(8) }
        break
      case 2:
        yield { number, value: take(Number(varint())) }
        break
      case 5:
        yield { number, value: take(4) }
        break
      default:
        throw new Malformed()
    }
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const asBytes = (value: Raw["value"]): Uint8Array => (typeof value === "bigint" ? empty : value)
const asNumber = (value: Raw["value"]): number => (typeof value === "bigint" ? Number(value) : 0)
const raw = (bytes: Uint8Array, number: number): Raw["value"] | undefined => {
  let found: Raw["value"] | undefined
  for (const field of rawFields(bytes)) if (field.number === number) found = field.value
  return found
}
const rawText = (bytes: Uint8Array, number: number): string => text(asBytes(raw(bytes, number) ?? empty))

const time = (bytes: Uint8Array, digits: 0 | 6): Json.Json => {
  if (bytes.length === 0) return null
  const millis = asNumber(raw(bytes, 1) ?? 0n) * 1000 + asNumber(raw(bytes, 2) ?? 0n) / 1e6
  const shown = new Date(millis).toISOString()
  return digits === 0 ? `${shown.slice(0, 19)}Z` : `${shown.slice(0, 23)}000Z`
}

const embeddedJson = (bytes: Uint8Array): Json.Json =>
  Option.getOrElse(Json.parse(rawText(bytes, 1)), (): Json.Json => null)

// Messages that JSON writes in a form of its own.
const special: Readonly<Record<string, (bytes: Uint8Array) => Json.Json>> = {
  "meta.v1.Time": (bytes) => time(bytes, 0),
  "meta.v1.MicroTime": (bytes) => time(bytes, 6),
  "meta.v1.FieldsV1": embeddedJson,
  "runtime.RawExtension": embeddedJson,
  "resource.Quantity": (bytes) => rawText(bytes, 1),
  "intstr.IntOrString": (bytes) =>
    asNumber(raw(bytes, 1) ?? 0n) === 1
      ? rawText(bytes, 3)
      : asNumber(BigInt.asIntN(32, BigInt(asNumber(raw(bytes, 2) ?? 0n))))
}

const value = (type: string, found: Raw["value"]): Json.Json => {
  switch (type) {
    case "string":
      return text(asBytes(found))
    case "bytes":
      return Buffer.from(asBytes(found)).toString("base64")
    case "bool":
      return asNumber(found) !== 0
    case "int32":
    case "int64":
      return asNumber(found)
  }
  const bytes = asBytes(found)
  const own = special[type]
  if (own !== undefined) return own(bytes)
  const object = message(type, bytes)
  return type.endsWith(".ExtraValue") ? object["items"] ?? [] : object
}

const isUnset = (field: string, content: Json.Json): boolean =>
  content === "" || content === null || (content === 0 || content === false) && !meaningful.has(field)

const message = (type: string, bytes: Uint8Array): Json.JsonObject => {
  const fields = Messages.fields(type)
  const object: Record<string, Json.Json | undefined> = {}
  for (const { number, value: found } of rawFields(bytes)) {
    const field = fields.get(number)
    if (field === undefined) continue
    if (field.shape === "map") {
      const entry = asBytes(found)
      const content = value(field.type, raw(entry, 2) ?? empty)
      object[field.name] = { ...Json.object(object[field.name]), [rawText(entry, 1)]: content }
    } else if (field.shape === "list") {
      object[field.name] = [...Json.array(object[field.name]), value(field.type, found)]
    } else {
      const content = value(field.type, found)
      if (field.name === Messages.inlined) Object.assign(object, content)
      else if (!isUnset(field.name, content)) object[field.name] = content
    }
  }
  return object
}

const magic = [0x6b, 0x38, 0x73, 0x00]
/** The object in a body, or nothing when the body is malformed or of a kind that is not built in. */
export const decode: (body: Uint8Array) => Option.Option<Json.JsonObject> = Option.liftThrowable((body) => {
  if (!magic.every((byte, i) => body[i] === byte)) throw new Malformed()
  const unknown = body.subarray(magic.length)
  const typeMeta = asBytes(raw(unknown, 1) ?? empty)
  const apiVersion = rawText(typeMeta, 1)
  const kind = rawText(typeMeta, 2)
  const type = Messages.ofKind(apiVersion, kind)
  if (type === undefined) throw new Malformed()
  return { kind, apiVersion, ...message(type, asBytes(raw(unknown, 2) ?? empty)) }
})
