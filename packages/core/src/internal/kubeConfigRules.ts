/**
 * What a context of a kubeconfig amounts to: pure rules, as in client-go. What has to be read from files is named, not
 * read.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Impersonation } from "../Credentials.ts"
import type { Proxy as ProxyEndpoint } from "../Endpoint.ts"
import type { Cluster, Context, KubeConfig, User } from "../KubeConfig.ts"
import {
  AuthProviderRemoved,
  CertificateWithoutKey,
  ConflictingKeys,
  ContextNotFound,
  Empty,
  ExecUnsupported,
  ImpersonationWithoutUser,
  InvalidBase64,
  InvalidServer,
  KubeConfigError,
  NoCurrentContext,
  ReferenceNotFound
} from "../KubeConfigError.ts"
import type { KubeConfigErrorReason, Place } from "../KubeConfigError.ts"
import * as Proxy from "../Proxy.ts"
import { programName } from "./kubeConfigReference.ts"

/** A text that a kubeconfig holds, or the path of a file that does, relative to the kubeconfig. */
export type Source =
  & { readonly place: Place }
  & ({ readonly text: Redacted.Redacted } | { readonly path: string })

/** Who is asking, with files still to be read. */
export interface Identity {
  readonly token?: Redacted.Redacted | undefined
  readonly tokenFile?: { readonly place: Place; readonly path: string } | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly certificate?: { readonly cert: Source; readonly key: Source } | undefined
  readonly impersonate?: Impersonation | undefined
}

/** Everything that a context says. */
export interface Plan {
  readonly contextName: string
  readonly clusterName: string
  readonly userName: string | undefined
  readonly namespace: string | undefined
  readonly url: URL
  /** Absent for plain HTTP. */
  readonly tls:
    | {
      readonly ca: Source | undefined
      readonly serverName: string | undefined
      readonly insecureSkipVerify: boolean
    }
    | undefined
  readonly proxy: ProxyEndpoint | undefined
  readonly identity: Identity
}

type Checked<A> = Result.Result<A, KubeConfigError>

const fail = (reason: KubeConfigErrorReason): Checked<never> => Result.fail(new KubeConfigError({ reason }))

const placeOf = (
  list: "clusters" | "contexts" | "users",
  entry: { readonly name: string; readonly file: string },
  key?: string
): Place => ({
  file: entry.file,
  key: `${list}[${JSON.stringify(entry.name)}]${key === undefined ? "" : `.${list.slice(0, -1)}.${key}`}`
})

const names = (entries: ReadonlyArray<{ readonly name: string }>): ReadonlyArray<string> =>
  entries.map((entry) => entry.name)

const chooseContext = (config: KubeConfig, asked: string | undefined): Checked<Context> => {
  const name = asked ?? config.currentContext
  if (config.clusters.length + config.contexts.length + config.users.length === 0 && name === undefined) {
    return fail(new Empty({ files: config.files }))
  }
  if (name === undefined) return fail(new NoCurrentContext({ files: config.files, contexts: names(config.contexts) }))
  const context = config.contexts.find((entry) => entry.name === name)
  return context === undefined
    ? fail(new ContextNotFound({ files: config.files, context: name, contexts: names(config.contexts) }))
    : Result.succeed(context)
}

const chooseCluster = (config: KubeConfig, context: Context): Checked<Cluster> => {
  const cluster = context.cluster === undefined
    ? undefined
    : config.clusters.find((entry) => entry.name === context.cluster)
  return cluster === undefined
    ? fail(
      new ReferenceNotFound({
        ...placeOf("contexts", context, "cluster"),
        list: "clusters",
        name: context.cluster,
        names: names(config.clusters)
      })
    )
    : Result.succeed(cluster)
}

// A context without a user is anonymous.
const chooseUser = (config: KubeConfig, context: Context): Checked<User | undefined> => {
  if (context.user === undefined) return Result.succeed(undefined)
  const user = config.users.find((entry) => entry.name === context.user)
  return user === undefined
    ? fail(
      new ReferenceNotFound({
        ...placeOf("contexts", context, "user"),
        list: "users",
        name: context.user,
        names: names(config.users)
      })
    )
    : Result.succeed(user)
}

