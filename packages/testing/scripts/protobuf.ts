/**
 * Writes `src/schemas/protobuf.ts`: the fields of the messages that a body of a built-in kind can be made of.
 *
 *     pnpm exec node scripts/protobuf.ts FIELDS.json OPENAPI_V3_FOLDER > src/schemas/protobuf.ts
 *
 * `FIELDS.json` has `messages[name][number] = [field, type]`, read from the `generated.proto` files of Kubernetes. The
 * OpenAPI documents tell which fields are not there in JSON, because Go inlines them, and how the others are spelled.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { resources } from "../src/schemas/resources.ts"

type Fields = Readonly<Record<string, readonly [string, string]>>

const [, , fieldsFile = "", openApiFolder = ""] = process.argv
// Written by the two sources named above.
const { messages } = JSON.parse(readFileSync(fieldsFile, "utf8")) as {
  readonly messages: Readonly<Record<string, Fields>>
}
const properties = new Map<string, ReadonlyArray<string>>()
for (const file of readdirSync(openApiFolder)) {
  const document = JSON.parse(readFileSync(join(openApiFolder, file), "utf8")) as {
    readonly components?: { readonly schemas?: Readonly<Record<string, { readonly properties?: object }>> }
  }
  for (const [name, schema] of Object.entries(document.components?.schemas ?? {})) {
    if (schema.properties !== undefined) properties.set(name, Object.keys(schema.properties))
  }
}

const prefixes = [
  "k8s.io.apimachinery.pkg.apis.",
  "k8s.io.apimachinery.pkg.api.",
  "k8s.io.apimachinery.pkg.util.",
  "k8s.io.apimachinery.pkg.",
  "k8s.io.apiextensions_apiserver.pkg.apis.",
  "k8s.io.kube_aggregator.pkg.apis.",
  "k8s.io.api."
]
const short = (name: string): string => name.slice(prefixes.find((prefix) => name.startsWith(prefix))?.length ?? 0)

// `[]` at the end, `map<string,...>` around, or neither.
const element = (type: string): string => /^map<string,(.*)>$/.exec(type)?.[1] ?? type.replace(/\[\]$/, "")

const jsonName = (message: string, field: string, type: string): string => {
  const known = properties.get(`io.${message.replace(/^k8s\.io\./, "k8s.")}`)
  if (known === undefined || known.includes(field)) return field
  const spelled = known.find((name) => name.toLowerCase() === field.toLowerCase())
  return spelled ?? (messages[type] === undefined ? field : "-")
}

const packages: Readonly<Record<string, string>> = { "": "core", internal: "apiserverinternal" }
const packageOf = (group: string): string => {
  const [label = ""] = group.split(".")
  return packages[label] ?? label
}

const byShortName = new Map(Object.keys(messages).map((name) => [short(name), name]))
const roots = resources.flatMap((row) =>
  [row, ...row.subresources].map(({ kind, ...own }) =>
    `${packageOf(own.group ?? row.group)}.${own.version ?? row.version}.${kind}`
  )
)
const wanted = new Set<string>()
const visit = (name: string): void => {
  const fields = messages[name]
  if (fields === undefined || wanted.has(name)) return
  wanted.add(name)
  for (const [, type] of Object.values(fields)) visit(element(type))
}
for (const root of [...roots, "meta.v1.DeleteOptions"]) visit(byShortName.get(root) ?? "")

const type = (text: string): string => {
  const inner = short(element(text))
  return text.startsWith("map<") ? `map:${inner}` : text.endsWith("[]") ? `${inner}[]` : inner
}
const lines = Array.from(wanted).sort().map((name) => {
  const fields = Object.entries(messages[name] ?? {}).map(([number, [field, text]]) =>
    `${number} ${jsonName(name, field, text)} ${type(text)}`
  )
  return `${JSON.stringify(short(name))}:${JSON.stringify(fields.join("|"))}`
})

process.stdout.write(`// Written by scripts/protobuf.ts. Do not edit.

/**
 * The fields of messages, as \`number name type\` with bars between. A name of \`-\` is a message whose fields stand in
 * place of it in JSON. A type is a scalar of proto2 or a message; \`[]\` repeats it, \`map:\` keeps it under texts.
 */
export const messages: Readonly<Record<string, string>> = {
${lines.join(",\n")}
}
`)
