/**
 * Kubeconfig files and the in-cluster configuration, read as kubectl reads them.
 *
 * `loadDefault` is what a program needs; `load`, `merge` and `resolve` are its steps. Environment variables are read
 * through the `ConfigProvider`. Nothing is ever written.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Credentials from "./Credentials.ts"
import type { ClientCertificate, Endpoint } from "./Endpoint.ts"
import { variable } from "./internal/environment.ts"
import * as KubeConfigFile from "./internal/kubeConfigFile.ts"
import * as KubeConfigRules from "./internal/kubeConfigRules.ts"
import { isMissing, locate, readPem, readText } from "./internal/referencedFile.ts"
import {
  FileMissing,
  FileUnreadable,
  InvalidServer,
  KubeConfigError,
  NoConfiguration,
  NotInCluster,
  ReferencedFileUnreadable
} from "./KubeConfigError.ts"
import type { Place } from "./KubeConfigError.ts"

/** A context: a cluster, a user and a namespace. */
export interface Context {
  readonly name: string
  /** The file it comes from. */
  readonly file: string
  readonly cluster?: string | undefined
  readonly user?: string | undefined
  readonly namespace?: string | undefined
}

/** A cluster, as its file has it: data in base64, paths relative to the file. */
export interface Cluster {
  readonly name: string
  readonly file: string
  readonly server?: string | undefined
  readonly certificateAuthority?: string | undefined
  readonly certificateAuthorityData?: string | undefined
  readonly insecureSkipTlsVerify: boolean
  readonly tlsServerName?: string | undefined
  /** Redacted, because it may hold a password. */
  readonly proxyUrl?: Redacted.Redacted | undefined
}

/**
 * A user, as its file has it: data in base64, paths relative to the file. Paths of what is secret are `Redacted`, because
 * a key or token put there by mistake must not be printed.
 */
export interface User {
  readonly name: string
  readonly file: string
  readonly clientCertificate?: Redacted.Redacted | undefined
  readonly clientCertificateData?: string | undefined
  readonly clientKey?: Redacted.Redacted | undefined
  readonly clientKeyData?: Redacted.Redacted | undefined
  readonly token?: Redacted.Redacted | undefined
  readonly tokenFile?: Redacted.Redacted | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly as?: string | undefined
  readonly asUid?: string | undefined
  readonly asGroups: ReadonlyArray<string>
  readonly asUserExtra: Readonly<Record<string, ReadonlyArray<string>>>
  /** A credential plugin. Not supported yet: `resolve` fails with `ExecUnsupported`. */
  readonly exec?: { readonly command: Redacted.Redacted } | undefined
  /** The form that came before plugins. `resolve` fails with `AuthProviderRemoved`. */
  readonly authProvider?: { readonly name: string } | undefined
}

/** One kubeconfig file, or several merged. Secrets are `Redacted`; printing it shows none. */
export interface KubeConfig {
  /** The files it comes from. */
  readonly files: ReadonlyArray<string>
  readonly currentContext?: string | undefined
  readonly contexts: ReadonlyArray<Context>
  readonly clusters: ReadonlyArray<Cluster>
  readonly users: ReadonlyArray<User>
}

/** A cluster that can be connected to, and as whom. The names are absent in a pod, and where a context has no user. */
export interface Resolved {
  /** Without a `proxy` unless the kubeconfig has one: see `Proxy.fromEnvironment`. */
  readonly endpoint: Endpoint
  /** The namespace that requests without one are for. */
  readonly namespace: string
  readonly contextName?: string | undefined
  readonly clusterName?: string | undefined
  readonly userName?: string | undefined
  readonly credentials: Credentials.Credentials["Service"]
}

/**
 * Reads the text of a kubeconfig: YAML or JSON, with a byte order mark or CRLF if it has them. Of several documents the
 * first counts, as for kubectl; a text without content is a kubeconfig without entries. Unknown keys are passed over.
 *
 * `file` stands in messages, and paths of the kubeconfig are relative to its directory. A value is checked when it is
 * used (`resolve`), so that an error in one cluster does not take the others away.
 *
 * Fails with `NotYaml`, `NotKubeConfig`, and with `DuplicateName` as client-go does.
 *
 * @example
 * ```ts
 * import * as KubeConfig from "@effect-k8s/core/KubeConfig"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const config = yield* KubeConfig.parse("current-context: prod", "/home/jane/.kube/config")
 *   return config.currentContext // => "prod"
 * })
 * ```
 */
export const parse = (text: string, file: string): Effect.Effect<KubeConfig, KubeConfigError> =>
  Effect.fromResult(KubeConfigFile.decode(text, file))

const firstOfEachName = <A extends { readonly name: string }>(entries: ReadonlyArray<A>): ReadonlyArray<A> => {
  const byName = new Map<string, A>()
  for (const entry of entries) if (!byName.has(entry.name)) byName.set(entry.name, entry)
  return Array.from(byName.values())
}

