import { command } from "@effect-k8s/codegen/Cli"
import * as Write from "@effect-k8s/codegen/emit/Write"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Path from "node:path"
import { customResource, definition, kindSchema, openApi, ref } from "./support/documents.ts"
import { platform, serverOf } from "./support/platform.ts"

const widget = { group: "example.com", version: "v1", kind: "Widget" }
const { json: widgets } = openApi({
  paths: customResource(widget, "widgets", "com.example.v1.Widget"),
  schemas: {
    "com.example.v1.Widget": kindSchema(widget, { other: ref("com.example.v2.Other") }),
    "com.example.v2.Other": { type: "object", properties: {} }
  }
})

/** Runs the command; what it wrote to stdout and to stderr. */
const run = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const lines = { out: Array<string>(), err: Array<string>() }
  const console: Console.Console = {
    ...globalThis.console,
    log: (...words) => lines.out.push(words.join(" ")),
    error: (...words) => lines.err.push(words.join(" "))
  }
  yield* Effect.provideService(Command.runWith(command, { version: "0.0.0" })(args), Console.Console, console)
  return lines
})

const folder = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  return {
    at: (path: string) => Path.join(folder, path),
    write: (path: string, text: string) => Write.file(Path.join(folder, path), text),
    read: (path: string) => fs.readFileString(Path.join(folder, path)),
    files: Effect.map(
      fs.readDirectory(folder, { recursive: true }),
      (all) => all.filter((file) => /\.(?:ts|json|yaml)$/.test(file)).sort()
    )
  }
})

