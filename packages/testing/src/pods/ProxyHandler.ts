/**
 * Answers requests for the `proxy` subresources: makes each an HTTP request to a port of a pod, a service's pod or the
 * node, and its answer the answer (protocol reference 1.7).
 *
 * A port is one of the loopback here. The links of HTML are left as they are, and a loopback address is allowed, which
 * real servers refuse.
 */
import * as NodeSink from "@effect/platform-node-shared/NodeSink"
import * as NodeStream from "@effect/platform-node-shared/NodeStream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { ServerConnection, ServerRequest, ServerResponse, StreamResponse } from "../server/Exchange.ts"
import * as SocketConnection from "../server/SocketConnection.ts"
import type { SubresourceContext, SubresourceHandler } from "../server/Subresources.ts"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as Selector from "../store/Selector.ts"
import { join } from "./joinConnections.ts"

/** What proxies run with. */
export interface Options {
  /** Whether the pod is on the node. */
  readonly isThere: (pod: StoredObject) => boolean
}

/** Where a request goes to. */
interface Place {
  readonly scheme: "http" | "https"
  readonly port: number
}

/** `scheme:name:port`, `name:port` or `name`. */
interface Id {
  readonly scheme: "http" | "https"
  readonly name: string
  readonly port: string
}

const parseId = (id: string): Id | undefined => {
  const parts = id.split(":")
  const [scheme = "", name = "", port = ""] = parts.length === 3 ? parts : ["http", ...parts]
  if (parts.length > 3 || name === "" || !["http", "https", ""].includes(scheme)) return undefined
  return { scheme: scheme === "https" ? "https" : "http", name, port }
}

const unavailable = (message: string): Failure.Failure =>
  new Failure.Failure({ status: { code: 503, reason: "ServiceUnavailable", message } })

const containerPorts = (pod: StoredObject) =>
  Json.array(Json.get(pod, "spec", "containers")).flatMap((container) => Json.array(Json.get(container, "ports")))

const isReady = (pod: StoredObject): boolean =>
  Json.array(Json.get(pod, "status", "conditions")).some((condition) =>
    Json.get(condition, "type") === "Ready" && Json.get(condition, "status") === "True"
  )

/** A port as Go's dialler reads it: numbers, and the names of a few well-known services. */
const dialled = (port: string): number | undefined => {
  const number = { http: 80, https: 443 }[port] ?? Number(port)
  return Number.isInteger(number) && number > 0 && number < 65_536 ? number : undefined
}

const noPort = (port: string): Failure.Failure =>
  unavailable(`error trying to reach service: dial tcp: lookup tcp/${port}: unknown port`)

const ofPod = Effect.fnUntraced(function*(
  { info, resources, row }: SubresourceContext,
  { name, port, scheme }: Id
): Effect.fn.Return<Place, Failure.Failure> {
  const pod = yield* resources.registry.get({ row, namespace: info.namespace, name })
  const first = Json.number(Json.get(containerPorts(pod)[0] ?? null, "containerPort"))
  const number = port === "" ? first ?? (scheme === "https" ? 443 : 80) : dialled(port)
  return number === undefined ? yield* noPort(port) : { scheme, port: number }
})

/** The port of the first pod that is ready, as the endpoints of the service would have it. */
const ofService = Effect.fnUntraced(function*(
  { isThere }: Options,
  { info, resources: { registry }, row }: SubresourceContext,
  { name, port, scheme }: Id
): Effect.fn.Return<Place, Failure.Failure> {
  const service = yield* registry.get({ row, namespace: info.namespace, name })
  const ports = Json.array(Json.get(service, "spec", "ports"))
  const found = /^\d+$/.test(port)
    ? ports.find((candidate) => Json.get(candidate, "port") === Number(port))
    : ports.find((candidate) => (Json.string(Json.get(candidate, "name")) ?? "") === port)
  if (found === undefined && /^\d+$/.test(port)) {
    return yield* unavailable(`no service port ${port} found for service "${name}"`)
  }
  const selector = Json.get(service, "spec", "selector")
  const { items } = yield* Effect.fromResult(registry.store.list({ collection: "/pods", namespace: info.namespace }))
  const isSelected = Selector.fromObject({ matchLabels: selector ?? {} })
  const pod = selector === undefined || found === undefined
    ? undefined
    : items.find((candidate) => isSelected(candidate.metadata.labels ?? {}) && isThere(candidate) && isReady(candidate))
  if (pod === undefined) return yield* unavailable(`no endpoints available for service "${name}"`)
  const target = Json.get(found ?? null, "targetPort") ?? Json.get(found ?? null, "port")
  const number = typeof target === "number" ? target : Json.number(Json.get(
    containerPorts(pod).find((candidate) => Json.get(candidate, "name") === target) ?? null,
    "containerPort"
  ))
  return number === undefined ? yield* unavailable(`no endpoints available for service "${name}"`) : {
    scheme,
    port: number
  }
})