/**
 * Several kubeconfigs as one. For each name, and for the current context, the first to set it wins; entries are taken
 * whole, never mixed.
 */
export const merge = (configs: ReadonlyArray<KubeConfig>): KubeConfig => ({
  files: Array.from(new Set(configs.flatMap((config) => config.files))),
  currentContext: configs.find((config) => config.currentContext !== undefined)?.currentContext,
  contexts: firstOfEachName(configs.flatMap((config) => config.contexts)),
  clusters: firstOfEachName(configs.flatMap((config) => config.clusters)),
  users: firstOfEachName(configs.flatMap((config) => config.users))
})

// PowerShell writes UTF-16 when output is redirected.
const decodeText = (bytes: Uint8Array): string => {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe
    ? "utf-16le"
    : bytes[0] === 0xfe && bytes[1] === 0xff
    ? "utf-16be"
    : "utf-8"
  return new TextDecoder(encoding).decode(bytes)
}

/** One file, or `undefined` if it does not exist. */
const readFile = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<KubeConfig | undefined, KubeConfigError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* fs.readFile(file).pipe(
    Effect.catchIf(isMissing, () => Effect.undefined),
    Effect.mapError((cause) => new KubeConfigError({ reason: new FileUnreadable({ file, cause }) }))
  )
  return bytes === undefined ? undefined : yield* parse(decodeText(bytes), file)
})

/** All of the files that exist. */
const readFiles = Effect.fnUntraced(function*(
  files: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<KubeConfig>, KubeConfigError, FileSystem.FileSystem> {
  const configs = yield* Effect.forEach(files, readFile)
  return configs.filter((config) => config !== undefined)
})

type Places = Pick<NoConfiguration, "files" | "source">

/** The files that kubectl would look for: `KUBECONFIG`, or `.kube/config` in the home directory. */
const defaultPlaces = Effect.gen(function*() {
  const path = yield* Path.Path
  const windows = path.sep === "\\"
  const list = yield* variable("KUBECONFIG")
  if (list !== undefined) {
    const files = list.split(windows ? ";" : ":").filter((file) => file !== "").map((file) => path.resolve(file))
    return { files: Array.from(new Set(files)), source: "KUBECONFIG" as const }
  }
  const homes = [yield* variable("HOME")]
  if (windows) {
    const drive = yield* variable("HOMEDRIVE")
    const home = yield* variable("HOMEPATH")
    homes.push(drive === undefined || home === undefined ? undefined : `${drive}${home}`)
    homes.push(yield* variable("USERPROFILE"))
  }
  const files = homes.filter((home) => home !== undefined).map((home) => path.join(home, ".kube", "config"))
  return { files: Array.from(new Set(files)), source: "home" as const }
})

/** The first that exists of the home directories' kubeconfigs, or all of `KUBECONFIG`. */
const readPlaces = Effect.fnUntraced(function*(
  places: Places
): Effect.fn.Return<ReadonlyArray<KubeConfig>, KubeConfigError, FileSystem.FileSystem> {
  if (places.source === "KUBECONFIG") return yield* readFiles(places.files)
  for (const file of places.files) {
    const config = yield* readFile(file)
    if (config !== undefined) return [config]
  }
  return []
})

/** Which files to read. */
export interface LoadOptions {
  /** These files, instead of those of `KUBECONFIG` or the one in the home directory. */
  readonly files?: ReadonlyArray<string> | undefined
}

/**
 * Reads and merges kubeconfig files: those named, or else the list in `KUBECONFIG`, or else `~/.kube/config`. Of
 * several files some may be missing.
 *
 * Fails with `FileMissing` or `NoConfiguration` when all are missing, with `FileUnreadable`, and as `parse` does.
 */
export const load = Effect.fnUntraced(function*(
  options: LoadOptions = {}
): Effect.fn.Return<KubeConfig, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  if (options.files !== undefined) {
    const files = options.files.map((file) => path.resolve(file))
    const configs = yield* readFiles(files)
    if (configs.length > 0) return merge(configs)
    const [file] = files
    return yield* new KubeConfigError({
      reason: file !== undefined && files.length === 1
        ? new FileMissing({ file })
        : new NoConfiguration({ files, source: "options" })
    })
  }
  const places = yield* defaultPlaces
  const configs = yield* readPlaces(places)
  if (configs.length > 0) return merge(configs)
  return yield* new KubeConfigError({ reason: new NoConfiguration(places) })
})

const readCertificate = Effect.fnUntraced(function*(
  certificate: NonNullable<KubeConfigRules.Identity["certificate"]>
): Effect.fn.Return<ClientCertificate, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const cert = yield* readPem(certificate.cert, "CERTIFICATE")
  return { cert, key: Redacted.make(yield* readPem(certificate.key, "PRIVATE KEY")) }
})

