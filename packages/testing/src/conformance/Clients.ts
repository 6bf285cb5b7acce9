/**
 * Clients besides the row's own: of another endpoint, or of somebody else.
 */
import * as Credentials from "@effect-k8s/core/Credentials"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Lab } from "./Lab.ts"

/** What differs from the row's own client. */
export interface Options {
  readonly endpoint?: Endpoint | undefined
  readonly credentials?: Credentials.Credentials["Service"] | undefined
}

/** A client in the row's namespace. */
export const make = (
  options: Options = {}
): Effect.Effect<KubeClient.KubeClient["Service"], never, Lab | Platform | Scope.Scope> =>
  Effect.flatMap(Lab, ({ credentials, endpoint, namespace }) =>
    KubeClient.make({
      endpoint: options.endpoint ?? endpoint,
      credentials: options.credentials ?? credentials,
      namespace
    }))

/** The administrator, acting as somebody else. */
export const impersonating = (
  impersonate: Credentials.Impersonation
): Effect.Effect<Credentials.Credentials["Service"], never, Lab> =>
  Effect.map(Lab, ({ credentials }) => ({
    ...credentials,
    authorize: (request) => Effect.flatMap(credentials.authorize(request), Credentials.make({ impersonate }).authorize)
  }))
