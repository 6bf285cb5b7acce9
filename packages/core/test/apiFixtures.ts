/** Objects and answers for tests of `Api`. */
import * as Api from "@effect-k8s/core/Api"
import { Pod, type PodResource } from "@effect-k8s/core/apis/core/v1"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import type * as KubeError from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Answer, clientOf, type Seen, serve } from "./scriptedServer.ts"

/** Runs with a client of a server that answers so; also what the server was asked. */
export const withServer = <A, E>(
  answer: Answer,
  run: Effect.Effect<A, E, KubeClient>
): Effect.Effect<{ readonly value: A; readonly seen: ReadonlyArray<Seen> }, E, Scope.Scope> =>
  Effect.gen(function*() {
    const server = serve(answer)
    const client = yield* clientOf(server, { namespace: "ctx" })
    return { value: yield* Effect.provideService(run, KubeClient, client), seen: server.seen }
  })

/** How it fails. */
export const failed = <A, R>(
  run: Effect.Effect<A, KubeError.KubeError, R>
): Effect.Effect<KubeError.KubeError, A, R> => Effect.flip(run)

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>

/** A pod as servers send it. */
export const pod = (name = "db-0", more: Json = {}): Json => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", uid: "u", resourceVersion: "5", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { containers: [] },
  ...more
})

/** A list of pods. */
export const list = (items: unknown, metadata: unknown = { resourceVersion: "9" }): Json => ({
  kind: "PodList",
  apiVersion: "v1",
  metadata,
  items
})

/** The answer to a delete. */
export const status: Json = {
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Success",
  details: { name: "db-0", uid: "u" }
}

/** The body of a request; nothing when it has none. */
export const parsed = (seen: Seen | undefined): unknown => seen?.body === undefined ? undefined : JSON.parse(seen.body)

/** The pods of a namespace, and their path. */
export const pods: Api.Api<PodResource> = Api.make(Pod, { namespace: "shop" })
export const base = "/api/v1/namespaces/shop/pods"