/** What the kubelet says for itself; nothing where another port of the node is meant. */
const ofNode = Effect.fnUntraced(function*(
  { resources, row }: SubresourceContext,
  { name, port, scheme }: Id,
  path: string
): Effect.fn.Return<Place | ServerResponse, Failure.Failure> {
  yield* resources.registry.get({ row, name })
  if (port === "" || port === kubeletPort) {
    const headers = { "Content-Type": "text/plain; charset=utf-8" }
    return path === "/healthz"
      ? { _tag: "Body", status: 200, headers, body: "ok" }
      : { _tag: "Body", status: 404, headers, body: "404 page not found\n" }
  }
  const number = dialled(port)
  return number === undefined ? yield* noPort(port) : { scheme, port: number }
})

const kubeletPort = "10250"
const subresource = /^(\/api\/v1\/(?:namespaces\/[^/]+\/)?(?:pods|services|nodes)\/[^/]+\/proxy)(\/.*)?$/

/** The handler, for the pods of a node. */
export const handler = (options: Options): SubresourceHandler =>
  Effect.fnUntraced(function*(context) {
    const { request, row } = context
    const { pathname, search } = request.url
    const [, prefix = "", path = ""] = subresource.exec(pathname) ?? []
    const id = parseId(context.info.name ?? "")
    if (id === undefined) {
      return yield* Failure.badRequest(`invalid ${row.singular} request "${context.info.name ?? ""}"`)
    }
    if (path === "" && (request.method === "GET" || request.method === "HEAD")) {
      return { _tag: "Body", status: 301, headers: { Location: `${pathname}/${search}` }, body: "" }
    }
    const place = row.plural === "pods"
      ? yield* ofPod(context, id)
      : row.plural === "services"
      ? yield* ofService(options, context, id)
      : yield* ofNode(context, id, path)
    return "_tag" in place ? place : yield* pass(request, place, { prefix, path: path === "" ? "/" : path, search })
  })

// What belongs to a connection and not to what is sent on it (RFC 9110 7.6.1).
const ofConnection = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
]

const first = (request: ServerRequest, name: string): string | undefined => request.headers.get(name)?.[0]

const requestHeaders = (request: ServerRequest, protocol: string | undefined): Http.OutgoingHttpHeaders => {
  const named = request.headers.get("connection")?.flatMap((value) => value.toLowerCase().split(",")) ?? []
  const dropped = [...ofConnection, ...named.map((name) => name.trim())]
  // What was meant for the API server stays there.
  const kept = Array.from(request.headers).filter(([name]) =>
    !dropped.includes(name) && name !== "authorization" && !name.startsWith("impersonate-")
  )
  return {
    ...Object.fromEntries(kept.map(([name, values]) => [name, values.length === 1 ? values[0] : values])),
    "x-forwarded-uri": request.url.pathname,
    "x-forwarded-host": first(request, "host") ?? "",
    ...(protocol === undefined ? {} : { connection: "Upgrade", upgrade: protocol })
  }
}

// One value a line, as servers of this cluster write headers that are repeated.
const responseHeaders = (message: Http.IncomingMessage, prefix: string): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (let i = 0; i + 1 < message.rawHeaders.length; i += 2) {
    const [name, value] = [message.rawHeaders[i] ?? "", message.rawHeaders[i + 1] ?? ""]
    const key = name.toLowerCase()
    if (ofConnection.includes(key) || key.startsWith("access-control-")) continue
    const shown = key === "location" ? rewritten(value, prefix, message) : value
    headers[name] = headers[name] === undefined ? shown : `${headers[name]}\n${shown}`
  }
  return headers
}

