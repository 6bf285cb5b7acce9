/**
 * HTTP and WebSocket through the API server, which connects to a pod, a service or a node: the `proxy` subresources.
 *
 * ```ts
 * const metrics = yield* Proxy.httpClient(Target.pod("web-0"), { port: 9090 })
 * const text = yield* Effect.flatMap(metrics.get("/metrics"), (response) => response.text)
 * ```
 *
 * Nothing is upgraded and no port is forwarded, so this works wherever requests do, for programs that speak HTTP. What the
 * API server makes of requests is its own: it keeps `Authorization` for itself, adds `X-Forwarded-*`, rewrites
 * redirects and the links of HTML, and drops headers of CORS and the query of an upgrade. Where bytes must arrive as they
 * are, forward a port.
 */
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused, Upgraded } from "@effect-k8s/core/Transport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as WebSocketUpgrade from "./connection/WebSocketUpgrade.ts"
import { pathBelow } from "./proxy/pathBelow.ts"
import * as WebSocket from "./proxy/webSocket.ts"
import * as ProxyTarget from "./ProxyTarget.ts"

export {
  /** A service, as the API server chooses one of its pods. */
  service
} from "./ForwardTarget.ts"
export {
  /** A node. */
  type Node,
  /** A node. */
  node,
  /** A pod, a service or a node. */
  type ProxyTarget
} from "./ProxyTarget.ts"

/** Options of `httpClient`. */
export interface HttpOptions extends ProxyTarget.Options {
  /**
   * What a Status of failure is, which is how the API server refuses a request: `"fail"` unless told. `"answer"`, where
   * the target is an API server itself, whose own answers look the same.
   */
  readonly refusals?: "fail" | "answer" | undefined
}

/**
 * A client whose requests the API server passes on. Request URLs are paths of the target (`/metrics?name=up`), or those
 * that responses carry, so `HttpClient.followRedirects` works. Every method and header is passed on, bodies are streamed
 * both ways, and answers of every status are successes, as of any `HttpClient`.
 *
 * Requests fail with `HttpClientError`: `StatusCodeError` when the API server itself has refused (no such pod, no role,
 * nothing listens there), `TransportError` when it could not be asked, each with the `KubeError` that `kubeError` finds;
 * `InvalidUrlError` for the URL of another server, and `EncodeError` for a request with `Authorization`, which the API
 * server would take for your own. Those that the server has not begun are repeated as `KubeClient` does.
 *
 * Fails with `Encode` for what is no name or port, with `PortUnavailable` for a port that the pod does not name.
 *
 * @example
 * ```ts
 * import * as Proxy from "@effect-k8s/channels/Proxy"
 * import * as NodeKube from "@effect-k8s/node/NodeKube"
 * import * as TestCluster from "@effect-k8s/testing/TestCluster"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const program = Effect.gen(function*() {
 *   const kubelet = yield* Proxy.httpClient(Proxy.node("test-node"))
 *   const health = yield* kubelet.get("/healthz")
 *   return [health.status, yield* health.text]
 * })
 * const layer = Layer.provideMerge(TestCluster.layerClient(), NodeKube.layerServices)
 * await Effect.runPromise(Effect.provide(program, layer)) // => [200, "ok"]
 * ```
 */
export const httpClient = Effect.fnUntraced(function*(
  target: ProxyTarget.ProxyTarget,
  options: HttpOptions = {}
): Effect.fn.Return<HttpClient.HttpClient, KubeError.KubeError, KubeClient> {
  const client = yield* KubeClient
  const { info, path } = yield* ProxyTarget.resolve(target, options)
  const fail = (reason: HttpClientError.HttpClientErrorReason) => new HttpClientError.HttpClientError({ reason })

  const execute = Effect.fnUntraced(function*(
    request: HttpClientRequest.HttpClientRequest
  ): Effect.fn.Return<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> {
    const below = pathBelow(request.url, client.cluster.server, path)
    if (Result.isFailure(below)) {
      const description = `${request.url} ${below.failure} ${ProxyTarget.format(target)}; give its path alone`
      return yield* fail(new HttpClientError.InvalidUrlError({ request, description }))
    }
    if (request.headers["authorization"] !== undefined) {
      const description =
        "the API server takes the Authorization header for your own credentials, and does not pass it " +
        "on; forward a port to send one"
      return yield* fail(new HttpClientError.EncodeError({ request, description }))
    }
    const asked = HttpClientRequest.setUrl(request, path + below.success)
    const { refusal, response } = yield* Effect.mapError(client.execute(asked, info), (error) => {
      const props = { request, cause: error, description: error.message }
      return fail(
        error.reason._tag === "Encode"
          ? new HttpClientError.EncodeError(props)
          : new HttpClientError.TransportError(props)
      )
    })
    if (refusal === undefined || options.refusals === "answer") return response
    return yield* fail(
      new HttpClientError.StatusCodeError({ request, response, cause: refusal, description: refusal.message })
    )
  })
  type Request = Effect.Effect<HttpClientRequest.HttpClientRequest, HttpClientError.HttpClientError>
  return HttpClient.makeWith(
    (request: Request) => Effect.flatMap(request, execute),
    (request) => Effect.succeed(request)
  )
})

