/**
 * From the text of one kubeconfig file to its entries.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Cluster, Context, KubeConfig, User } from "../KubeConfig.ts"
import { DuplicateName, KubeConfigError, NotKubeConfig, NotYaml } from "../KubeConfigError.ts"
import * as YamlDocument from "./yamlDocument.ts"

// kubectl reads null as absent everywhere.
const nullable = <S extends Schema.Constraint>(schema: S): Schema.optional<Schema.NullOr<S>> =>
  Schema.optional(Schema.NullOr(schema))

const Text = nullable(Schema.String)
const Secret = nullable(Schema.RedactedFromValue(Schema.String))

// The words that are booleans in YAML 1.1, which kubectl reads, and strings in YAML 1.2.
const yes = new Set(["yes", "on", "y"])
const Flag = nullable(Schema.Union([
  Schema.Boolean,
  Schema.String.check(Schema.isPattern(/^(?:yes|no|on|off|y|n)$/i, { expected: "boolean" }))
]))

const ClusterFile = Schema.Struct({
  server: Text,
  "certificate-authority": Text,
  "certificate-authority-data": Text,
  "insecure-skip-tls-verify": Flag,
  "tls-server-name": Text,
  "proxy-url": Secret
})

const UserFile = Schema.Struct({
  "client-certificate": Secret,
  "client-certificate-data": Text,
  "client-key": Secret,
  "client-key-data": Secret,
  token: Secret,
  tokenFile: Secret,
  username: Text,
  password: Secret,
  as: Text,
  "as-uid": Text,
  "as-groups": nullable(Schema.Array(Schema.String)),
  "as-user-extra": nullable(Schema.Record(Schema.String, Schema.NullOr(Schema.Array(Schema.String)))),
  exec: nullable(Schema.Struct({ command: Secret })),
  "auth-provider": nullable(Schema.Struct({ name: Text }))
})

const ContextFile = Schema.Struct({ cluster: Text, user: Text, namespace: Text })

const File = Schema.Struct({
  apiVersion: Text,
  kind: Text,
  "current-context": Text,
  clusters: nullable(Schema.Array(Schema.NullOr(Schema.Struct({ name: Text, cluster: nullable(ClusterFile) })))),
  users: nullable(Schema.Array(Schema.NullOr(Schema.Struct({ name: Text, user: nullable(UserFile) })))),
  contexts: nullable(Schema.Array(Schema.NullOr(Schema.Struct({ name: Text, context: nullable(ContextFile) }))))
})

const decodeFile = Schema.decodeUnknownResult(File)
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const pathText = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("").replace(/^\./, "")

// In the words of YAML, without the alternatives that every optional key has.
const expectation = (message: string): string =>
  message
    .replace(/^Expected /, "")
    .replaceAll(/ \| (?:null|undefined)\b/g, "")
    .replaceAll("Redacted", "string")
    .replace(/^boolean\b.*/, "true or false")
    .replace(/^string$/, "a string (put numbers, dates, true and false in quotes)")
    .replace(/^array$/, "a list")
    .replace(/^object$/, "a mapping")

const notKubeConfig = (file: string, key: string, expected: string): KubeConfigError =>
  new KubeConfigError({ reason: new NotKubeConfig({ file, key, expected }) })

const fromIssue = (file: string, issue: SchemaIssue.Issue): KubeConfigError => {
  const first = formatIssue(issue).issues[0]
  const path = (first?.path ?? []).map((part) => typeof part === "object" ? part.key : part)
  return notKubeConfig(file, pathText(path), expectation(first?.message ?? "object"))
}

// Empty values are absent ones, as in client-go.
const present = (value: string | null | undefined): string | undefined =>
  value === null || value === "" ? undefined : value

const presentSecret = (value: Redacted.Redacted | null | undefined): Redacted.Redacted | undefined =>
  value === null || value === undefined || Redacted.value(value) === "" ? undefined : value

const flag = (value: boolean | string | null | undefined): boolean =>
  typeof value === "string" ? yes.has(value.toLowerCase()) : value === true

