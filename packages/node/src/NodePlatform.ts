/**
 * The transports of Node: undici for requests, with HTTP/2 where the server speaks it, for streams and for upgrades.
 */
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import { Platform, Transport } from "@effect-k8s/core/Transport"
import { TransportError, UnsupportedOption } from "@effect-k8s/core/TransportError"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { classify } from "./internal/classify.ts"
import * as Connector from "./internal/connector.ts"
import * as Dispatcher from "./internal/dispatcher.ts"
import { upgrade } from "./internal/upgrade.ts"

/**
 * A transport to an endpoint. Requests, streams and upgrades have connections of their own, made when first needed; the
 * scope destroys them.
 *
 * Streams use HTTP/1.1, one connection each: where a stream of HTTP/2 was reset without an error code, or as cancelled, Node
 * tells of a clean end, and half a log would pass for all of it.
 *
 * Fails with `UnsupportedOption` for a proxy together with a dialler; with `TlsFailed` when a certificate or key cannot be
 * used.
 */
export const transport = Effect.fnUntraced(function*(
  endpoint: Endpoint
): Effect.fn.Return<Transport["Service"], TransportError, Scope.Scope> {
  if (endpoint.proxy !== undefined && !/^(?:https?|socks5):$/.test(endpoint.proxy.url.protocol)) {
    return yield* new TransportError({
      reason: new UnsupportedOption({
        option: `a ${endpoint.proxy.url.protocol.slice(0, -1)} proxy`,
        runtime: "Node",
        hint: "use an http, https or socks5 proxy in proxy-url"
      })
    })
  }
  if (endpoint.proxy !== undefined && endpoint.dial !== undefined) {
    return yield* new TransportError({
      reason: new UnsupportedOption({
        option: "a proxy together with a dialler",
        runtime: "Node",
        hint: "let the dialler connect through the proxy, or leave one of them out"
      })
    })
  }
  const connector = yield* Connector.make(endpoint)
  const [undici, RequestHeaders] = yield* Effect.promise(() =>
    Promise.all([import("@effect/platform-node/Undici"), import("@effect-k8s/core/RequestHeaders")])
  )
  const client = (allowH2: boolean) =>
    Effect.flatMap(
      Dispatcher.make(undici, connector, allowH2),
      (dispatcher) => Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
    )
  const classifier = classify(endpoint)
  return Transport.of({
    http: RequestHeaders.checked(yield* client(true)),
    streaming: RequestHeaders.checked(yield* client(false)),
    upgrade: (request) =>
      Effect.andThen(RequestHeaders.check(request), upgrade(undici, connector, classifier, request)),
    classify: classifier
  })
})

/** Node as a `Platform`. */
export const layer: Layer.Layer<Platform> = Layer.succeed(Platform, Platform.of({ transport }))
