/**
 * Kinds that a cluster has and the program does not know.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { KubeClient } from "./KubeClient.ts"
import type { KubeRequest } from "./KubeClient.ts"
import * as KubeError from "./KubeError.ts"
import * as Resource from "./Resource.ts"

/** A kind as objects name it. */
export interface Kind {
  /** `v1`, `cert-manager.io/v1`. */
  readonly apiVersion: string
  readonly kind: string
}

/**
 * Asks the cluster for the row of a kind: its plural name, its scope, its verbs and subresources. `Api.make` and
 * `Api.all` take it; a verb that the kind lacks is refused by the server, not by the types.
 *
 * Fails with `NotFound` when the cluster has no such group-version or no such kind.
 *
 * ```ts
 * const Certificate = yield* Discovery.find({ apiVersion: "cert-manager.io/v1", kind: "Certificate" })
 * const certificates = yield* Api.make(Certificate, { namespace: "shop" }).list()
 * ```
 */
export const find: (
  kind: Kind
) => Effect.Effect<Resource.Resource<Resource.UnstructuredResource>, KubeError.KubeError, KubeClient> = Effect
  .fnUntraced(function*({ apiVersion, kind }) {
    const client = yield* KubeClient
    const parts = apiVersion.split("/")
    const [version = "", group = ""] = parts.toReversed()
    const info: KubeRequest["info"] = { verb: "get", resource: `the resources of ${apiVersion}` }
    const fail = (reason: KubeError.KubeErrorReason) =>
      new KubeError.KubeError({ reason, request: { ...info, server: client.cluster.server } })
    if (parts.length > 2 || !parts.every(Resource.isName)) {
      return yield* fail(new KubeError.Encode({ description: `${JSON.stringify(apiVersion)} is no apiVersion` }))
    }
    const path = `/${group === "" ? "api" : `apis/${encodeURIComponent(group)}`}/${encodeURIComponent(version)}`
    const missing = (what: string) => {
      const status = { status: "Failure", message: `the cluster has no ${what}`, reason: "NotFound", code: 404 }
      return fail(new KubeError.NotFound({ status, code: 404 }))
    }
    const answer = yield* client.json({ method: "GET", path, info }).pipe(
      // Of a group that it does not have a server says so in plain text.
      Effect.mapError((error) =>
        error.reason._tag === "UnexpectedStatus" && error.reason.code === 404
          ? missing(`group-version ${apiVersion}`)
          : error
      )
    )
    const resources = listed(answer)
    const own = resources.find((one) => one.kind === kind && !one.name.includes("/"))
    if (own === undefined) {
      return yield* missing(`kind ${kind} in ${apiVersion}`)
    }
    const subresources = resources.filter(({ name }) => name.startsWith(`${own.name}/`)).map(
      ({ kind, name, verbs }) => {
        const sub = name.slice(own.name.length + 1)
        // What is no object of a known shape is not for `Api`: exec, proxy. Logs are text.
        const connects = sub !== "log" && (verbs.length === 0 || /Options$|^$/.test(kind) || connections.has(sub))
        return [sub, connects || sub === "log" ? Resource.connect : bits(verbs)] as const
      }
    )
    return {
      group,
      version,
      kind,
      plural: own.name,
      scope: own.namespaced ? "Namespaced" : "Cluster",
      verbs: bits(own.verbs),
      // The type has a status: where there is none, the server says so.
      subresources: { status: Resource.verbBits.get, ...Object.fromEntries(subresources) },
      listKind: `${kind}List`
    }
  })

const connections: ReadonlySet<string> = new Set(["attach", "exec", "portforward", "proxy"])

interface Listed {
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
  readonly verbs: ReadonlyArray<string>
}

/** The entries of an `APIResourceList` that are what they should be. */
const listed = (answer: unknown): ReadonlyArray<Listed> => {
  const resources = Predicate.hasProperty(answer, "resources") ? answer.resources : []
  return (Array.isArray(resources) ? resources : []).flatMap((one: unknown) =>
    Predicate.hasProperty(one, "name") && typeof one.name === "string" &&
      Predicate.hasProperty(one, "kind") && typeof one.kind === "string"
      ? [{
        name: one.name,
        kind: one.kind,
        namespaced: Predicate.hasProperty(one, "namespaced") && one.namespaced === true,
        verbs: Predicate.hasProperty(one, "verbs") && Array.isArray(one.verbs)
          ? one.verbs.filter((verb): verb is string => typeof verb === "string")
          : []
      }]
      : []
  )
}

const bits = (verbs: ReadonlyArray<string>): number =>
  Object.entries(Resource.verbBits).reduce((sum, [verb, bit]) => verbs.includes(verb) ? sum | bit : sum, 0)
