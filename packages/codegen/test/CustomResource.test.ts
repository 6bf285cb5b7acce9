import { generate } from "@effect-k8s/codegen/Generate"
import type { GenerateOptions } from "@effect-k8s/codegen/Generate"
import * as Content from "@effect-k8s/codegen/load/Content"
import { assert, describe, it } from "@effect/vitest"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Path from "node:path"
import { definition } from "./support/documents.ts"
import { typeCheck } from "./support/typeCheck.ts"

const apis = Path.resolve(import.meta.dirname, "../../core/src/apis")
const imports = { runtime: "../../Resource.ts", builtIns: "..", extension: ".ts" } as const

const read = (text: string) => Content.read("crd.yaml", new TextEncoder().encode(text))

const modules = (text: string, options: GenerateOptions = imports) =>
  Effect.gen(function*() {
    const document = yield* read(text)
    const { modules } = yield* generate({ openapi: document === undefined ? [] : [document] }, options)
    return new Map(modules.map(({ path, text }) => [path, text]))
  }).pipe(Effect.provide(Digest.layerWebCrypto))

/** The errors of modules that stand among the built-in ones, and of a text that uses them. */
const errors = (texts: ReadonlyMap<string, string>, use = ""): ReadonlyArray<string> =>
  typeCheck(
    [],
    Object.fromEntries([...texts, ["use.ts", use]].map(([path, text]) => [Path.join(apis, path ?? ""), text ?? ""]))
  )

const string = { type: "string" }