/** What goes with requests, and a certificate that stays as it is. */
const makeAuthorisation = Effect.fnUntraced(function*(
  identity: KubeConfigRules.Identity,
  clientCertificate: ClientCertificate | undefined
): Effect.fn.Return<Credentials.Credentials["Service"], KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const { impersonate, password, token, tokenFile, username } = identity
  const fixed = Credentials.make({ token, username, password, clientCertificate, impersonate })
  if (tokenFile === undefined) return fixed
  if (token === undefined) yield* readText(tokenFile.place, tokenFile.path)
  const fromFile = yield* Credentials.fromTokenFile(yield* locate(tokenFile.place, tokenFile.path), {
    clientCertificate,
    impersonate
  })
  if (token === undefined) return fromFile
  // client-go sends what the file holds, and falls back to the token while the file cannot be read.
  return {
    ...fromFile,
    authorize: (request) => Effect.catch(fromFile.authorize(request), () => fixed.authorize(request))
  }
})

/** What a user authorises requests with, and presents to servers. Files are read at once, to tell of those that cannot be. */
const makeCredentials = Effect.fnUntraced(function*(
  identity: KubeConfigRules.Identity
): Effect.fn.Return<Credentials.Credentials["Service"], KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const { certificate } = identity
  if (certificate === undefined) return yield* makeAuthorisation(identity, undefined)
  const clientCertificate = yield* readCertificate(certificate)
  const { cert, key } = certificate
  // As in client-go, where one of the two is data, neither is read again.
  if (!("path" in cert) || !("path" in key)) return yield* makeAuthorisation(identity, clientCertificate)
  return yield* Credentials.withCertificateFiles(yield* makeAuthorisation(identity, undefined), {
    cert: yield* locate(cert.place, cert.path),
    key: yield* locate(key.place, key.path)
  })
})

/** Where the in-cluster configuration is. */
export interface InClusterOptions {
  /** The directory of the service account. Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccount?: string | undefined
}

/** Where pods have their service account. */
const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

/** What was found of the in-cluster configuration. */
interface InCluster {
  readonly host: string | undefined
  readonly port: string | undefined
  readonly files: { readonly token: string; readonly ca: string; readonly namespace: string }
  /** What is missing for it to be one. */
  readonly missing: ReadonlyArray<string>
}

const findInCluster = Effect.fnUntraced(function*(
  serviceAccount: string | undefined
): Effect.fn.Return<InCluster, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = serviceAccount ?? serviceAccountDirectory
  const files = {
    token: path.join(directory, "token"),
    ca: path.join(directory, "ca.crt"),
    namespace: path.join(directory, "namespace")
  }
  const host = yield* variable("KUBERNETES_SERVICE_HOST")
  const port = yield* variable("KUBERNETES_SERVICE_PORT")
  // One that is there but may not be looked at is told when it is read, with what it takes to be permitted.
  const hasToken = yield* Effect.match(fs.stat(files.token), {
    onSuccess: (info) => info.type !== "Directory",
    onFailure: (cause) => !isMissing(cause)
  })
  const missing = [
    ...(host === undefined ? ["KUBERNETES_SERVICE_HOST"] : []),
    ...(port === undefined ? ["KUBERNETES_SERVICE_PORT"] : []),
    ...(hasToken ? [] : [files.token])
  ]
  return { host, port, files, missing }
})

/**
 * The namespace that a context of a kubeconfig means which names none: that of the pod, as for kubectl, or `default`. What
 * cannot be read for it is not there: who has a kubeconfig needs none of it.
 */
const namespaceOfPod = (
  serviceAccount: string | undefined
): Effect.Effect<string, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    // First, so that a runtime with permissions asks for none of its files outside of a pod.
    if ((yield* variable("KUBERNETES_SERVICE_HOST")) === undefined) return ""
    const { files, missing } = yield* findInCluster(serviceAccount)
    if (missing.length > 0) return ""
    const fs = yield* FileSystem.FileSystem
    return (yield* variable("POD_NAMESPACE")) ?? (yield* fs.readFileString(files.namespace)).trim()
  }).pipe(
    Effect.orElseSucceed(() => ""),
    Effect.map((namespace) => namespace === "" ? "default" : namespace)
  )

/** Which context to use. */
export interface ResolveOptions extends InClusterOptions {
  /** Instead of the current context. */
  readonly context?: string | undefined
}

