/**
 * The API server without sockets: a `Handler`, and what stands behind it. `TestCluster` puts it on the network; a
 * transport in memory may drive it directly.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Faults from "./Faults.ts"
import * as RequestLog from "./RequestLog.ts"
import { resources as builtInResources } from "./schemas/resources.ts"
import * as Authentication from "./server/Authentication.ts"
import * as Authorization from "./server/Authorization.ts"
import type { Handler } from "./server/Exchange.ts"
import * as Middlewares from "./server/Middlewares.ts"
import * as RequestInfo from "./server/RequestInfo.ts"
import * as Respond from "./server/Respond.ts"
import * as Router from "./server/Router.ts"
import type * as Subresources from "./server/Subresources.ts"
import * as Watches from "./server/Watches.ts"
import * as Cursor from "./store/Cursor.ts"
import * as Registry from "./store/Registry.ts"
import * as ResourceRow from "./store/ResourceRow.ts"
import * as Store from "./store/Store.ts"

/** Somebody the server knows. Members of `system:masters` may everything, others what their rules say. */
export interface User {
  readonly name: string
  readonly groups?: ReadonlyArray<string> | undefined
  readonly rules?: ReadonlyArray<Authorization.Rule> | undefined
  /** The bearer token by which the server knows them. */
  readonly token: string
}

/** What a node plugs in: it runs the pods that the server only keeps. */
export interface NodeParts {
  /** Handlers by name: `pods/exec`, `pods/log`. */
  readonly subresources: Subresources.Subresources
}

/** What a node sees of the server. */
export interface NodeContext {
  readonly registry: Registry.Registry
  /** The row of pods, for references to them. */
  readonly podRow: ResourceRow.ResourceRow
  /** The pods there are, as `ADDED`, and every change of one from then on. Ends with the scope that runs it. */
  readonly pods: Stream.Stream<Store.StoreEvent>
}

/**
 * Builds a node. It runs in the scope of the server: fork there what follows `pods`, starts containers, writes statuses
 * (`registry.update` with part `status`), and lets deleted pods go (`registry.remove` with a grace of 0).
 */
export type MakeNode = (context: NodeContext) => Effect.Effect<NodeParts, never, Scope.Scope>

/** What `make` takes. */
export interface Options {
  readonly users?: ReadonlyArray<User> | undefined
  /** What `/version` says, such as `1.34.4`. */
  readonly version?: string | undefined
  readonly node?: MakeNode | undefined
  /** How many changes are kept for watches and earlier versions; 10,000 by default. */
  readonly history?: number | undefined
  /** Milliseconds between the bookmarks of a watch; a minute by default. */
  readonly bookmarkIntervalMillis?: number | undefined
  /** How a watch from a forgotten version is refused: with an `ERROR` event, as by default, or with the HTTP status 410. */
  readonly expiredWatch?: "event" | "status" | undefined
}

/** The server. */
export interface ApiServer {
  readonly handler: Handler
  readonly registry: Registry.Registry
  readonly faults: Faults.Faults
  readonly requests: RequestLog.RequestLog
  readonly watches: Omit<Watches.Watches, "open">
  /** Knows the user of a token by another one from now on, and refuses the former; nothing where that is not known. */
  readonly replaceToken: (former: string, token: string) => Effect.Effect<void>
  /** Forgets the past: watches, exact lists and continue tokens of earlier versions answer 410 from now on. */
  readonly expireVersions: Effect.Effect<void>
}

const defaultVersion = "1.34.4"

const versionDocument = (version: string) => {
  const [major = "1", minor = "34"] = version.split(".")
  return {
    major,
    minor,
    gitVersion: `v${version}`,
    gitCommit: "0000000000000000000000000000000000000000",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "go1.24.0",
    compiler: "gc",
    platform: "linux/amd64"
  }
}

const namespaces = ["default", "kube-node-lease", "kube-public", "kube-system"]

/** Builds a server with the namespaces of a new cluster. The scope ends what its node runs. */
export const make = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<ApiServer, never, Scope.Scope> {
  const users = options.users ?? []
  const store = Store.make({ history: options.history })
  const catalogue = ResourceRow.catalogue(builtInResources)
  const registry = Registry.make(store, catalogue)
  const watches = Watches.make(store, { bookmarkIntervalMillis: options.bookmarkIntervalMillis })
  const authenticator = Authentication.make(
    new Map(users.map(({ groups = [], name, token }) => [token, { name, groups }]))
  )
  const authorizer = Authorization.make(
    new Map(users.map(({ name, rules = [] }) => [name, rules]))
  )
  yield* createNamespaces(registry)
  const podRow = rowOf(catalogue, "pods")
  const node = options.node === undefined
    ? noNode
    : yield* options.node({ registry, podRow, pods: Cursor.follow(store, ResourceRow.collection(podRow)) })

  const parts: Router.Parts = {
    resources: { registry, watches, expiredWatch: options.expiredWatch ?? "event" },
    authenticator,
    authorizer,
    subresources: node.subresources,
    version: versionDocument(options.version ?? defaultVersion)
  }
  const { log, middleware: logged } = RequestLog.make(authenticator.identify)
  const { faults, middleware: faulty } = Faults.make(authenticator.identify)
  return {
    // From the inside out: the log is written of everything, faults answer as nobody else would.
    handler: [Middlewares.recovered, Middlewares.audited, Middlewares.compressed, faulty, logged].reduce(
      (next, middleware) => middleware(next),
      route(parts)
    ),
    registry,
    faults,
    requests: log,
    watches,
    replaceToken: (former, token) => Effect.sync(() => authenticator.replaceToken(former, token)),
    expireVersions: Effect.sync(store.compact)
  }
})

const noNode: NodeParts = { subresources: new Map() }

// What every server has.
const rowOf = (catalogue: ResourceRow.Catalogue, plural: string): ResourceRow.ResourceRow => {
  const row = catalogue.find("", "v1", plural)
  if (row === undefined) throw new Error(`the built-in resources lack ${plural}`)
  return row
}

const createNamespaces = (registry: Registry.Registry): Effect.Effect<void> =>
  Effect.forEach(
    namespaces,
    (name) => Effect.orDie(registry.create(rowOf(registry.catalogue, "namespaces"), undefined, { metadata: { name } })),
    { discard: true }
  )

// Authenticates, lets the one who asks act as another, authorises, and answers. Failures and defects become answers.
const route = (parts: Router.Parts): Handler => (original) =>
  Effect.suspend(() => {
    const known = parts.authenticator.identify(original)
    if (known === undefined) return Effect.succeed(Authentication.refused)
    const request = Authentication.withoutToken(original)
    const acting = Authentication.impersonate(known, request, parts.authorizer)
    if (Result.isFailure(acting)) return Effect.succeed(acting.failure)
    const info = RequestInfo.parse(request)
    const denied = parts.authorizer.check(acting.success, info)
    const answer = denied === undefined ? Router.handle(parts, request, info, acting.success) : Effect.fail(denied)
    return Effect.catch(answer, (failure) => Effect.succeed(Respond.failure(failure)))
  })
