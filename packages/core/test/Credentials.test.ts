import * as Credentials from "@effect-k8s/core/Credentials"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { headersOf } from "./kubeConfigFixtures.ts"

const path = "/var/run/secrets/token"

/** A token file, how often it was read, and what reading it waits for when it has seen the content. */
const tokenFile = () => {
  const file: { content: string | undefined; reads: number; pause: Effect.Effect<void> } = {
    content: undefined,
    reads: 0,
    pause: Effect.void
  }
  return Object.assign(file, {
    layer: FileSystem.layerNoop({
      readFileString: (asked) =>
        Effect.suspend(() => {
          file.reads++
          assert.strictEqual(asked, path)
          return file.content === undefined
            ? Effect.fail(
              PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" })
            )
            : Effect.as(file.pause, file.content)
        })
    })
  })
}

const authorization = (credentials: Credentials.Credentials["Service"]) =>
  Effect.map(headersOf(credentials), (headers) => headers["authorization"])

describe("a token file", () => {
  it.effect("gives its text without the line end", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1\n"
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      assert.strictEqual(yield* authorization(credentials), "Bearer token-1")
    }))

  it.effect("is read again after a minute, and not before", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      assert.strictEqual(file.reads, 0)
      yield* authorization(credentials)
      file.content = "token-2"
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-1")
      assert.strictEqual(file.reads, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-2")
      assert.strictEqual(file.reads, 2)
    }))

  it.effect("is read again after a 401", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      yield* authorization(credentials)
      file.content = "token-2"
      assert.isTrue(yield* credentials.invalidate)
      assert.strictEqual(yield* authorization(credentials), "Bearer token-2")
    }))

  it.effect("is worth another try for each of several requests that got a 401 at once", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      yield* authorization(credentials)
      file.content = "token-2"
      assert.isTrue(yield* credentials.invalidate)
      assert.isTrue(yield* credentials.invalidate)
    }))

  it.effect("that was being read when a token was refused is read again for who asks afterwards", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const slow = yield* Deferred.make<void>()
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      file.pause = Deferred.await(slow)
      const early = yield* Effect.forkChild(authorization(credentials), { startImmediately: true })
      file.content = "token-2"
      yield* credentials.invalidate
      yield* Deferred.succeed(slow, undefined)
      assert.strictEqual(yield* Fiber.join(early), "Bearer token-1")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-2")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-2")
      assert.strictEqual(file.reads, 2)
    }))

  it.effect("that vanishes leaves the token that it had, and is looked for at each request", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      yield* authorization(credentials)
      file.content = undefined
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-1")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-1")
      assert.strictEqual(file.reads, 3)
      file.content = "token-2"
      assert.strictEqual(yield* authorization(credentials), "Bearer token-2")
    }))

  it.effect("that is empty leaves the token that it had", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
      yield* authorization(credentials)
      file.content = "\n"
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* authorization(credentials), "Bearer token-1")
    }))

  for (const content of [undefined, "", " \n"]) {
    it.effect(`that is ${content === undefined ? "not there" : "empty"} fails the request with its path`, () =>
      Effect.gen(function*() {
        const file = tokenFile()
        file.content = content
        const credentials = yield* Effect.provide(Credentials.fromTokenFile(path), file.layer)
        const error = yield* Effect.flip(authorization(credentials))
        assert.strictEqual(error._tag, "CredentialsError")
        assert.include(error.message, path)
      }))
  }

  it.effect("goes with impersonation and a client certificate, and wins over a password", () =>
    Effect.gen(function*() {
      const file = tokenFile()
      file.content = "token-1"
      const clientCertificate = { cert: "cert", key: Redacted.make("key") }
      const credentials = yield* Effect.provide(
        Credentials.fromTokenFile(path, {
          username: "jane",
          password: Redacted.make("pw"),
          impersonate: { user: "bot" },
          clientCertificate
        }),
        file.layer
      )
      const headers = yield* headersOf(credentials)
      assert.strictEqual(headers["authorization"], "Bearer token-1")
      assert.strictEqual(headers["impersonate-user"], "bot")
      assert.deepStrictEqual(yield* credentials.identity, { generation: 0, clientCertificate })
    }))
})

describe("credentials that do not change", () => {
  it.effect("have nothing else to offer after a 401", () =>
    Effect.gen(function*() {
      const credentials = Credentials.make({ token: Redacted.make("t") })
      assert.isFalse(yield* credentials.invalidate)
      assert.deepStrictEqual(yield* credentials.identity, { generation: 0, clientCertificate: undefined })
    }))

  it.effect("say nothing when there are none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* headersOf(Credentials.make()), {})
    }))
})

