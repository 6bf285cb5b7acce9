/**
 * A client of one cluster, as one user: requests, streams and upgrades with the cluster's TLS, proxy, dialler and
 * credentials.
 *
 * `Api` and the channels are written against it. Programs get one from an adapter (`NodeKube.layer`).
 */
import * as Bytes from "effect/Bytes"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Credentials from "./Credentials.ts"
import * as Endpoint from "./Endpoint.ts"
import * as CurrentTransport from "./internal/currentTransport.ts"
import { releasingResponse } from "./internal/releasingResponse.ts"
import * as Retry from "./internal/retry.ts"
import * as KubeConfig from "./KubeConfig.ts"
import type { KubeConfigError } from "./KubeConfigError.ts"
import * as KubeError from "./KubeError.ts"
import * as Proxy from "./Proxy.ts"
import * as Status from "./Status.ts"
import type * as Transport from "./Transport.ts"
import { isTransportError, type TransportError } from "./TransportError.ts"

/** A request below the endpoint's URL. */
export interface KubeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  /** Absolute path, its segments percent-encoded: `/api/v1/namespaces/default/pods`. */
  readonly path: string
  readonly query?: ReadonlyArray<readonly [name: string, value: string | Redacted.Redacted]> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: { readonly contentType: string; readonly text: string } | undefined
  /** `application/json` unless told. */
  readonly accept?: string | undefined
  /** What is asked, for messages and spans. */
  readonly info: Omit<KubeError.RequestInfo, "server">
}

/** An answer of any status, its body unread. */
export interface AnyAnswer {
  readonly response: HttpClientResponse.HttpClientResponse
  /** That the API server itself has refused the request, by its Status; nothing for the answer of what is behind it. */
  readonly refusal: KubeError.KubeError | undefined
}

/** The cluster a client talks to. */
export interface Cluster {
  /** Its name in the kubeconfig, or the server's host. */
  readonly name: string
  /** The server's URL, without user information. */
  readonly server: string
  readonly address: Endpoint.Address
}

/**
 * A client of one cluster.
 *
 * - `json` sends a request and parses the answer.
 * - `stream` sends a request and gives the body as it comes; the request ends with the stream.
 * - `execute` sends any request of HTTP, its URL a path below the endpoint's, and gives the answer, whatever it is: for the
 *   `proxy` subresources, where most answers are not the API server's. The connection is held until the body was read.
 * - `upgrade` opens a channel. An answer other than 101 is a `Refused` value: which refusals are final, the channel
 *   decides.
 *
 * All fail with `KubeError`. Requests are repeated by the rule of client-go: 429 and 5xx only with `Retry-After`, lost
 * connections only for reads; a 401 once more when the credentials can be renewed.
 */
export class KubeClient extends Context.Service<KubeClient, {
  readonly cluster: Cluster
  /** The namespace that is meant when none is named. */
  readonly namespace: string
  /**
   * What its users have found out about the cluster, such as the protocols that it refuses: values by
   * `Context.Reference`, each changed by its owner alone. It goes with the client.
   */
  readonly memory: Ref.Ref<Context.Context<never>>
  readonly json: (request: KubeRequest) => Effect.Effect<unknown, KubeError.KubeError>
  readonly stream: (request: KubeRequest) => Stream.Stream<Uint8Array, KubeError.KubeError>
  readonly execute: (
    request: HttpClientRequest.HttpClientRequest,
    info: KubeRequest["info"]
  ) => Effect.Effect<AnyAnswer, KubeError.KubeError>
  readonly upgrade: (
    request: KubeRequest
  ) => Effect.Effect<Transport.Upgraded | Transport.Refused, KubeError.KubeError, Scope.Scope>
}>()("@effect-k8s/core/KubeClient") {}

/** What `make` takes. */
export interface Options {
  readonly endpoint: Endpoint.Endpoint
  readonly credentials: Credentials.Credentials["Service"]
  /** `default` unless told. */
  readonly namespace?: string | undefined
  /** The cluster's name; the host of the URL unless told. */
  readonly clusterName?: string | undefined
}

interface Exchanged {
  readonly response: HttpClientResponse.HttpClientResponse
  readonly transport: Transport.Transport["Service"]
}

/** An answer, and its body where it is a refusal of the API server. */
interface Judged {
  readonly response: HttpClientResponse.HttpClientResponse
  readonly body: string | undefined
}

const userAgent = "effect-k8s"
const errorBodyLimit = 64 * 1024
const decoder = new TextDecoder()

