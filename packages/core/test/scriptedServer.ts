/**
 * An API server in memory that answers by a script and keeps what it was asked.
 */
import * as Credentials from "@effect-k8s/core/Credentials"
import type * as Endpoint from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import * as Transport from "@effect-k8s/core/Transport"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type * as Scope from "effect/Scope"

/** A request that the server got. */
export interface Seen {
  readonly method: string
  /** Origin, path and query, as they were sent. */
  readonly url: string
  readonly path: string
  readonly query: ReadonlyArray<readonly [string, string]>
  readonly headers: Headers.Headers
  readonly body: string | undefined
}

/** What the server says to a request; `n` counts the requests from 0. */
export type Answer = (seen: Seen, n: number) => Response | Effect.Effect<Response, TransportError, Scope.Scope>

/** A server, and what it was asked. */
export interface Scripted {
  readonly platform: Transport.Platform["Service"]
  readonly seen: Array<Seen>
  /** The endpoints of the transports that were built, and how many of them are still there. */
  readonly endpoints: Array<Endpoint.Endpoint>
  readonly open: () => number
}

const address = { host: "api.test", port: 443 }

/** The connection ended before the answer. */
export const lost: TransportError = new TransportError({ reason: new ConnectionLost({ address }) })

/** A JSON answer. */
export const json = (value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } })

/** A `metav1.Status` of failure. */
export const failure = (
  code: number,
  reason: string | undefined,
  more: Readonly<Record<string, unknown>> = {}
): Readonly<Record<string, unknown>> => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: `the server says ${reason}`,
  reason,
  code,
  ...more
})

/** A body that gives these chunks and then ends, fails, or stays open. */
export const body = (
  chunks: ReadonlyArray<string | Uint8Array>,
  then: "end" | "fail" | "stay" = "end",
  onCancel: () => void = () => {}
): ReadableStream<Uint8Array> => {
  let next = 0
  return new ReadableStream({
    pull(controller) {
      const chunk = chunks[next++]
      if (chunk !== undefined) controller.enqueue(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk)
      else if (then === "end") controller.close()
      else if (then === "fail") controller.error(lost)
      else return new Promise(() => {})
    },
    cancel: onCancel
  }, { highWaterMark: 0 })
}

/** What answers an upgrade. */
export type Upgrades = MemoryTransport.Server["upgrade"]

const refuseUpgrades: Upgrades = () =>
  Effect.succeed({ _tag: "Refused", status: 404, headers: Headers.empty, body: new Uint8Array(0) })

/** A server that answers by this script. */
export const serve = (answer: Answer, upgrade: Upgrades = refuseUpgrades): Scripted => {
  const seen: Array<Seen> = []
  const endpoints: Array<Endpoint.Endpoint> = []
  let open = 0
  const server: MemoryTransport.Server = {
    request: (request, url) =>
      Effect.suspend(() => {
        const asked: Seen = {
          method: request.method,
          url: url.href,
          path: url.pathname,
          query: [...url.searchParams],
          headers: request.headers,
          body: request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : undefined
        }
        seen.push(asked)
        const answered = answer(asked, seen.length - 1)
        return answered instanceof Response ? Effect.succeed(answered) : answered
      }),
    upgrade
  }
  const inner = MemoryTransport.platform(server)
  return {
    seen,
    endpoints,
    open: () => open,
    platform: Transport.Platform.of({
      transport: (endpoint) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            endpoints.push(endpoint)
            open++
            return inner.transport(endpoint)
          }),
          () =>
            Effect.sync(() => {
              open--
            })
        )
    })
  }
}

/** A client of a scripted server. */
export const clientOf = (
  scripted: Scripted,
  options: Partial<KubeClient.Options> = {}
): Effect.Effect<KubeClient.KubeClient["Service"], never, Scope.Scope> =>
  KubeClient.make({
    endpoint: { url: new URL("https://api.test") },
    credentials: Credentials.make(),
    ...options
  }).pipe(Effect.provideService(Transport.Platform, scripted.platform))