/**
 * What to connect to and as whom, for the current context of a kubeconfig or the one named. Reads the certificate and
 * key files that the context needs.
 *
 * - `*-data` wins over the file of the same key; `insecure-skip-tls-verify` drops the certificate authority.
 * - A `tokenFile` is read again as it changes; a `token` beside it serves while the file cannot be read.
 * - So are a `client-certificate` and its `client-key`, where both are files: see `Credentials.withCertificateFiles`.
 * - Over plain HTTP no credentials are sent, only the headers of an impersonation, as kubectl does.
 * - The URL keeps its path, without a slash at the end.
 * - A context without a namespace means `default`; in a pod that of the pod, by `POD_NAMESPACE` or its service account.
 *
 * Fails when the context does not exist or is incomplete, a file is missing, or a value cannot be used.
 */
export const resolve = Effect.fnUntraced(function*(
  config: KubeConfig,
  options: ResolveOptions = {}
): Effect.fn.Return<Resolved, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const plan = yield* Effect.fromResult(KubeConfigRules.plan(config, options.context))
  const ca = plan.tls?.ca && (yield* readPem(plan.tls.ca, "CERTIFICATE"))
  return {
    endpoint: { url: plan.url, tls: plan.tls && { ...plan.tls, ca }, proxy: plan.proxy },
    namespace: plan.namespace ?? (yield* namespaceOfPod(options.serviceAccount)),
    contextName: plan.contextName,
    clusterName: plan.clusterName,
    userName: plan.userName,
    credentials: yield* makeCredentials(plan.identity)
  }
})

const inClusterPlace = (key: string): Place => ({ file: "the in-cluster configuration", key })

const resolveInCluster = Effect.fnUntraced(function*(
  { files, host = "", missing, port }: InCluster
): Effect.fn.Return<Resolved, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  if (missing.length > 0) return yield* new KubeConfigError({ reason: new NotInCluster({ missing }) })
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`
  if (!URL.canParse(server)) {
    return yield* new KubeConfigError({
      reason: new InvalidServer({
        ...inClusterPlace("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT"),
        problem: `give "${server}", which is not a valid URL`
      })
    })
  }
  yield* readText(inClusterPlace("token"), files.token)
  // Without the file the runtime's trust store decides, as in client-go.
  const hasCa = yield* Effect.orElseSucceed(fs.exists(files.ca), () => true)
  const ca = hasCa
    ? yield* readPem({ place: inClusterPlace("certificate-authority"), path: files.ca }, "CERTIFICATE")
    : undefined
  const namespace = (yield* variable("POD_NAMESPACE")) ??
    (yield* Effect.catch(
      fs.readFileString(files.namespace),
      (cause) =>
        isMissing(cause) ? Effect.succeed("") : Effect.fail(
          new KubeConfigError({
            reason: new ReferencedFileUnreadable({ ...inClusterPlace("namespace"), path: files.namespace, cause })
          })
        )
    )).trim()
  return {
    endpoint: { url: new URL(server), tls: { ca } },
    namespace: namespace === "" ? "default" : namespace,
    credentials: yield* Credentials.fromTokenFile(files.token)
  }
})

/**
 * The configuration of a pod: the API server from `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, and the
 * token (read again as it is renewed), certificate authority and namespace of its service account. `POD_NAMESPACE` wins
 * over the namespace of the service account.
 *
 * Fails with `NotInCluster` when a variable or the token is missing.
 */
export const inCluster = Effect.fnUntraced(function*(
  options: InClusterOptions = {}
): Effect.fn.Return<Resolved, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  return yield* resolveInCluster(yield* findInCluster(options.serviceAccount))
})

/** What `loadDefault` takes. */
export interface DefaultOptions extends ResolveOptions {
  /** The only kubeconfig to use, as kubectl's `--kubeconfig`. */
  readonly file?: string | undefined
}

/**
 * What kubectl would connect to: the file named; or else the files of `KUBECONFIG`; or else `~/.kube/config`; or else,
 * when none of these exists or chooses a context, the in-cluster configuration.
 *
 * Fails with `NoConfiguration` when there is nothing, and as `load` and `resolve` do.
 *
 * @example
 * ```ts
 * import * as KubeConfig from "@effect-k8s/core/KubeConfig"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const { endpoint, namespace } = yield* KubeConfig.loadDefault({ context: "staging" })
 *   return `${endpoint.url} ${namespace}`
 * })
 * ```
 */
export const loadDefault = Effect.fnUntraced(function*(
  options: DefaultOptions = {}
): Effect.fn.Return<Resolved, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  if (options.file !== undefined) return yield* resolve(yield* load({ files: [options.file] }), options)
  const places = yield* defaultPlaces
  const configs = yield* readPlaces(places)
  const config = merge(configs)
  const pod = options.context === undefined && config.currentContext === undefined
    ? yield* findInCluster(options.serviceAccount)
    : undefined
  if (pod?.missing.length === 0) return yield* resolveInCluster(pod)
  if (configs.length > 0) return yield* resolve(config, options)
  return yield* new KubeConfigError({ reason: new NoConfiguration({ ...places, inCluster: pod?.missing }) })
})
