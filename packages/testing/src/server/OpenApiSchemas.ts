/**
 * The schemas of built-in kinds as servers publish them, from the data that code generation writes. They are loaded when
 * somebody asks for the document of their group-version, or writes an object of it.
 */
import * as Effect from "effect/Effect"
import { served } from "../schemas/served.ts"
import * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1"

/** A kind by its group and version. */
export interface Kind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

const packages = new Map(Object.entries(served.packages).map(([name, module]) => [module, name]))

/** The name of the schema of a built-in kind; nothing for the kind of a group-version that is not built in. */
export const schemaName = ({ group, kind, version }: Kind): string | undefined => {
  const name = packages.get(served.groupVersions[ResourceRow.apiVersion({ group, version })] ?? "")
  return name === undefined ? undefined : `${name}.${kind}`
}

/** The name of the schema of all metadata. */
export const objectMeta = `${meta}.ObjectMeta`
/** The name of the schema of a status. */
export const status = `${meta}.Status`

const prefix = "#/components/schemas/"

/** A reference to a schema. */
export const reference = (name: string): Json.JsonObject => ({ $ref: prefix + name })

/** The name of the schema that a reference is to. */
export const target = (ref: string): string => ref.slice(prefix.length)

/** Schemas by name, and all that they refer to. Names that are not built in are left out. */
export const load: (
  names: ReadonlyArray<string>
) => Effect.Effect<Json.JsonObject> = Effect.fnUntraced(function*(names) {
  const found: Record<string, Json.JsonObject> = {}
  // It grows meanwhile.
  const queue = [...names]
  for (const name of queue) {
    if (found[name] !== undefined) continue
    const definition = (yield* loadModule(served.packages[name.slice(0, name.lastIndexOf("."))]))[name]
    if (!Json.isObject(definition)) continue
    found[name] = definition
    queue.push(...references(definition))
  }
  return found
})

const modules = new Map<string, Json.JsonObject>()

const loadModule = (module: string | undefined): Effect.Effect<Json.JsonObject> =>
  Effect.suspend(() => {
    const loader = module === undefined ? undefined : served.modules[module]
    const known = module === undefined ? undefined : modules.get(module)
    if (module === undefined || loader === undefined || known !== undefined) return Effect.succeed(known ?? Json.empty)
    return Effect.map(Effect.promise(loader), ({ definitions }) => {
      // Sound: what is generated is JSON.
      modules.set(module, definitions as Json.JsonObject)
      return definitions as Json.JsonObject
    })
  })

// Properties are called `$ref`, too: those hold an object.
const references = (schema: Json.JsonObject): ReadonlyArray<string> =>
  Object.entries(schema).flatMap(([key, value]): ReadonlyArray<string> => {
    if (key === "$ref" && typeof value === "string") return [target(value)]
    return Json.isArray(value) ? value.flatMap((one) => references(Json.object(one))) : references(Json.object(value))
  })