const serverUrl = (cluster: Cluster): Checked<URL> => {
  const invalid = (problem: string): Checked<never> =>
    fail(new InvalidServer({ ...placeOf("clusters", cluster, "server"), problem }))
  const server = cluster.server
  if (server === undefined) return invalid("is not set")
  const shown = server.replace(/[?#].*$/s, "")
  if (!/^https?:\/\/[^/?#\\]/i.test(server)) {
    return invalid(`is "${shown}", which does not begin with https:// or http:// and a host`)
  }
  if (!URL.canParse(server)) return invalid(`is "${shown}", which is not a valid URL`)
  const url = new URL(server)
  if (url.username !== "" || url.password !== "") {
    return invalid("holds a user name or password, which belong into users (username, password)")
  }
  url.search = ""
  url.hash = ""
  url.pathname = url.pathname.replace(/\/+$/, "")
  return Result.succeed(url)
}

const plain = (value: Redacted.Redacted | undefined): string | undefined =>
  value === undefined ? undefined : Redacted.value(value)

const fromData = (place: Place, data: string): Checked<Source> =>
  Result.match(Base64.decodeString(data.replaceAll(/\s/g, "")), {
    onFailure: () => fail(new InvalidBase64(place)),
    onSuccess: (text) => Result.succeed({ place, text: Redacted.make(text) })
  })

/** `KEY-data` if it is set, or else the file of `KEY`. */
const source = (
  list: "clusters" | "users",
  entry: Cluster | User,
  key: string,
  path: string | undefined,
  data: string | undefined
): Checked<Source | undefined> => {
  if (data !== undefined) return fromData(placeOf(list, entry, `${key}-data`), data)
  return Result.succeed(path === undefined ? undefined : { place: placeOf(list, entry, key), path })
}

const tlsOf = (cluster: Cluster): Checked<Plan["tls"]> => {
  const rest = { serverName: cluster.tlsServerName, insecureSkipVerify: cluster.insecureSkipTlsVerify }
  if (cluster.insecureSkipTlsVerify) return Result.succeed({ ca: undefined, ...rest })
  return Result.map(
    source(
      "clusters",
      cluster,
      "certificate-authority",
      cluster.certificateAuthority,
      cluster.certificateAuthorityData
    ),
    (ca) => ({ ca, ...rest })
  )
}

const certificateOf = (user: User): Checked<Identity["certificate"]> =>
  Result.gen(function*() {
    const cert = yield* source(
      "users",
      user,
      "client-certificate",
      plain(user.clientCertificate),
      user.clientCertificateData
    )
    // A key alone identifies nobody; client-go passes over it.
    if (cert === undefined) return undefined
    const key = yield* source("users", user, "client-key", plain(user.clientKey), plain(user.clientKeyData))
    if (key === undefined) return yield* fail(new CertificateWithoutKey(placeOf("users", user)))
    return { cert, key }
  })

const impersonationOf = (user: User): Checked<Impersonation | undefined> => {
  const without = [
    ...(user.asUid === undefined ? [] : ["as-uid"]),
    ...(user.asGroups.length === 0 ? [] : ["as-groups"]),
    ...(Object.keys(user.asUserExtra).length === 0 ? [] : ["as-user-extra"])
  ]
  if (user.as === undefined) {
    return without.length === 0
      ? Result.succeed(undefined)
      : fail(new ImpersonationWithoutUser({ ...placeOf("users", user), keys: without }))
  }
  return Result.succeed({ user: user.as, uid: user.asUid, groups: user.asGroups, extra: user.asUserExtra })
}

const checkConflicts = (user: User): Checked<void> => {
  const token = user.token === undefined ? user.tokenFile === undefined ? undefined : "tokenFile" : "token"
  const basic = user.username === undefined ? user.password === undefined ? undefined : "password" : "username"
  const keys = token !== undefined && basic !== undefined
    ? [token, basic]
    : user.exec !== undefined && user.authProvider !== undefined
    ? ["exec", "auth-provider"]
    : []
  return keys.length === 0
    ? Result.succeed(undefined)
    : fail(new ConflictingKeys({ ...placeOf("users", user), keys }))
}

const identityOf = (user: User, secure: boolean): Checked<Identity> =>
  Result.gen(function*() {
    yield* checkConflicts(user)
    const impersonate = yield* impersonationOf(user)
    // client-go sends no credentials over plain HTTP.
    if (!secure) return { impersonate }
    const certificate = yield* certificateOf(user)
    const tokenFile = user.tokenFile === undefined
      ? undefined
      : { place: placeOf("users", user, "tokenFile"), path: Redacted.value(user.tokenFile) }
    const { password, token, username } = user
    // A plugin is asked only when nothing else says who the user is.
    if (certificate === undefined && tokenFile === undefined && token === undefined && username === undefined) {
      if (user.exec !== undefined) {
        const command = programName(Redacted.value(user.exec.command))
        return yield* fail(new ExecUnsupported({ ...placeOf("users", user), command }))
      }
      if (user.authProvider !== undefined) {
        return yield* fail(new AuthProviderRemoved({ ...placeOf("users", user), provider: user.authProvider.name }))
      }
    }
    return { token, tokenFile, username, password, certificate, impersonate }
  })

/** What the context of a name, or the current one, says. */
export const plan = (config: KubeConfig, contextName: string | undefined): Checked<Plan> =>
  Result.gen(function*() {
    const context = yield* chooseContext(config, contextName)
    const cluster = yield* chooseCluster(config, context)
    const user = yield* chooseUser(config, context)
    const url = yield* serverUrl(cluster)
    const proxyPlace = placeOf("clusters", cluster, "proxy-url")
    const proxy = cluster.proxyUrl === undefined
      ? undefined
      : yield* Proxy.parse(Redacted.value(cluster.proxyUrl), `${proxyPlace.key} in ${proxyPlace.file}`)
    const secure = url.protocol === "https:"
    return {
      contextName: context.name,
      clusterName: cluster.name,
      userName: user?.name,
      namespace: context.namespace,
      url,
      tls: secure ? yield* tlsOf(cluster) : undefined,
      proxy,
      identity: user === undefined ? {} : yield* identityOf(user, secure)
    }
  })