/** A redirect on the same server leads through the proxy again. */
const rewritten = (location: string, prefix: string, { headers }: Http.IncomingMessage): string => {
  if (!URL.canParse(location, "http://target/")) return location
  const url = new URL(location, "http://target/")
  return url.host === "target" || url.host === headers.host
    ? `${prefix}${url.pathname}${url.search}${url.hash}`
    : location
}

type Answer =
  | { readonly _tag: "Response"; readonly message: Http.IncomingMessage }
  | {
    readonly _tag: "Upgrade"
    readonly message: Http.IncomingMessage
    readonly socket: Duplex
    readonly head: Uint8Array
  }

const goWords = (cause: NodeJS.ErrnoException, port: number): string => {
  switch (cause.code) {
    case "ECONNREFUSED":
      return `dial tcp 127.0.0.1:${port}: connect: connection refused`
    case "ECONNRESET":
      return "EOF"
    default:
      return cause.message
  }
}

const pass = Effect.fnUntraced(function*(
  request: ServerRequest,
  { port, scheme }: Place,
  { path, prefix, search }: { readonly path: string; readonly prefix: string; readonly search: string }
): Effect.fn.Return<ServerResponse, Failure.Failure, Scope.Scope> {
  const protocol = first(request, "connection")?.toLowerCase().includes("upgrade") === true
    ? first(request, "upgrade")
    : undefined
  const asking = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const options: Https.RequestOptions = {
        host: "127.0.0.1",
        port,
        // Real servers lose the query of an upgrade (kubernetes/kubernetes#77142).
        path: protocol === undefined ? path + search : path,
        method: request.method,
        headers: requestHeaders(request, protocol),
        agent: false,
        // The API server believes whatever certificate it is shown here.
        rejectUnauthorized: false
      }
      return scheme === "https" ? Https.request(options) : Http.request(options)
    }),
    (asking) => Effect.sync(() => asking.destroy())
  )
  const answered = Effect.callback<Answer, NodeJS.ErrnoException>((resume) => {
    asking.on("error", (cause: NodeJS.ErrnoException) => resume(Effect.fail(cause)))
    asking.once("response", (message) => resume(Effect.succeed({ _tag: "Response", message })))
    asking.once("upgrade", (message, socket, head) => {
      socket.on("error", () => {})
      resume(Effect.succeed({ _tag: "Upgrade", message, socket, head }))
    })
  })
  const body = request.stream ?? Stream.fromEffect(request.body)
  const sent = Stream.run(
    protocol === undefined ? body : Stream.empty,
    NodeSink.fromWritable<NodeJS.ErrnoException, Uint8Array>({
      evaluate: () => asking,
      onError: (cause) => cause as NodeJS.ErrnoException
    })
  )
  // A server may answer before it has read the body, and go on reading it.
  yield* Effect.forkScoped(Effect.ignore(sent))
  const answer = yield* Effect.mapError(answered, (cause) =>
    protocol === undefined
      ? unavailable(`error trying to reach service: ${goWords(cause, port)}`)
      : new Failure.Failure({ status: { code: 500, message: `error dialing backend: ${goWords(cause, port)}` } }))
  const { message } = answer
  const headers = responseHeaders(message, prefix)
  const status = message.statusCode ?? 502
  if (protocol !== undefined && answer._tag === "Response" && status < 400) {
    const words = `invalid upgrade response: status code ${status}`
    return yield* new Failure.Failure({ status: { code: 500, message: words } })
  }
  if (answer._tag === "Response") {
    const chunks = NodeStream.fromReadable<Uint8Array, unknown>({ evaluate: () => message, onError: (cause) => cause })
    const response: StreamResponse = {
      _tag: "Stream",
      status,
      headers,
      // What is cut there is cut here.
      body: Stream.orDie(chunks)
    }
    return response
  }
  const { head } = answer
  const socket = answer.socket as Socket
  return {
    _tag: "Upgrade",
    headers: { Connection: "Upgrade", Upgrade: message.headers.upgrade ?? "", ...headers },
    serve: (connection: ServerConnection) =>
      Effect.gen(function*() {
        const behind = yield* SocketConnection.make(socket, head, () => socket.resetAndDestroy())
        yield* join(connection, behind)
      })
  }
})