describe("effect-k8s-codegen generate", () => {
  it.effect("writes modules that import the published runtime, and a lock file, and says what it did", () =>
    Effect.gen(function*() {
      const { at, read, write } = yield* folder
      yield* write("in/example.json", JSON.stringify(widgets))
      const { err, out } = yield* run("generate", at("in"), "--out", at("out"), "--lock", at("lock.json"))
      const text = yield* read("out/example.com/v1.ts")
      assert.include(text, "import * as K from \"@effect-k8s/core/Resource\"\n")
      assert.include(text, "import type { Other } from \"../com.example/v2.js\"\n")
      assert.match(yield* read("lock.json"), /example\.json": "[0-9a-f]{64}"/)
      assert.match(err.join("\n"), /in: 1 document$/)
      assert.match(out.join("\n"), /out: 1 kind in 2 files, \d+ kB, \d+\.\d s$/)
    }).pipe(Effect.scoped, Effect.provide(platform())))

  it.effect("reads what a configuration file names, relative to its folder; flags win", () =>
    Effect.gen(function*() {
      const { at, files, read, write } = yield* folder
      yield* write("crds/widgets.yaml", definition({ schema: { description: "A widget." } }))
      yield* write("crds/deep/gadgets.yaml", definition({ kind: "Gadget", plural: "gadgets", group: "b.com" }))
      yield* write("crds/notes.yaml", "kind: ConfigMap")
      yield* write("effect-k8s.yaml", "sources: [crds/**/*.yaml]\nout: src\nlock: k8s.lock.json\nextension: .ts\n")
      yield* run("generate", "--config", at("effect-k8s.yaml"))
      assert.include(yield* files, "src/example.com/v1.ts")
      assert.include(yield* files, "src/b.com/v1.ts")
      assert.include(yield* read("src/example.com/v1.ts"), "/** A widget. */")
      assert.deepStrictEqual(Object.keys(Object(JSON.parse(yield* read("k8s.lock.json")).sources)), [
        "crds/deep/gadgets.yaml",
        "crds/widgets.yaml"
      ])
      yield* run("generate", "--config", at("effect-k8s.yaml"), "--group", "example.com", "--no-docs")
      assert.notInclude(yield* files, "src/b.com/v1.ts")
      assert.notInclude(yield* read("src/example.com/v1.ts"), "A widget.")
    }).pipe(Effect.scoped, Effect.provide(platform())))

  it.effect("imports a runtime of another name, and the type of schemas from where it is", () =>
    Effect.gen(function*() {
      const { at, read, write } = yield* folder
      yield* write("a.yaml", definition({}))
      const imports = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
        yield* run("generate", at("a.yaml"), "--schemas", "-o", at("out"), ...args)
        const texts = [yield* read("out/example.com/v1.ts"), yield* read("out/schemas.ts")]
        return texts.flatMap((text) => [...text.matchAll(/^import .* from "(.*)"$/gm)].map(([, from]) => from))
      })
      assert.deepStrictEqual(yield* imports(), ["@effect-k8s/core/Resource", "@effect-k8s/core/SchemaOf"])
      assert.deepStrictEqual(yield* imports("--runtime", "../../core/Resource.ts"), [
        "../../core/Resource.ts",
        "../core/SchemaOf.ts"
      ])
      for (const runtime of ["#kubernetes", "../../MyResource.ts"]) {
        assert.deepStrictEqual(yield* imports("--runtime", runtime), [runtime, "@effect-k8s/core/SchemaOf"])
      }
    }).pipe(Effect.scoped, Effect.provide(platform())))

  it.effect("checks without writing: every difference is named", () =>
    Effect.gen(function*() {
      const { at, files, read, write } = yield* folder
      yield* write("widgets.yaml", definition({}))
      yield* write("effect-k8s.yaml", "sources: [widgets.yaml]\nout: src\nlock: lock.json")
      const check = run("generate", "--config", at("effect-k8s.yaml"), "--check")
      const drift = Effect.map(Effect.flip(check), (error) => error.message.split("\n").slice(1))
      assert.deepStrictEqual(yield* drift, ["  src/example.com/v1.ts is missing", "  lock.json is missing"])
      assert.deepStrictEqual(yield* files, ["effect-k8s.yaml", "widgets.yaml"])
      yield* run("generate", "--config", at("effect-k8s.yaml"))
      assert.deepStrictEqual((yield* check).out, [`src is up to date: 1 kind in 1 file`])
      yield* write("src/old/v1.ts", yield* read("src/example.com/v1.ts"))
      yield* write("src/mine.ts", "export {}")
      yield* write("src/example.com/v1.ts", "// changed")
      yield* write("widgets.yaml", definition({ schema: { properties: { size: { type: "integer" } } } }))
      assert.deepStrictEqual(yield* drift, [
        "  src/example.com/v1.ts differs",
        "  src/old/v1.ts is no longer generated",
        "  lock.json differs: widgets.yaml changed"
      ])
    }).pipe(Effect.scoped, Effect.provide(platform())))

  it.effect("reads URLs, single ones and indexes", () =>
    Effect.gen(function*() {
      const { at, files } = yield* folder
      yield* run("generate", "https://example.com/crd.yaml", "https://example.com/k/openapi/v3", "-o", at("out"))
      assert.deepStrictEqual(yield* files, ["out/com.example/v2.ts", "out/example.com/v1.ts", "out/other.com/v1.ts"])
      const error = yield* Effect.flip(run("generate", "https://example.com/none", "-o", at("out")))
      assert.include(error.message, "cannot fetch https://example.com/none: ")
      assert.include(error.message, "404")
    }).pipe(
      Effect.scoped,
      Effect.provide(platform({
        web: {
          "https://example.com/crd.yaml": definition({ group: "other.com" }),
          "https://example.com/k/openapi/v3": JSON.stringify({
            paths: { "apis/example.com/v1": { serverRelativeURL: "/openapi/v3/apis/example.com/v1?hash=A" } }
          }),
          "https://example.com/k/openapi/v3/apis/example.com/v1?hash=A": JSON.stringify(widgets)
        }
      }))
    ))

  it.effect("sends the login of a URL, and shows it nowhere", () =>
    Effect.gen(function*() {
      const { at, read } = yield* folder
      const asked: Array<string> = []
      const web = HttpClient.make((request, url) => {
        asked.push(`${url.href} ${request.headers["authorization"]}`)
        return Effect.succeed(HttpClientResponse.fromWeb(
          request,
          url.pathname === "/crd.yaml" ? new Response(definition({})) : new Response("", { status: 403 })
        ))
      })
      const get = (path: string) =>
        Effect.provideService(
          run("generate", `https://me:s%40cret@example.com${path}`, "-o", at("out"), "--lock", at("lock.json")),
          HttpClient.HttpClient,
          web
        )
      const { err } = yield* get("/crd.yaml")
      assert.deepStrictEqual(err, ["https://example.com/crd.yaml: 1 document"])
      assert.deepStrictEqual(asked, ["https://example.com/crd.yaml Basic bWU6c0BjcmV0"])
      assert.include(yield* read("lock.json"), "\"https://example.com/crd.yaml\": ")
      for (const path of ["/none", "/openapi/v3"]) {
        const { message } = yield* Effect.flip(get(path))
        assert.include(message, `cannot fetch https://example.com${path}: `)
        assert.notInclude(message, "cret")
      }
    }).pipe(Effect.scoped, Effect.provide(platform())))

  it.effect("refuses what is no URL, and says why one cannot be reached", () =>
    Effect.gen(function*() {
      const fail = (url: string) => Effect.map(Effect.flip(run("generate", url, "-o", "x")), ({ message }) => message)
      assert.include(yield* fail("https://exam ple/x"), "\"https://exam ple/x\" is not a URL; ")
      for (const url of ["https://me:cret@exam ple/x", "https://%:cret@example.com/x"]) {
        const message = yield* fail(url)
        assert.include(message, "is not a URL; ")
        assert.notInclude(message, "cret")
      }
      const unreachable = Effect.provide(fail("http://127.0.0.1:1/x"), FetchHttpClient.layer)
      assert.match(yield* unreachable, /^cannot fetch http:\/\/127\.0\.0\.1:1\/x: (?!fetch failed|Transport)/)
    }).pipe(Effect.scoped, Effect.provide(platform())))

  const live = serverOf({
    "/openapi/v3": {
      paths: { "apis/example.com/v1": { serverRelativeURL: "/w?hash=1" }, "api/v1": { serverRelativeURL: "/core" } }
    },
    "/w?hash=1": widgets
  }, "cluster kind")

  it.effect("reads a live cluster, and asks it for the groups that are wanted only", () =>
    Effect.gen(function*() {
      const { at, files } = yield* folder
      const args = ["generate", "--context", "kind", "-g", "*.com", "-o", at("out"), "--cache", at("cache")]
      assert.deepStrictEqual((yield* run(...args)).err, ["cluster kind: 1 document"])
      assert.deepStrictEqual((yield* run(...args)).err, ["cluster kind: 1 document, 1 of them cached"])
      assert.include(yield* files, "out/example.com/v1.ts")
      assert.deepStrictEqual(live.asked, ["/openapi/v3", "/w?hash=1", "/openapi/v3"])
    }).pipe(Effect.scoped, Effect.provide(platform({ server: live.server }))))

  it.effect("says what to do when it cannot work", () =>
    Effect.gen(function*() {
      const { at, write } = yield* folder
      yield* write("a.yaml", definition({}))
      yield* write("b.yaml", definition({}))
      yield* write("c.yaml", "kind: ConfigMap")
      const messages: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
        [[at("a.yaml")], /--out/],
        [[at("nowhere"), "-o", at("x")], /nowhere: there is no such file/],
        [[at("*.json"), "-o", at("x")], /no file matches/],
        [[at("c.yaml"), "-o", at("x")], /has neither an OpenAPI document nor a definition/],
        [
          [at("a.yaml"), at("b.yaml"), "-o", at("x")],
          /b\.yaml describes .*\/widgets, and so does .*a\.yaml; take one of them/
        ],
        [[at("a.yaml"), "-g", "apps", "-o", at("x")], /there is none in the groups apps/],
        [[at("a.yaml"), "-o", at("x"), "--check", "--watch"], /--check and --watch at once/],
        [["https://example.com/a.yaml", "-o", at("x"), "--watch"], /name no file: URLs and clusters cannot be watched/]
      ]
      for (const [args, message] of messages) {
        assert.match((yield* Effect.flip(run("generate", ...args))).message, message)
      }
    }).pipe(Effect.scoped, Effect.provide(platform())))
})