/** Makes a client on a `Platform`. It connects when it is first used; its connections end with the scope. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<KubeClient["Service"], never, Transport.Platform | Scope.Scope> {
  const { credentials, endpoint } = options
  const server = `${endpoint.url.origin}${endpoint.url.pathname.replace(/\/+$/, "")}`

  const transports = yield* CurrentTransport.make(endpoint, credentials)

  const fail = (info: KubeRequest["info"], reason: KubeError.KubeErrorReason): KubeError.KubeError =>
    new KubeError.KubeError({ reason, request: { ...info, server } })
  const transportFailed = (info: KubeRequest["info"]) => (error: TransportError): KubeError.KubeError =>
    fail(
      info,
      error.reason._tag === "InvalidRequest"
        ? new KubeError.Encode({ description: error.message })
        : new KubeError.Transport({ error })
    )

  const currentTransport = (info: KubeRequest["info"]) =>
    Effect.mapError(transports.get, (error) =>
      error._tag === "CredentialsError"
        ? fail(info, new KubeError.Credentials({ error }))
        : transportFailed(info)(error))

  const authorize = (info: KubeRequest["info"]) => (request: HttpClientRequest.HttpClientRequest) =>
    Effect.mapError(
      credentials.authorize(request),
      (error) => fail(info, new KubeError.Credentials({ error }))
    )

  const toHttp = (request: KubeRequest): HttpClientRequest.HttpClientRequest =>
    HttpClientRequest.make(request.method)(`${server}${request.path}`, {
      urlParams: request.query,
      headers: {
        accept: request.accept ?? "application/json",
        "user-agent": userAgent,
        ...request.headers
      },
      body: request.body === undefined ? undefined : HttpBody.text(request.body.text, request.body.contentType)
    })

  const fromHttpError = (
    info: KubeRequest["info"],
    transport: Transport.Transport["Service"],
    error: HttpClientError.HttpClientError
  ): KubeError.KubeError => {
    switch (error.reason._tag) {
      case "EncodeError":
        if (isTransportError(error.reason.cause)) return transportFailed(info)(error.reason.cause)
        return fail(info, new KubeError.Encode({ description: error.reason.message }))
      case "InvalidUrlError":
        return fail(info, new KubeError.Encode({ description: error.reason.message }))
      default:
        return transportFailed(info)(transport.classify(error.reason.cause ?? error.reason))
    }
  }

  /**
   * An answer after as many tries as the rule allows, the transport that it came by, and why the API server has refused,
   * if it has: `judge` tells a refusal by its body, and gives a response whose body can be read.
   */
  const tried = Effect.fnUntraced(function*(
    { info, request, judge, send }: {
      readonly info: KubeRequest["info"]
      readonly request: HttpClientRequest.HttpClientRequest
      readonly send: (
        transport: Transport.Transport["Service"],
        request: HttpClientRequest.HttpClientRequest
      ) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError, Scope.Scope>
      readonly judge: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<
        Judged,
        HttpClientError.HttpClientError
      >
    }
  ): Effect.fn.Return<Exchanged & Pick<AnyAnswer, "refusal">, KubeError.KubeError, Scope.Scope> {
    const isRepeatable = request.body._tag === "Empty" || request.body._tag === "Uint8Array"
    let renewed = false
    for (let attempt = 0;; attempt++) {
      const transport = yield* currentTransport(info)
      const authorized = yield* authorize(info)(request)
      const result = yield* Effect.result(
        send(transport, authorized).pipe(
          Effect.flatMap(judge),
          Effect.mapError((error) => fromHttpError(info, transport, error))
        )
      )
      let delay: number | undefined
      if (Result.isFailure(result)) {
        if (isConnectionLost(result.failure)) {
          delay = Retry.delayMillis(attempt, request.method, { _tag: "ConnectionLost" })
        }
        if (delay === undefined || !isRepeatable) return yield* result.failure
      } else {
        const { body, response } = result.success
        if (body === undefined) return { response, transport, refusal: undefined }
        const { headers, status: code } = response
        const retryAfter = yield* retryAfterMillis(headers)
        const isRenewed: boolean = code === 401 && !renewed && isRepeatable && (yield* credentials.invalidate)
        delay = isRenewed
          ? 0
          : Retry.delayMillis(attempt, request.method, { _tag: "Answered", code, retryAfterMillis: retryAfter })
        if (delay === undefined || !isRepeatable) {
          const reason = KubeError.reasonFromAnswer({ code, body, retryAfterMillis: retryAfter })
          return { response, transport, refusal: fail(info, reason) }
        }
        renewed ||= isRenewed
      }
      if (delay > 0) yield* Effect.sleep(delay)
    }
  })

  /** One answer of status 2xx, and the transport that it came by. */
  const exchange = Effect.fnUntraced(function*(
    request: KubeRequest,
    client: "http" | "streaming"
  ): Effect.fn.Return<Exchanged, KubeError.KubeError, Scope.Scope> {
    const answer = yield* tried({
      info: request.info,
      request: toHttp(request),
      send: (transport, request) => HttpClient.withScope(transport[client]).execute(request),
      judge: notSuccessful
    })
    return answer.refusal === undefined ? answer : yield* answer.refusal
  })

  // The scope is nobody's child: an answer that nobody reads to its end is collected with what it holds.
  const execute: KubeClient["Service"]["execute"] = (request, info) =>
    Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
      const scope = yield* Scope.make()
      const absolute = HttpClientRequest.setUrl(request, `${server}${request.url}`).pipe(
        HttpClientRequest.setHeaders({ "user-agent": request.headers["user-agent"] ?? userAgent })
      )
      const answer = tried({
        info,
        request: absolute,
        send: ({ streaming }, request) => streaming.execute(request),
        judge: ownStatus
      })
      const { refusal, response } = yield* restore(Scope.provide(answer, scope)).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      return { refusal, response: releasingResponse(response, absolute, Scope.close(scope, Exit.void)) }
    }))

  const json = Effect.fnUntraced(function*(request: KubeRequest) {
    const { response, transport } = yield* exchange(request, "http")
    const text = yield* Effect.mapError(response.text, (error) => fromHttpError(request.info, transport, error))
    return yield* Effect.try({
      try: (): unknown => JSON.parse(text),
      catch: (cause) =>
        fail(
          request.info,
          new KubeError.Decode({
            description: `the answer is not JSON but ${response.headers["content-type"] ?? "of no content type"}`,
            cause
          })
        )
    })
  }, Effect.scoped)

  const stream = (request: KubeRequest): Stream.Stream<Uint8Array, KubeError.KubeError> =>
    Stream.unwrap(Effect.gen(function*() {
      const { response, transport } = yield* exchange(request, "streaming")
      return Stream.mapError(response.stream, (error) => fromHttpError(request.info, transport, error))
    }))

  const upgrade = Effect.fnUntraced(function*(
    request: KubeRequest
  ): Effect.fn.Return<Transport.Upgraded | Transport.Refused, KubeError.KubeError, Scope.Scope> {
    const attempt = Effect.gen(function*() {
      const transport = yield* currentTransport(request.info)
      return yield* Effect.mapError(
        transport.upgrade(yield* authorize(request.info)(toHttp(request))),
        transportFailed(request.info)
      )
    })
    const answer = yield* attempt
    if (answer._tag === "Refused" && answer.status === 401 && (yield* credentials.invalidate)) return yield* attempt
    return answer
  })

  const span = (request: Pick<KubeRequest, "info">) => ({
    kind: "client" as const,
    // It would show lines of this module only, and costs more than the rest of the span.
    captureStackTrace: false,
    attributes: {
      "k8s.verb": request.info.verb,
      "k8s.resource": request.info.resource,
      "k8s.namespace": request.info.namespace,
      "k8s.name": request.info.name,
      "k8s.cluster": options.clusterName ?? endpoint.url.host
    }
  })

  return KubeClient.of({
    memory: Ref.makeUnsafe(Context.empty()),
    cluster: { name: options.clusterName ?? endpoint.url.host, server, address: Endpoint.address(endpoint) },
    namespace: options.namespace ?? "default",
    json: (request) => Effect.withSpan(json(request), `KubeClient.${request.info.verb}`, span(request)),
    stream: (request) => Stream.withSpan(stream(request), `KubeClient.${request.info.verb}`, span(request)),
    execute: (request, info) => Effect.withSpan(execute(request, info), `KubeClient.${info.verb}`, span({ info })),
    upgrade: (request) => Effect.withSpan(upgrade(request), `KubeClient.${request.info.verb}`, span(request))
  })
})