describe("a custom resource", () => {
  it.effect("has a module like a built-in one", () =>
    Effect.gen(function*() {
      const texts = yield* modules(definition({
        subresources: { status: {}, scale: { specReplicasPath: ".spec.replicas" } },
        schema: {
          required: ["spec"],
          properties: {
            metadata: { type: "object" },
            spec: {
              type: "object",
              required: ["parts"],
              properties: {
                replicas: { type: "integer", default: 1, minimum: 0 },
                parts: {
                  type: "array",
                  "x-kubernetes-list-type": "map",
                  "x-kubernetes-list-map-keys": ["name"],
                  items: { type: "object", required: ["name", "size"], properties: { name: string, size: string } }
                }
              }
            },
            status: { type: "object", properties: { ready: { type: "boolean" } } }
          }
        }
      }))
      assert.deepStrictEqual([...texts], [["example.com/v1.ts", widget]])
      assert.deepStrictEqual(errors(texts), [])
    }))

  it.effect("has the types of its schema", () =>
    Effect.gen(function*() {
      const texts = yield* modules(definition({
        schema: {
          properties: {
            any: { "x-kubernetes-preserve-unknown-fields": true },
            port: { "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }] },
            record: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
            open: {
              type: "object",
              "x-kubernetes-preserve-unknown-fields": true,
              required: ["a"],
              properties: { a: string }
            },
            template: { type: "object", "x-kubernetes-embedded-resource": true, properties: { spec: string } },
            whatever: {
              type: "object",
              "x-kubernetes-embedded-resource": true,
              "x-kubernetes-preserve-unknown-fields": true
            },
            nothing: { ...string, nullable: true },
            nobody: { type: "object", nullable: true, properties: { a: string } },
            holes: { type: "array", items: { type: "integer", nullable: true } },
            gaps: { type: "object", additionalProperties: { ...string, nullable: true } },
            choice: { ...string, enum: ["", "a\"b", "`${c}`"], nullable: true },
            codes: { type: "integer", enum: [200, 404] },
            when: { ...string, format: "date-time" },
            data: { ...string, format: "byte" },
            matrix: { type: "array", items: { type: "array", items: { type: "number" } } },
            either: {
              type: "object",
              properties: { a: string, b: string },
              oneOf: [{ required: ["a"] }, { required: ["b"] }]
            }
          }
        }
      }))
      const text = texts.get("example.com/v1.ts") ?? ""
      for (
        const line of [
          "readonly any?: unknown",
          "readonly port?: K.IntOrString | undefined",
          "readonly record?: { readonly [key: string]: unknown } | undefined",
          "readonly nothing?: string | null | undefined",
          "readonly nobody?: WidgetNobody | null | undefined",
          "readonly holes?: readonly (number | null)[] | undefined",
          "readonly gaps?: { readonly [key: string]: string | null } | undefined",
          "readonly choice?: (\"\" | \"a\\\"b\" | \"`${c}`\" | (string & {})) | null | undefined",
          "readonly codes?: 200 | 404 | (number & {}) | undefined",
          "readonly when?: K.Time | undefined",
          "readonly data?: K.Bytes | undefined",
          "readonly matrix?: readonly (readonly number[])[] | undefined"
        ]
      ) assert.include(text, `  ${line}\n`)
      assert.include(
        text,
        "export interface WidgetOpen {\n  readonly a: string\n  readonly [key: string]: unknown\n}"
      )
      assert.include(
        text,
        "export interface WidgetTemplate {\n  readonly apiVersion: string\n  readonly kind: string\n" +
          "  readonly metadata?: K.ObjectMetaInput | undefined\n  readonly spec?: string | undefined\n}"
      )
      assert.include(text, "  readonly metadata?: K.ObjectMetaInput | undefined\n  readonly [key: string]: unknown\n}")
      assert.deepStrictEqual(errors(texts, useOfTypes), [])
    }))

  it.effect("may be called like a global or a word of the language, and so may its fields", () =>
    Effect.gen(function*() {
      const kinds = ["Object", "Map", "Function", "Array", "Record", "Partial", "Symbol", "K", "Class", "my-kind"]
      const names = [
        "a-b",
        "2nd",
        "__proto__",
        "constructor",
        "$ref",
        "class",
        "a\"b",
        "a`b",
        "a\nb",
        "",
        "über",
        "[a]"
      ]
      const texts = yield* modules(
        kinds.map((kind, i) =>
          definition({
            kind,
            plural: `kind${i}`,
            schema: {
              properties: Object.fromEntries(names.map((name) => [name, { type: "object", properties: { a: string } }]))
            }
          })
        ).join("\n---\n")
      )
      const text = texts.get("example.com/v1.ts") ?? ""
      for (const line of ["\"a-b\"?: ", "\"2nd\"?: ", "__proto__?: ", "\"a\\\"b\"?: ", "\"a\\nb\"?: ", "\"\"?: "]) {
        assert.include(text, `  readonly ${line}`)
      }
      assert.include(text, "export const my_kind: K.Resource<my_kindResource> =")
      assert.deepStrictEqual(errors(texts), [])
    }))

  it.effect("cannot put code into a module, by whatever text it has", () =>
    Effect.gen(function*() {
      const code = "*/ export const evil = 1 /* ` ${evil} \u2028 export const evil2 = 2"
      const lines = `${code}\n${code}\r\n*/\nexport const evil3 = 3\n/*`
      const crd = {
        schema: {
          description: lines,
          properties: {
            [code]: { ...string, description: lines, default: code, enum: [code, "\"; export const evil4 = 4; \""] },
            [`"${lines}`]: { type: "object", description: lines, properties: { a: string } },
            list: {
              type: "array",
              "x-kubernetes-list-type": "map",
              "x-kubernetes-list-map-keys": [code],
              items: { type: "object", properties: { [code]: string } }
            }
          }
        },
        deprecationWarning: lines
      }
      for (const docs of [true, false]) {
        const texts = yield* modules(definition(crd), { ...imports, docs })
        const clean = yield* modules(definition({ schema: { properties: { list: { type: "string" } } } }))
        const names = (text: string | undefined) =>
          [...(text ?? "").matchAll(/^export const .*$/gm)].map(([line]) => line)
        assert.deepStrictEqual(names(texts.get("example.com/v1.ts")), names(clean.get("example.com/v1.ts")))
        assert.deepStrictEqual(
          errors(
            texts,
            "import * as M from \"./example.com/v1.ts\"\nexport const only: \"Widget\" = null! as keyof typeof M"
          ),
          []
        )
      }
    }))

  it.effect("has the words of its definition in comments, when they are asked for", () =>
    Effect.gen(function*() {
      const texts = yield* modules(
        definition({
          deprecationWarning: "use v2",
          schema: {
            description: "Widget is a thing.",
            properties: {
              spec: {
                type: "object",
                description: "What is wanted.",
                properties: { a: string, b: { ...string, default: "x" }, c: { type: "integer", default: 0 } },
                oneOf: [{ required: ["a"] }, { required: ["b"] }]
              }
            }
          }
        }),
        { ...imports, docs: true }
      )
      const text = texts.get("example.com/v1.ts") ?? ""
      assert.include(text, "/**\n * Widget is a thing.\n * @deprecated use v2\n */\nexport interface Widget extends")
      assert.include(text, "/**\n * Widget is a thing.\n * @deprecated use v2\n */\nexport const Widget")
      assert.include(text, "/** `Widget` as create and replace take it. */\nexport interface WidgetInput")
      assert.include(
        text,
        "  /**\n   * What is wanted.\n   *\n   * Exactly one of: `a`, `b`.\n   */\n  readonly spec?:"
      )
      assert.include(
        text,
        "  /** @default \"x\" */\n  readonly b?: string | undefined\n  readonly c?: number | undefined\n"
      )
      const plain = (yield* modules(definition({ deprecationWarning: "use v2" }))).get("example.com/v1.ts") ?? ""
      assert.include(plain, "/** @deprecated */\nexport const Widget")
    }))

  it.effect("has a module for each version that is served", () =>
    Effect.gen(function*() {
      const texts = yield* modules(definition({ versions: { v1: true, v1beta1: true, v1alpha1: false } }))
      assert.deepStrictEqual([...texts.keys()], ["example.com/v1.ts", "example.com/v1beta1.ts"])
    }))
})

describe("a file", () => {
  it.effect("may hold other objects beside definitions", () =>
    Effect.gen(function*() {
      const texts = yield* modules(`kind: Namespace\n---\n${definition({})}\n---\nkind: Deployment\n`)
      assert.deepStrictEqual([...texts.keys()], ["example.com/v1.ts"])
      assert.isUndefined(yield* Effect.provide(read("kind: Deployment"), Digest.layerWebCrypto))
    }))

  const schema = (schema: unknown) => definition({ schema: { properties: { spec: schema } } })
  const spec = "spec.versions[0].schema.openAPIV3Schema.properties.spec"
  const malformed: ReadonlyArray<readonly [what: string, text: string, path: string | undefined, problem: RegExp]> = [
    ["a group that leaves the folder", definition({ group: "../../x" }), "spec.group", /^must be a DNS name/],
    ["a group that is code", definition({ group: "a.com\"; evil()//" }), "spec.group", /^must be a DNS name/],
    ["a kind that is code", definition({ kind: "A {} evil() //" }), "spec.names.kind", /^must be a name such as/],
    ["a plural with a slash", definition({ plural: "a/b" }), "spec.names.plural", /^must be a DNS label/],
    [
      "a version with dots",
      definition({ versions: { "../v1": true } }),
      "spec.versions[0].name",
      /^must be a DNS label/
    ],
    ["no versions", definition({ versions: {} }), "spec.versions", /^must be a list of versions/],
    ["an unknown scope", definition({ scope: "Everywhere" }), "spec.scope", /^must be Namespaced or Cluster/],
    [
      "an old definition",
      definition({ apiVersion: "apiextensions.k8s.io/v1beta1" }),
      "apiVersion",
      /^must be .*v1, which/
    ],
    ["a type that there is not", schema({ type: "int" }), `${spec}.type`, /^must be one of array, /],
    ["a schema that is a list", schema([]), spec, /^must be a schema/],
    [
      "properties that are no object",
      schema({ properties: [] }),
      `${spec}.properties`,
      /^must be an object of schemas/
    ],
    ["names that are no list", schema({ required: true }), `${spec}.required`, /^must be a list of names/],
    ["values that are no list", schema({ enum: "a" }), `${spec}.enum`, /^must be a list of values/],
    ["a reference", schema({ $ref: "#/x" }), `${spec}.$ref`, /^is not allowed/],
    [
      "a mistake in a list in a map",
      schema({ additionalProperties: { items: { properties: { "a.b": { type: 1 } } } } }),
      `${spec}.additionalProperties.items.properties["a.b"].type`,
      /^must be one of/
    ],
    ["no YAML", "a: b: c", undefined, /^is (?:not|neither) YAML/]
  ]
  for (const [what, text, path, problem] of malformed) {
    it.effect(`with ${what} is refused: the error names the file, the document and the place`, () =>
      Effect.gen(function*() {
        const { reason } = yield* Effect.flip(Effect.provide(read(`kind: A\n---\n${text}`), Digest.layerWebCrypto))
        assert.strictEqual(reason._tag, "InvalidDocument")
        if (reason._tag !== "InvalidDocument") return
        assert.deepStrictEqual([reason.document, reason.number, reason.path], ["crd.yaml", 2, path])
        assert.match(reason.description, problem)
        assert.isTrue(reason.message.startsWith(`crd.yaml, document 2${path === undefined ? "" : `, ${path}`} `))
      }))
  }

  it.effect("that is a list, as kubectl writes it, says which item is wrong", () =>
    Effect.gen(function*() {
      const list = (...items: ReadonlyArray<unknown>) => JSON.stringify({ apiVersion: "v1", kind: "List", items })
      const good: unknown = Yaml.parse(definition({}))
      const message = (text: string) =>
        Effect.map(Effect.flip(Effect.provide(read(text), Digest.layerWebCrypto)), ({ message }) => message)
      const bad: unknown = Yaml.parse(definition({ scope: "Everywhere" }))
      assert.strictEqual(
        yield* message(list(good, bad)),
        "crd.yaml, document 1, items[1].spec.scope must be Namespaced or Cluster"
      )
      assert.strictEqual(yield* message(list(good, 1)), "crd.yaml, document 1, items[1] is not an object")
    }))

  it.effect("that defines a kind twice is refused", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(
        Effect.provide(read(`${definition({})}\n---\n${definition({})}`), Digest.layerWebCrypto)
      )
      assert.include(message, "crd.yaml defines /apis/example.com/v1/namespaces/{namespace}/widgets twice")
    }))
})