describe("impersonation", () => {
  const impersonate = (value: Credentials.Impersonation) => headersOf(Credentials.make({ impersonate: value }))

  it.effect("sends nothing of empty groups", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* impersonate({ user: "jane", groups: [], extra: {} }), {
        "impersonate-user": "jane"
      })
    }))

  const rows = [
    ["scopes", "scopes"],
    ["Scopes", "scopes"],
    ["example.com/scopes", "example.com%2fscopes"],
    ["a b:c", "a%20b%3ac"],
    ["50%", "50%25"],
    ["ü", "%c3%bc"],
    ["a!#$&'*+-.^_`|~z", "a!#$&'*+-.^_`|~z"]
  ] as const
  for (const [key, name] of rows) {
    it.effect(`names the extra "${key}" so that a header can`, () =>
      Effect.gen(function*() {
        const headers = yield* impersonate({ user: "jane", extra: { [key]: ["v"] } })
        assert.strictEqual(headers[`impersonate-extra-${name}`], "v")
      }))
  }

  it.effect.prop(
    "any extra key comes back from its header name, in lower case",
    { key: Schema.String.check(Schema.isMinLength(1)) },
    ({ key }) =>
      Effect.gen(function*() {
        if (!key.isWellFormed()) return
        const headers = yield* impersonate({ user: "jane", extra: { [key]: ["v"] } })
        const name = Object.keys(headers).find((header) => header.startsWith("impersonate-extra-"))
        assert(name !== undefined)
        assert.match(name, /^[!#$%&'*+.^_`|~0-9a-z-]+$/)
        assert.strictEqual(decodeURIComponent(name.slice("impersonate-extra-".length)), key.toLowerCase())
      })
  )

  it.effect("sends the UTF-8 of names, a byte a character, as kubectl does", () =>
    Effect.gen(function*() {
      const { "impersonate-user": user, ...others } = yield* impersonate({
        user: "Jürgen €\u0085",
        uid: "ß",
        groups: ["dév\tops", "à"],
        extra: { scopes: ["😀", "plain"] }
      })
      assert.strictEqual(Buffer.from(user ?? "", "latin1").toString("utf8"), "Jürgen €\u0085")
      assert.strictEqual(user, "J\u00c3\u00bcrgen \u00e2\u0082\u00ac\u00c2\u0085")
      const utf8 = (text: string): string => Buffer.from(text, "utf8").toString("latin1")
      assert.deepStrictEqual(others, {
        "impersonate-uid": utf8("ß"),
        "impersonate-group": `${utf8("dév\tops")}\n${utf8("à")}`,
        "impersonate-extra-scopes": `${utf8("😀")}\nplain`
      })
    }))

  for (const unsendable of ["\0", "\u0007", "\u001f", "\u007f", "\ud83d"]) {
    it.effect(`refuses a name with U+${unsendable.charCodeAt(0).toString(16)}, which would be another name or none`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(impersonate({ user: "jane", groups: ["dev", `d${unsendable}v`] }))
        assert.strictEqual(error._tag, "CredentialsError")
        assert.include(error.message, "to impersonate")
      }))
  }

  const smuggled: ReadonlyArray<readonly [string, Credentials.Impersonation]> = [
    ["a group", { user: "jane", groups: ["dev\nsystem:masters"] }],
    ["a user", { user: "jane\nroot" }],
    ["a uid", { user: "jane", uid: "1\r\n2" }],
    ["an extra value", { user: "jane", extra: { scopes: ["a\nb"] } }]
  ]
  for (const [what, value] of smuggled) {
    it.effect(`refuses ${what} with a line break, which would be sent as two`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(impersonate(value))
        assert.strictEqual(error._tag, "CredentialsError")
        assert.include(error.message, "line break")
      }))
  }
})

describe("a bearer token", () => {
  for (const unsendable of ["\n", "\r", "\u0001", "\u007f", "\udc00"]) {
    it.effect(`with U+${unsendable.charCodeAt(0).toString(16)} is refused, and not shown`, () =>
      Effect.gen(function*() {
        const token = Redacted.make(`S3CRET${unsendable}S3CRET`)
        const error = yield* Effect.flip(headersOf(Credentials.make({ token })))
        assert.include(error.message, "line break")
        assert.notInclude(JSON.stringify(error) + error.message, "S3CRET")
      }))
  }

  it.effect("outside of ASCII is sent as UTF-8, a byte a character", () =>
    Effect.gen(function*() {
      const headers = yield* headersOf(Credentials.make({ token: Redacted.make("tökén") }))
      assert.strictEqual(headers["authorization"], `Bearer ${Buffer.from("tökén", "utf8").toString("latin1")}`)
    }))
})