const isConnectionLost = (error: KubeError.KubeError): boolean =>
  error.reason._tag === "Transport" && error.reason.error.reason._tag === "ConnectionLost"

/** Milliseconds that the `Retry-After` header of an answer asks to wait, if it is there and can be read. */
export const retryAfterMillis = (headers: Headers.Headers): Effect.Effect<number | undefined> => {
  const value = headers["retry-after"]
  if (value === undefined) return Effect.undefined
  const parsed = Headers.parseRetryAfter(value)
  return Result.isFailure(parsed)
    ? Effect.undefined
    : Effect.map(Clock.currentTimeMillis, (now) => Duration.toMillis(Headers.retryAfterDelay(parsed.success, now)))
}

/** The body of an answer that is not of status 2xx. */
const notSuccessful = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<Judged> =>
  response.status >= 200 && response.status < 300
    ? Effect.succeed({ response, body: undefined })
    : Effect.map(readErrorBody(response), (body) => ({ response, body }))

// The reason matters more than the whole text: what is too long or cannot be read any more is left out.
const readErrorBody = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    let size = 0
    return response.stream.pipe(
      Stream.takeUntil((chunk) => (size += chunk.length) >= errorBodyLimit),
      Stream.runCollect,
      Effect.orElseSucceed((): Array<Uint8Array> => []),
      Effect.map((chunks) => decoder.decode(Bytes.concat(chunks).subarray(0, errorBodyLimit)))
    )
  })

