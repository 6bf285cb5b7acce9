/**
 * A Kubernetes API server in this process, which unmodified kubectl can talk to.
 *
 * It listens on the loopback only, on a port of its own, and answers nobody without its random token or a certificate
 * of its own authority. Its pods are local processes: it runs commands on this machine (see `pods/LocalNode`). All of it
 * ends with its scope: sockets, watches, timers, processes, directories.
 */
import * as Credentials from "@effect-k8s/core/Credentials"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as ApiServer from "./ApiServer.ts"
import * as Kubeconfig from "./Kubeconfig.ts"
import * as Era from "./pods/Era.ts"
import * as LocalNode from "./pods/LocalNode.ts"
import type { Rule } from "./server/Authorization.ts"
import * as Certificates from "./server/Certificates.ts"
import * as HttpFrontend from "./server/HttpFrontend.ts"
import * as RequestInfo from "./server/RequestInfo.ts"

/** Somebody besides the administrator, with a token of their own and a context of their name in the kubeconfig. */
export interface User {
  readonly name: string
  readonly groups?: ReadonlyArray<string> | undefined
  /** What they may do. Discovery and questions about themselves are allowed to everybody. */
  readonly rules: ReadonlyArray<Rule>
}

/** What `make` takes. */
export interface Options extends Omit<ApiServer.Options, "users"> {
  readonly users?: ReadonlyArray<User> | undefined
  /** Whether to speak TLS, as by default. kubectl sends no credentials without, so it cannot use such a cluster. */
  readonly tls?: boolean | undefined
  readonly host?: "127.0.0.1" | "::1" | undefined
  /** How pods are run. With `false` they are not: they stay pending, for a test to write their statuses. */
  readonly pods?: LocalNode.Options | false | undefined
}

/** What a running cluster offers, besides what its API server does. */
export interface Service extends Omit<ApiServer.ApiServer, "replaceToken"> {
  readonly url: URL
  /** PEM text of the authority that signed the server's certificate. */
  readonly ca: string
  /** The administrator's token at the moment. */
  readonly token: Redacted.Redacted
  /**
   * Gives a user another token; the administrator unless told. The former one is refused with 401 from then on, while what
   * was opened with it goes on, as on real servers. Clients are not told: write it where they read it. A user that is not
   * there is a defect.
   */
  readonly rotateToken: (user?: string) => Effect.Effect<Redacted.Redacted>
  /** The administrator's certificate: user `admin`, group `system:masters`. */
  readonly clientCertificate: Certificates.Identity
  /** Makes a certificate for somebody. What they may do goes by the name. */
  readonly issueCertificate: (user: string, groups: ReadonlyArray<string>) => Effect.Effect<Certificates.Identity>
  /** What runs in the pods, and what goes wrong with their execs. */
  readonly pods: LocalNode.Pods
  /** Where the cluster is, for a transport. */
  readonly endpoint: Endpoint
  /**
   * The kubeconfig, with the contexts `admin` (certificate, current), `admin-token`, and one by token for each other
   * user. It holds secrets.
   */
  readonly kubeconfig: () => Kubeconfig.Kubeconfig
  /** The same as text, for a file. */
  readonly kubeconfigText: () => string
  /** Open sockets and exchanges, and the connections since the start. */
  readonly stats: Effect.Effect<HttpFrontend.Stats>
  /** Cuts every connection. */
  readonly disconnect: Effect.Effect<void>
}

/** A Kubernetes API server in this process. */
export class TestCluster extends Context.Service<TestCluster, Service>()("@effect-k8s/testing/TestCluster") {}

const administrator = "admin"
const masters = "system:masters"