/** What the API server, or the way to it, has said of a request that failed. */
export const kubeError = ({ reason }: HttpClientError.HttpClientError): Option.Option<KubeError.KubeError> =>
  "cause" in reason ? Option.liftPredicate(KubeError.isKubeError)(reason.cause) : Option.none()

/** Options of `webSocket`. */
export interface WebSocketOptions extends ProxyTarget.Options {
  /** Subprotocols, most wanted first; the server must choose one of them. None unless told. */
  readonly protocols?: ReadonlyArray<string> | undefined
  /** Headers of the handshake, in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** How long the handshake may take; 30 seconds unless told. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** The longest message that is taken, in bytes; 16 MiB unless told. */
  readonly maxMessageBytes?: number | undefined
}

const defaultMessageBytes = 16 * 1024 * 1024

/**
 * A WebSocket of the target, at a path of it, of which no query is passed on. It opens when the reader of the `Socket` is
 * acquired, which fails with `SocketOpenError` and the `KubeError` as its cause when it is refused: by the Status of the
 * API server, or `UpgradeRefused` with the answer of the target. Text messages are strings, binary ones bytes; nothing is
 * compressed. The close frame of the server is `SocketCloseError` with its code; an end without one has 1006.
 *
 * Fails as `httpClient` does.
 */
export const webSocket = Effect.fnUntraced(function*(
  target: ProxyTarget.ProxyTarget,
  path: string,
  options: WebSocketOptions = {}
): Effect.fn.Return<Socket.Socket, KubeError.KubeError, KubeClient> {
  const client = yield* KubeClient
  const { fail, request } = yield* upgradeRequest(target, path, options)
  const { protocols = [] } = options
  const open = Effect.gen(function*() {
    const deadline = Duration.fromInputUnsafe(options.handshakeTimeout ?? "30 seconds")
    const answer = yield* WebSocketUpgrade.handshake(client, request, protocols, deadline)
    return answer._tag === "Shaken"
      ? answer.duplex
      : yield* fail(refusalOf(["websocket", protocols.join(", ")].join(" ").trimEnd(), answer))
  })
  return WebSocket.toSocket(open, options.maxMessageBytes ?? defaultMessageBytes)
})

/** Options of `upgrade`. */
export interface UpgradeOptions extends ProxyTarget.Options {
  /** Headers of the request, in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Upgrades a connection to another protocol of the target's, named as in the header `Upgrade`, and gives its bytes. The
 * scope ends it. The API server ends both ways of it when one has ended.
 *
 * Fails as `httpClient` does, by the Status of the API server, with `UpgradeRefused` and the target's answer, and with
 * `Transport`.
 */
export const upgrade = Effect.fnUntraced(function*(
  target: ProxyTarget.ProxyTarget,
  path: string,
  protocol: string,
  options: UpgradeOptions = {}
): Effect.fn.Return<Upgraded, KubeError.KubeError, KubeClient | Scope.Scope> {
  const client = yield* KubeClient
  const { fail, request } = yield* upgradeRequest(target, path, options)
  const headers = { ...request.headers, connection: "Upgrade", upgrade: protocol }
  const answer = yield* client.upgrade({ ...request, headers })
  return answer._tag === "Upgraded" ? answer : yield* fail(refusalOf(protocol, answer))
})

const upgradeRequest = Effect.fnUntraced(function*(
  target: ProxyTarget.ProxyTarget,
  path: string,
  options: UpgradeOptions
) {
  const client = yield* KubeClient
  const resolved = yield* ProxyTarget.resolve(target, options)
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: { ...resolved.info, server: client.cluster.server } })
  const below = pathBelow(path, client.cluster.server, resolved.path)
  if (Result.isFailure(below)) {
    return yield* fail(new KubeError.Encode({ description: `${path} ${below.failure} ${ProxyTarget.format(target)}` }))
  }
  return {
    fail,
    request: {
      method: "GET" as const,
      path: resolved.path + below.success,
      accept: "*/*",
      headers: options.headers,
      info: resolved.info
    }
  }
})

const decoder = new TextDecoder()

const refusalOf = (protocol: string, { body, status: code }: Refused): KubeError.KubeErrorReason => {
  const text = decoder.decode(body)
  const reason = KubeError.reasonFromAnswer({ code, body: text })
  return "status" in reason && reason.status !== undefined
    ? reason
    : new KubeError.UpgradeRefused({
      attempts: [{ protocol, code, body: KubeError.bodyExcerpt(text) }],
      hint: "the program behind the API server may not speak it, or not at this path"
    })
}
