/**
 * Schemas to the text of types: the only contact with openapi-typescript and with the compiler's interface.
 *
 * openapi-typescript 7.13 needs TypeScript 5, which this package brings; the version is pinned, because its next one
 * changes what it gives back.
 */
import * as Effect from "effect/Effect"
import openapiTS from "openapi-typescript"
import ts from "typescript"
import { CodegenError, PrintFailed } from "../CodegenError.ts"
import type { Schema } from "../normalise/Schema.ts"

/** The printed type of each schema, by `key`. */
export type SchemaTypes = ReadonlyMap<string, string>

/** What a schema is found by: equal schemas have one type. */
export const key = (schema: Schema): string => JSON.stringify(schema)

/**
 * Prints schemas. The text of a `$ref` is printed as it is, so it must be the name of a type where the text will stand.
 *
 * @example
 * ```ts
 * import * as SchemaTypes from "@effect-k8s/codegen/emit/SchemaTypes"
 * import * as Effect from "effect/Effect"
 *
 * const containers = { type: "array", items: { $ref: "Container" } } as const
 * const type = Effect.map(SchemaTypes.print([containers]), (types) => types.get(SchemaTypes.key(containers)))
 * await Effect.runPromise(type) // => "readonly Container[]"
 * ```
 */
export const print = Effect.fnUntraced(function*(schemas: Iterable<Schema>) {
  // openapi-typescript resolves references and checks names, so both get names of its own: t0, t1, ... and r0, r1, ...
  const types = new Map<string, string>()
  const references = new Map<string, string>()
  const components: Record<string, unknown> = {}
  const reference = (name: string): string => {
    const id = references.get(name) ?? `r${references.size}`
    references.set(name, id)
    components[id] = {}
    return id
  }
  for (const schema of schemas) {
    if (types.has(key(schema))) continue
    const id = `t${types.size}`
    types.set(key(schema), id)
    components[id] = openApi(schema, reference)
  }
  const nodes = yield* Effect.tryPromise({
    try: () =>
      openapiTS(
        {
          openapi: "3.0.3",
          info: { title: "", version: "" },
          paths: {},
          components: { schemas: components }
          // Sound: `openApi` makes nothing but schema objects; the parameter is a union that also takes a URL or a text.
        } as Parameters<typeof openapiTS>[0],
        {
          defaultNonNullable: false,
          emptyObjectsUnknown: true,
          immutable: true,
          silent: true
        }
      ),
    catch: (cause) => failed("openapi-typescript failed", cause)
  })
  const printed = printMembers(nodes, new Map([...references].map(([name, id]) => [id, name])))
  const result = new Map<string, string>()
  for (const [schema, id] of types) {
    const text = printed.get(id)
    if (text === undefined) return yield* failed(`there is no type for ${schema}`)
    result.set(schema, text)
  }
  const all: SchemaTypes = result
  return all
})

const openApi = (schema: Schema, reference: (name: string) => string): Record<string, unknown> => {
  const inner = (schema: Schema) => openApi(schema, reference)
  const { $ref, additionalProperties, anyOf, items, ...rest } = schema
  return {
    ...rest,
    // What stands beside a reference does not count.
    ...($ref === undefined ? {} : { anyOf: [{ $ref: `#/components/schemas/${reference($ref)}` }] }),
    ...(items === undefined ? {} : { items: inner(items) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: inner(additionalProperties) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(inner) })
  }
}

const failed = (description: string, cause?: unknown): CodegenError =>
  new CodegenError({ reason: new PrintFailed({ description, cause }) })

/** The types of `components.schemas`, by member name, on one line each. */
const printMembers = (
  nodes: ReadonlyArray<ts.Node>,
  names: ReadonlyMap<string, string>
): ReadonlyMap<string, string> => {
  const printer = ts.createPrinter({ removeComments: true })
  const file = ts.createSourceFile("types.ts", "", ts.ScriptTarget.Latest)
  const members = nodes.filter(ts.isInterfaceDeclaration).filter(({ name }) => name.text === "components")
    .flatMap(({ members }) => [...members])
    .flatMap((member) => memberType(member)?.[0] === "schemas" ? [memberType(member)?.[1]] : [])
    .flatMap((type) => type !== undefined && ts.isTypeLiteralNode(type) ? [...type.members] : [])
  const rename = ts.transform(
    members.flatMap((member) => memberType(member)?.[1] ?? []),
    [(context) => (root) => {
      const visit = (node: ts.Node): ts.Node => {
        const name = referenceName(node)
        if (name !== undefined) return ts.factory.createTypeReferenceNode(names.get(name) ?? name)
        const visited = ts.visitEachChild(node, visit, context)
        return ts.isTypeLiteralNode(visited) ? ts.setEmitFlags(visited, ts.EmitFlags.SingleLine) : visited
      }
      return ts.visitNode(root, visit, ts.isTypeNode)
    }]
  )
  return new Map(
    members.flatMap((member, i) => {
      const name = memberType(member)?.[0]
      const type = rename.transformed[i]
      return name === undefined || type === undefined ? [] : [
        [name, withoutSemicolons(printer.printNode(ts.EmitHint.Unspecified, type, file))] as const
      ]
    })
  )
}

const memberType = (member: ts.Node): readonly [string, ts.TypeNode] | undefined =>
  ts.isPropertySignature(member) && member.type !== undefined &&
    (ts.isIdentifier(member.name) || ts.isStringLiteral(member.name))
    ? [member.name.text, member.type]
    : undefined

/** The name of a reference, which is `components["schemas"]["name"]`. */
const referenceName = (node: ts.Node): string | undefined =>
  ts.isIndexedAccessTypeNode(node) && ts.isIndexedAccessTypeNode(node.objectType) &&
    ts.isLiteralTypeNode(node.indexType) && ts.isStringLiteral(node.indexType.literal)
    ? node.indexType.literal.text
    : undefined

const withoutSemicolons = (text: string): string =>
  text.replaceAll(/"(?:[^"\\]|\\.)*"|; \}/g, (match) => match === "; }" ? " }" : match)