const widget = `// Generated by @effect-k8s/codegen. Do not edit.

/**
 * \`example.com/v1\`: Widget.
 */
import * as K from "../../Resource.ts"
import type { Scale, ScaleInput } from "../autoscaling/v1.ts"

export interface Widget extends K.KubeObject<"example.com/v1", "Widget"> {
  readonly spec: WidgetSpec
  readonly status?: WidgetStatus | undefined
}

export interface WidgetInput extends K.KubeInput<"example.com/v1", "Widget"> {
  readonly spec: WidgetSpec
  readonly status?: WidgetStatus | undefined
}

export interface WidgetApply extends K.KubeApply<"example.com/v1", "Widget"> {
  readonly spec?: WidgetSpecApply | undefined
  readonly status?: WidgetStatus | undefined
}

export interface WidgetResource extends K.ResourceType {
  readonly object: Widget
  readonly input: WidgetInput
  readonly apply: WidgetApply
  readonly scope: "Namespaced"
  readonly verbs: K.AllVerbs
  readonly strategic: false
  readonly sub: {
    readonly scale: K.Sub<Scale, ScaleInput, "get" | "patch" | "update">
    readonly status: K.Sub<Widget, WidgetInput, "get" | "patch" | "update", WidgetApply>
  }
}

export const Widget: K.Resource<WidgetResource> =
  /*#__PURE__*/ K.make("example.com", "v1", "Widget", "widgets", "Namespaced", 255, { scale: 104, status: 104 })

export interface WidgetSpec {
  readonly parts: readonly WidgetSpecParts[]
  readonly replicas?: number | undefined
}

export interface WidgetSpecApply extends K.ApplyFields<WidgetSpec, "parts"> {
  readonly parts?: readonly WidgetSpecPartsApply[] | undefined
}

export interface WidgetSpecParts {
  readonly name: string
  readonly size: string
}

export interface WidgetSpecPartsApply extends K.ApplyFields<WidgetSpecParts, "name"> {
  readonly name: string
}

export interface WidgetStatus {
  readonly ready?: boolean | undefined
}
`

const useOfTypes = `import type { WidgetApply, WidgetInput } from "./example.com/v1.ts"
export const good: WidgetInput = {
  any: [1], port: "http", record: { x: 1 }, open: { a: "a", b: 2 },
  template: { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: "x" },
  whatever: { apiVersion: "v1", kind: "Pod", spec: {} },
  nothing: null, nobody: null, holes: [1, null], gaps: { a: null }, choice: "other", codes: 500
}
export const apply: WidgetApply = { metadata: { name: "a" }, open: { b: 2 } }
// @ts-expect-error: a known field beside unknown ones keeps its type
export const open: WidgetApply = { metadata: { name: "a" }, open: { a: 2 } }
// @ts-expect-error: an embedded object has a kind
export const embedded: WidgetInput = { template: { spec: "x" } }
`
