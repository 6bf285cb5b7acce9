import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import {
  base64,
  cert,
  fieldsOf,
  file,
  key,
  kubeconfig,
  pem,
  platform,
  reasonOf,
  resolveParts
} from "./kubeConfigFixtures.ts"

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

it.effect("a password in the URL of a server is not seen, however it was written", () =>
  Effect.gen(function*() {
    for (
      const server of [
        "https://jane:S3CRET@host",
        "https://jane:S3CRET@host/a@b",
        "https://jane:x/S3CRET@host",
        "https://jane:x/y@S3CRET@host",
        "https://jane:S3CRET/@host/path",
        "https://jane:S3CRET@x/y@host",
        "https://jane:?S3CRET@host",
        "https://jane:1234?S3CRET@host",
        "https://jane/?S3CRET@host",
        "https://jane:#S3CRET@host",
        "https://jane:\\/S3CRET@host",
        "https://jane:1234567/S3CRET@host",
        "https://:x/S3CRET@host",
        "https:///jane:x/S3CRET@host",
        "https:/jane:x/S3CRET@host",
        "https:jane:x/S3CRET@host",
        "jane:x/S3CRET@host",
        "jane:S3CRET@host"
      ]
    ) {
      assert.notInclude(yield* everythingShown(kubeconfig({ cluster: { server } })), "S3CRET", server)
      assert.strictEqual((yield* reasonOf(resolveParts({ cluster: { server } })))._tag, "InvalidServer", server)
    }
  }))

// A key or a token where the path of its file belongs, and what must not be seen of it.
const Misplaced = Schema.Literals([
  "PEM",
  "PEM in one line",
  "base64 of PEM",
  "base64 of DER",
  "JWT",
  "bearer JWT",
  "bootstrap token",
  "opaque token"
])
const misplaced = (form: typeof Misplaced.Type, digits: number): { readonly text: string; readonly secret: string } => {
  const secret = `S3CRET${digits}`
  const body = secret.repeat(20)
  switch (form) {
    case "PEM":
      return { text: pem("PRIVATE KEY", body), secret }
    case "PEM in one line":
      return { text: pem("RSA PRIVATE KEY", body).replaceAll("\n", " "), secret }
    case "base64 of PEM": {
      const text = base64(pem("PRIVATE KEY", body))
      return { text, secret: text.slice(60, 80) }
    }
    case "base64 of DER":
      return { text: `MIIEv/A+${body.replaceAll("RET", "/T+")}==`, secret: `S3C/T+${digits}` }
    case "JWT":
      return { text: `eyJhbGciOiJSUzI1NiJ9.${body}.${secret}`, secret }
    case "bearer JWT":
      return { text: `Bearer eyJhbGciOiJSUzI1NiJ9.${body}.${secret}`, secret }
    case "bootstrap token":
      return { text: `abcdef.s3${digits}abcdef`, secret: `s3${digits}` }
    case "opaque token":
      return { text: `sha256~${secret}${secret}${secret}`, secret }
  }
}
const PathKey = Schema.Literals(["client-certificate", "client-key", "tokenFile"])

it.effect.prop(
  "a key or a token where the path of its file belongs is told, and cannot be seen",
  {
    digits: Schema.Int.check(Schema.isBetween({ minimum: 10_000_000, maximum: 99_999_999 })),
    form: Misplaced,
    where: PathKey
  },
  ({ digits, form, where }) =>
    Effect.gen(function*() {
      const { secret, text } = misplaced(form, digits)
      const user = where === "tokenFile"
        ? { tokenFile: text }
        : {
          "client-certificate-data": base64(cert),
          "client-key-data": base64(key),
          [`${where}-data`]: "",
          [where]: text
        }
      const visible = yield* everythingShown(kubeconfig({ user }))
      assert.notInclude(visible, secret)
      const reason = yield* reasonOf(resolveParts({ user }))
      assert.deepInclude(fieldsOf(reason), {
        tag: "DataInsteadOfPath",
        file,
        key: `users["u"].user.${where}`
      })
      assert.include(reason.message, where === "tokenFile" ? "move it to token" : `move it to ${where}-data`)
    }),
  { arbitrary: { runs: 100 } }
)

it.effect("a path that is missing is still named", () =>
  Effect.gen(function*() {
    const paths = [
      "pki/client.key",
      "/var/run/secrets/kubernetes.io/serviceaccount/token",
      "/home/jane/.minikube/profiles/minikube/client.key",
      "C:\\Users\\jane\\client.key",
      "/etc/kubernetes/pki/apiserver-kubelet-client-of-the-second-cluster.key",
      "/Users/jane/Projects/clusters/production/europe/west/certificates/administrator/client-key.pem"
    ]
    for (const path of paths) {
      const reason = yield* reasonOf(resolveParts({ user: { tokenFile: path } }))
      assert(reason._tag === "ReferencedFileMissing", path)
      assert.include(reason.message, path)
    }
  }))

it.effect("of the command of a credential plugin nothing but the program's name is seen", () =>
  Effect.gen(function*() {
    const rows = [
      ["aws --password S3CRET", "aws"],
      ["/opt/S3CRET/bin/aws S3CRET", "aws"],
      ["C:\\S3CRET\\aws.exe --token=S3CRET", "aws.exe"],
      ["PASSWORD=S3CRET aws", ""],
      ["\"aws\" S3CRET", ""],
      ["https://jane:S3CRET@host/?token=S3CRET", ""],
      [pem("PRIVATE KEY", "S3CRET"), ""],
      ["", ""]
    ] as const
    for (const [command, name] of rows) {
      const user = { exec: { command } }
      assert.notInclude(yield* everythingShown(kubeconfig({ user })), "S3CRET")
      const reason = yield* reasonOf(resolveParts({ user }))
      assert(reason._tag === "ExecUnsupported")
      assert.strictEqual(reason.command, name)
      assert.include(reason.message, name === "" ? "runs a credential plugin, and" : `"${name}"`)
    }
  }))

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