/**
 * The body of an answer that is a Status of failure, which only API servers give, with a response whose body can be read
 * again; any other answer as it is. A body without a length, or a long one, is none: what is behind a proxy may be slow.
 */
const ownStatus = Effect.fnUntraced(function*(
  response: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<Judged, HttpClientError.HttpClientError> {
  const { headers, request, status } = response
  const length = Number(headers["content-length"] ?? Number.NaN)
  // API servers give none above, and a response of the web cannot be made of one.
  const mayBe = status >= 400 && status < 600 && request.method !== "HEAD" && length > 0 && length <= errorBodyLimit &&
    /^application\/json\b/.test(headers["content-type"] ?? "")
  if (!mayBe) return { response, body: undefined }
  const bytes = yield* response.arrayBuffer
  const text = decoder.decode(bytes)
  const again = HttpClientResponse.fromWeb(request, new Response(bytes, { status, headers }))
  const isOwn = Option.exists(
    Status.fromText(text),
    ({ apiVersion, kind, status }) => kind === "Status" && apiVersion === "v1" && status === "Failure"
  )
  return { response: again, body: isOwn ? text : undefined }
})

// Pure, so that who does not read a kubeconfig does not bundle what reads it.
const fromResolved = /*#__PURE__*/ Effect.fnUntraced(function*(
  resolved: KubeConfig.Resolved
): Effect.fn.Return<KubeClient["Service"], KubeConfigError, Transport.Platform | Scope.Scope> {
  const { endpoint } = resolved
  const proxy = endpoint.proxy ?? (yield* Proxy.fromEnvironment(endpoint.url))
  return yield* make({
    endpoint: { ...endpoint, proxy },
    credentials: resolved.credentials,
    namespace: resolved.namespace,
    clusterName: resolved.clusterName
  })
})

/** What a layer by a kubeconfig needs. */
export type Environment = Transport.Platform | FileSystem.FileSystem | Path.Path

/**
 * The client that kubectl would use: `KUBECONFIG` or `~/.kube/config`, else the service account of the pod. Proxies come
 * from the environment.
 */
export const layerDefault: Layer.Layer<KubeClient, KubeConfigError, Environment> = /*#__PURE__*/ Layer.effect(
  KubeClient,
  /*#__PURE__*/ Effect.suspend(() => Effect.flatMap(KubeConfig.loadDefault(), fromResolved))
)

/**
 * The client of a context of the kubeconfig; the current one unless told. In a pod, its namespace is the pod's unless the
 * context names one.
 */
export const layerKubeConfig = (
  options: KubeConfig.ResolveOptions & KubeConfig.LoadOptions = {}
): Layer.Layer<KubeClient, KubeConfigError, Environment> =>
  Layer.effect(
    KubeClient,
    KubeConfig.load(options).pipe(
      Effect.flatMap((config) => KubeConfig.resolve(config, options)),
      Effect.flatMap(fromResolved)
    )
  )

/** The client of the service account that the pod runs as. */
export const layerInCluster: Layer.Layer<KubeClient, KubeConfigError, Environment> = /*#__PURE__*/ Layer.effect(
  KubeClient,
  /*#__PURE__*/ Effect.suspend(() => Effect.flatMap(KubeConfig.inCluster(), fromResolved))
)

/** What `layerEndpoint` takes beside the endpoint. */
export interface EndpointOptions {
  /** None unless told: requests are anonymous. */
  readonly credentials?: Credentials.Credentials["Service"] | undefined
  readonly namespace?: string | undefined
}

/** The client of an endpoint. The endpoint says everything: the environment's proxies are not looked at. */
export const layerEndpoint = (
  endpoint: Endpoint.Endpoint,
  options: EndpointOptions = {}
): Layer.Layer<KubeClient, never, Transport.Platform> =>
  Layer.effect(
    KubeClient,
    make({ endpoint, credentials: options.credentials ?? Credentials.make(), namespace: options.namespace })
  )