// A URL whose host and port are such: what has an @ behind them is its path. Without this, the host could be a user, and what
// stands in the place of the port a password that should have been percent-encoded.
const withoutUser = /^https?:\/\/(?:[^\s:@/?#\\[\]]+|\[[\d.:a-f]+\])(?::\d{0,5})?\/[^?#]*(?:[?#][^@]*)?$/i

// A URL may hold a password. It is refused when the cluster is used; until then it must not be printed.
const withoutUserInfo = (server: string | undefined): string | undefined =>
  server === undefined || withoutUser.test(server)
    ? server
    : server.replace(/^([a-z][a-z0-9+.-]*:\/+)?.*@/is, "$1***@")

type Decoded = typeof File.Type

const contexts = (file: string, decoded: Decoded): ReadonlyArray<Context> =>
  (decoded.contexts ?? []).map((entry) => ({
    name: entry?.name ?? "",
    file,
    cluster: present(entry?.context?.cluster),
    user: present(entry?.context?.user),
    namespace: present(entry?.context?.namespace)
  }))

const clusters = (file: string, decoded: Decoded): ReadonlyArray<Cluster> =>
  (decoded.clusters ?? []).map((entry) => ({
    name: entry?.name ?? "",
    file,
    server: withoutUserInfo(present(entry?.cluster?.server)),
    certificateAuthority: present(entry?.cluster?.["certificate-authority"]),
    certificateAuthorityData: present(entry?.cluster?.["certificate-authority-data"]),
    insecureSkipTlsVerify: flag(entry?.cluster?.["insecure-skip-tls-verify"]),
    tlsServerName: present(entry?.cluster?.["tls-server-name"]),
    proxyUrl: presentSecret(entry?.cluster?.["proxy-url"])
  }))

const users = (file: string, decoded: Decoded): ReadonlyArray<User> =>
  (decoded.users ?? []).map((entry) => {
    const user = entry?.user
    return {
      name: entry?.name ?? "",
      file,
      clientCertificate: presentSecret(user?.["client-certificate"]),
      clientCertificateData: present(user?.["client-certificate-data"]),
      clientKey: presentSecret(user?.["client-key"]),
      clientKeyData: presentSecret(user?.["client-key-data"]),
      token: presentSecret(user?.token),
      tokenFile: presentSecret(user?.tokenFile),
      username: present(user?.username),
      password: presentSecret(user?.password),
      as: present(user?.as),
      asUid: present(user?.["as-uid"]),
      asGroups: user?.["as-groups"] ?? [],
      asUserExtra: Object.fromEntries(
        Object.entries(user?.["as-user-extra"] ?? {}).map(([key, values]) => [key, values ?? []])
      ),
      exec: user?.exec === null || user?.exec === undefined
        ? undefined
        : { command: user.exec.command ?? Redacted.make("") },
      authProvider: user?.["auth-provider"] === null || user?.["auth-provider"] === undefined
        ? undefined
        : { name: user["auth-provider"].name ?? "" }
    }
  })

const duplicate = (entries: ReadonlyArray<{ readonly name: string }>): string | undefined => {
  const seen = new Set<string>()
  return entries.find(({ name }) => seen.size === seen.add(name).size)?.name
}

/** Reads the text of one file. Secrets are `Redacted` from here on, and never part of an error. */
export const decode = (text: string, file: string): Result.Result<KubeConfig, KubeConfigError> =>
  Result.gen(function*() {
    const document = yield* Result.mapError(
      YamlDocument.parseFirst(text),
      (failure) => new KubeConfigError({ reason: new NotYaml({ file, ...failure }) })
    )
    const decoded = yield* Result.mapError(decodeFile(document ?? {}), (error) => fromIssue(file, error.issue))
    const kind = present(decoded.kind) ?? "Config"
    if (kind !== "Config") return yield* Result.fail(notKubeConfig(file, "kind", "Config"))
    const apiVersion = present(decoded.apiVersion) ?? "v1"
    if (apiVersion !== "v1") return yield* Result.fail(notKubeConfig(file, "apiVersion", "v1"))

    const config: KubeConfig = {
      files: [file],
      currentContext: present(decoded["current-context"]),
      contexts: contexts(file, decoded),
      clusters: clusters(file, decoded),
      users: users(file, decoded)
    }
    for (const list of ["clusters", "users", "contexts"] as const) {
      const name = duplicate(config[list])
      if (name !== undefined) {
        return yield* Result.fail(new KubeConfigError({ reason: new DuplicateName({ file, list, name }) }))
      }
    }
    return config
  })