const randomToken = Effect.sync(() => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url"))

/**
 * Starts a cluster, in about 10 ms. The scope ends it within milliseconds.
 *
 * @example
 * ```ts
 * import * as Faults from "@effect-k8s/testing/Faults"
 * import * as TestCluster from "@effect-k8s/testing/TestCluster"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const cluster = yield* TestCluster.make({
 *     users: [{ name: "reader", rules: [{ verbs: ["get", "list"], resources: ["pods"] }] }]
 *   })
 *   yield* cluster.faults.inject({ verb: "list", resource: "pods" }, Faults.tooManyRequests(1))
 *   return cluster.kubeconfig().contexts.map((context) => context.name)
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => ["admin", "admin-token", "reader"]
 * ```
 */
export const make = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<Service, never, Scope.Scope> {
  const withToken = <A extends object>(user: A): Effect.Effect<A & { token: string }> =>
    Effect.map(randomToken, (token) => ({ ...user, token }))
  const admin = yield* withToken({ name: administrator, groups: [masters] })
  const users = yield* Effect.forEach(options.users ?? [], withToken)
  const pods = yield* LocalNode.make(options.pods === false ? {} : options.pods)
  const { replaceToken, ...apiServer } = yield* ApiServer.make({
    ...options,
    version: options.version ?? Era.facts[pods.era].version,
    node: options.node ?? (options.pods === false ? undefined : pods.node),
    users: [admin, ...users]
  })
  const authority = yield* Certificates.make
  const identity = yield* authority.issueServer(["localhost", "127.0.0.1", "::1"])
  const clientCertificate = yield* authority.issueClient(administrator, [masters])
  const tls = options.tls === false ? undefined : { identity, clientAuthority: authority.cert }
  const frontend = yield* HttpFrontend.make({
    handler: apiServer.handler,
    streams: RequestInfo.isProxied,
    tls,
    host: options.host
  })

  const ca = tls === undefined ? undefined : authority.cert
  const byToken = (name: string, token: string): Kubeconfig.ContextOptions => ({
    name,
    credential: { _tag: "Token", token: Redacted.make(token) }
  })
  const kubeconfig = (): Kubeconfig.Kubeconfig =>
    Kubeconfig.make({
      server: frontend.url,
      ca,
      contexts: [
        { name: administrator, credential: { _tag: "Certificate", identity: clientCertificate } },
        byToken(`${administrator}-token`, admin.token),
        ...users.map((user) => byToken(user.name, user.token))
      ]
    })
  const rotateToken = Effect.fnUntraced(function*(
    name?: string
  ): Effect.fn.Return<Redacted.Redacted> {
    const user = name === undefined ? admin : users.find((user) => user.name === name)
    if (user === undefined) return yield* Effect.die(new Error(`the cluster has no user ${name}`))
    const token = yield* randomToken
    yield* replaceToken(user.token, token)
    user.token = token
    return Redacted.make(token)
  })
  return {
    ...apiServer,
    url: frontend.url,
    ca: authority.cert,
    get token() {
      return Redacted.make(admin.token)
    },
    rotateToken,
    clientCertificate,
    issueCertificate: authority.issueClient,
    pods,
    endpoint: { url: frontend.url, ...(ca === undefined ? {} : { tls: { ca } }) },
    kubeconfig,
    kubeconfigText: () => Kubeconfig.toText(kubeconfig()),
    stats: frontend.stats,
    disconnect: frontend.disconnect
  }
})

/** A cluster as a layer. */
export const layer = (options: Options = {}): Layer.Layer<TestCluster> => Layer.effect(TestCluster, make(options))

/**
 * A cluster, and its administrator's client: the one layer that a test needs beside its runtime's transports.
 *
 * @example
 * ```ts
 * import * as Api from "@effect-k8s/core/Api"
 * import { ConfigMap } from "@effect-k8s/core/apis/core/v1"
 * import * as NodeKube from "@effect-k8s/node/NodeKube"
 * import * as TestCluster from "@effect-k8s/testing/TestCluster"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const program = Effect.gen(function*() {
 *   const settings = yield* Api.make(ConfigMap).create({ metadata: { name: "settings" }, data: { colour: "blue" } })
 *   const cluster = yield* TestCluster.TestCluster
 *   return [settings.data?.colour, yield* cluster.requests.count({ verb: "create" })]
 * })
 * const layer = Layer.provideMerge(TestCluster.layerClient(), NodeKube.layerServices)
 * await Effect.runPromise(Effect.provide(program, layer)) // => ["blue", 1]
 * ```
 */
export const layerClient = (
  options: Options = {}
): Layer.Layer<TestCluster | KubeClient.KubeClient, never, Platform> =>
  Layer.provideMerge(
    Layer.unwrap(Effect.map(TestCluster, ({ endpoint, token }) =>
      KubeClient.layerEndpoint(endpoint, { credentials: Credentials.make({ token }) }))),
    layer(options)
  )
