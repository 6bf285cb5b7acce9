import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { base64, cert, key, pem, platform } from "./kubeConfigFixtures.ts"

/** Everything that a program could print of a value. */
const shown = (value: unknown): string => {
  const error = value instanceof Error ? `${value.message}${value.stack}${shown(value.cause)}` : ""
  return `${String(value)}${JSON.stringify(value)}${inspect(value, { depth: 20, showHidden: true })}${error}`
}

// What a secret can begin with to mean something else in YAML or in a URL.
const Prefix = Schema.Literals([
  "",
  "*",
  "&",
  "!",
  "'",
  "\"",
  "\"\\",
  "{",
  "[",
  "- ",
  "? ",
  "| ",
  "> ",
  "#",
  "%",
  "@",
  "://",
  "a: ",
  "\t"
])
const Quote = Schema.Literals(["none", "json"])
const Key = Schema.Literals(["token", "password", "client-key-data", "proxy-url", "server"])

// The smallest kubeconfig around each secret; "none" leaves the YAML as it comes, broken or not.
const textOf = (where: typeof Key.Type, quote: typeof Quote.Type, name: string, secret: string): string => {
  const write = (value: string): string => quote === "json" ? JSON.stringify(value) : value
  const url = (scheme: string): string => write(`${scheme}://jane:${secret}@host`)
  const user = where === "token"
    ? [`token: ${write(secret)}`]
    : where === "password"
    ? ["username: jane", `password: ${write(secret)}`]
    : [
      `client-certificate-data: ${base64(cert)}`,
      `client-key-data: ${write(where === "client-key-data" ? secret : base64(key))}`
    ]
  return [
    `current-context: ${JSON.stringify(name)}`,
    "clusters:",
    `- name: ${JSON.stringify(name)}`,
    "  cluster:",
    `    server: ${where === "server" ? url("https") : "https://host"}`,
    ...(where === "proxy-url" ? [`    proxy-url: ${url("http")}`] : []),
    "users:",
    `- name: ${JSON.stringify(name)}`,
    "  user:",
    ...user.map((line) => `    ${line}`),
    "contexts:",
    `- name: ${JSON.stringify(name)}`,
    `  context: {cluster: ${JSON.stringify(name)}, user: ${JSON.stringify(name)}}`
  ].join("\n")
}

/** What can be seen of a kubeconfig: the parsed one and what it resolves to, or the errors. */
const everythingShown = (text: string) =>
  Effect.gen(function*() {
    const config = yield* KubeConfig.parse(text, "/f")
    const resolved = yield* Effect.catch(KubeConfig.resolve(config), (error) => Effect.succeed(error))
    const identity = "credentials" in resolved ? yield* Effect.orDie(resolved.credentials.identity) : undefined
    return shown(config) + shown(resolved) + shown(identity)
  }).pipe(Effect.catch((error) => Effect.succeed(shown(error))), Effect.provide(platform))

it.effect.prop(
  "no secret of a kubeconfig can be seen in what is parsed, resolved or raised",
  {
    digits: Schema.Int.check(Schema.isBetween({ minimum: 10_000_000, maximum: 99_999_999 })),
    prefix: Prefix,
    where: Key,
    quote: Quote,
    name: Schema.String
  },
  ({ digits, name, prefix, quote, where }) =>
    Effect.map(everythingShown(textOf(where, quote, name, `${prefix}S3CRET${digits}`)), (text) => {
      assert.notInclude(text, `S3CRET${digits}`)
    }),
  { arbitrary: { runs: 400 } }
)

it.effect("keys and tokens that are right are not seen either, and are there", () =>
  Effect.gen(function*() {
    const secretKey = pem("PRIVATE KEY", "S3CRETKEY")
    const text = JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: "https://host", "proxy-url": "http://jane:S3CRETPROXY@proxy" } }],
      users: [{
        name: "u",
        user: {
          token: "S3CRETTOKEN",
          "client-certificate-data": base64(cert),
          "client-key-data": base64(secretKey)
        }
      }]
    })
    const visible = yield* everythingShown(text)
    assert.notInclude(visible, "S3CRET")
    assert.notInclude(visible, base64(secretKey))
    assert.include(visible, "<redacted>")

    const config = yield* KubeConfig.parse(text, "/f")
    const resolved = yield* Effect.provide(KubeConfig.resolve(config), platform)
    const { clientCertificate } = yield* resolved.credentials.identity
    assert.strictEqual(clientCertificate && Redacted.value(clientCertificate.key), secretKey)
    assert.strictEqual(
      resolved.endpoint.proxy?.password && Redacted.value(resolved.endpoint.proxy.password),
      "S3CRETPROXY"
    )
  }))
