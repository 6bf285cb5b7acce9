/**
 * An API server in memory for forwarded connections: what it sends of itself is in the hands of the test.
 */
import * as ForwardChannels from "@effect-k8s/channels/protocol/ForwardChannels"
import * as ForwardTunnel from "@effect-k8s/channels/protocol/ForwardTunnel"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import * as Transport from "@effect-k8s/core/Transport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import { concat } from "../protocol/bytes.ts"
import { acceptOf } from "./execServer.ts"

/** What carries forwarded connections. */
export type Carrier = "tunnel" | "spdy" | "websocket"

/** A pod, which a service, a deployment and a stateful set `web` select. */
export interface ServerPod {
  readonly uid: string
  /** Of the port that it names `http`. */
  readonly http: number
  /** It is being deleted; its node knows it no more. */
  readonly isLeaving?: boolean | undefined
}

/** A forwarded connection, at the server. */
export interface ServerPair {
  readonly socket: number
  /** The pod that the socket was opened for. */
  readonly pod: string
  readonly port: string
  /** Bytes that have come, and whether the client has ended or reset it. */
  readonly got: () => { readonly bytes: number; readonly ended: boolean; readonly reset: boolean }
  /** What came last, as text. */
  readonly heard: () => string
  readonly send: (payload: Uint8Array) => Effect.Effect<void>
  readonly say: (text: string) => Effect.Effect<void>
  readonly end: (type: "data" | "error") => Effect.Effect<void>
  /** Ends in order what carries it. */
  readonly goodbye: Effect.Effect<void>
}

/** How the server behaves. */
export interface Settings {
  /** Whether a connection is taken; all are unless told. */
  readonly takes?: ((socket: number, port: string) => boolean) | undefined
  /** How long it takes to do so; no time unless told. */
  readonly takesAfter?: ((socket: number) => Duration.Input) | undefined
  /** Whether pings are answered; yes unless told. */
  readonly pongs?: boolean | undefined
  /** What it speaks; SPDY alone unless told. Anything else is refused with 400. */
  readonly speaks?: ReadonlyArray<Carrier> | undefined
  /** Whether a connection is reset instead; none is unless told. */
  readonly resets?: ((port: string) => boolean) | undefined
  /** What it does by itself with a connection that it has taken, whenever bytes come. */
  readonly onBytes?: ((pair: ServerPair) => Effect.Effect<void>) | undefined
  /** Whether it cuts a connection one second after it was told its end, as real servers do; yes unless told. */
  readonly cuts?: boolean | undefined
  /** The status of a refused upgrade. */
  readonly refuses?: ((method: string, path: string, transport: Carrier) => number | undefined) | undefined
  /** How long it takes to answer the upgrade of a socket; no time unless told. */
  readonly upgradesAfter?: ((socket: number) => Duration.Input) | undefined
  /** The client's; none unless told. */
  readonly credentials?: Credentials.Credentials["Service"] | undefined
}

const subprotocols: Readonly<Record<Carrier, string>> = {
  tunnel: ForwardTunnel.protocol,
  spdy: "portforward.k8s.io",
  websocket: ForwardChannels.protocol
}

const transportOf = (request: HttpClientRequest.HttpClientRequest): Carrier =>
  request.headers["upgrade"] === SpdyHandshake.upgradeName
    ? "spdy"
    : request.headers["sec-websocket-protocol"] === ForwardTunnel.protocol
    ? "tunnel"
    : "websocket"

/** SPDY as it is, or in messages. */
const makeLine = (transport: Carrier) => {
  const frames = Frame.makeDecoder({ role: "server" })
  return transport === "spdy" ? { read: (chunk: Uint8Array) => [chunk], wrap: (bytes: Uint8Array) => bytes } : {
    read: (chunk: Uint8Array) =>
      Array.from(frames.decode(chunk)).flatMap((event) => event._tag === "Data" ? [event.payload] : []),
    wrap: (payload: Uint8Array) => Frame.encode({ opcode: Frame.Opcode.Binary, payload }, undefined)
  }
}

const podOf = (name: string, { http, isLeaving = false, uid }: ServerPod) => ({
  kind: "Pod",
  metadata: {
    name,
    namespace: "ns",
    uid,
    labels: { app: "web" },
    ...(isLeaving ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {})
  },
  spec: { containers: [{ name: "main", ports: [{ name: "http", containerPort: http }] }] },
  status: { phase: "Running" }
})

// All that the server's end replies with.
const pingBytes = 12

const notFound = (name: string) => ({
  kind: "Status",
  status: "Failure",
  reason: "NotFound",
  code: 404,
  message: `"${name}" not found`
})

const kinds: Readonly<Record<string, string>> = { deployments: "Deployment", statefulsets: "StatefulSet" }

/** What the server has of pods, and of what selects them. */
const objects = (pods: ReadonlyMap<string, ServerPod>, { pathname }: URL): Response => {
  const [resource = "", name] = pathname.split("/namespaces/ns/")[1]?.split("/") ?? []
  const metadata = { name, namespace: "ns" }
  switch (resource) {
    case "pods": {
      if (name === undefined) {
        return Response.json({ kind: "PodList", items: Array.from(pods, ([name, pod]) => podOf(name, pod)) })
      }
      const pod = pods.get(name)
      return pod === undefined ? Response.json(notFound(name), { status: 404 }) : Response.json(podOf(name, pod))
    }
    case "services": {
      const ports = [{ name: "page", port: 80, targetPort: "http" }]
      return Response.json({ kind: "Service", metadata, spec: { selector: { app: "web" }, ports } })
    }
    default:
      return Response.json({ kind: kinds[resource], metadata, spec: { selector: { matchLabels: { app: "web" } } } })
  }
}

/** Starts a server with one pod, `p`. */
export const make = Effect.fnUntraced(function*(settings: Settings = {}) {
  const pairs: Array<ServerPair> = []
  const pings: Array<number> = []
  const asked: Array<string> = []
  const authorizations: Array<string | undefined> = []
  let sockets = 0
  let upgrades = 0
  let open = 0
  const pods = new Map<string, ServerPod>([["p", { uid: "first", http: 80 }]])

  const serving = (serve: Effect.Effect<unknown, unknown>): Effect.Effect<void> =>
    Effect.suspend(() => {
      open++
      return serve
    }).pipe(
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => {
        open--
      }))
    )

  const serveSpdy = (
    transport: Carrier,
    pod: string,
    connection: MemoryTransport.MemoryConnection
  ): Effect.Effect<void> =>
    serving(Effect.gen(function*() {
      const socket = ++sockets
      const line = makeLine(transport)
      const streams = SpdyStreams.make({ role: "server" })
      const write = (bytes: Uint8Array | undefined) =>
        bytes === undefined || bytes.length === 0 ? Effect.void : Effect.ignore(connection.write([line.wrap(bytes)]))
      const states = new Map<number, { bytes: number; last: Uint8Array; ended: boolean; reset: boolean }>()
      const errors = new Map<string, number>()
      const byStream = new Map<number, ServerPair>()
      const onEvent = (event: SpdyStreams.Event): Effect.Effect<void> => {
        if (event._tag === "Opened") {
          const { headers, stream } = event
          const get = (name: string): string => SpdyHeaders.get(headers, name) ?? ""
          const takes = settings.takes?.(socket, get("port")) !== false
          const delay = settings.takesAfter?.(socket)
          const pause = delay === undefined ? Effect.void : Effect.sleep(Duration.fromInputUnsafe(delay))
          if (settings.resets?.(get("port")) === true) return write(streams.reset(stream, 5))
          if (get("streamtype") === "error") {
            errors.set(get("requestid"), stream)
            return takes ? Effect.andThen(pause, Effect.suspend(() => write(streams.reply(stream)))) : Effect.void
          }
          const error = errors.get(get("requestid")) ?? 0
          const state = { bytes: 0, last: new Uint8Array(0), ended: false, reset: false }
          states.set(stream, state)
          const data = (to: number, payload: Uint8Array) => {
            const header = new Uint8Array(8)
            streams.data(header, 0, to, payload.length)
            return write(concat(header, payload))
          }
          const pair: ServerPair = {
            socket,
            pod,
            port: get("port"),
            got: () => ({ bytes: state.bytes, ended: state.ended, reset: state.reset }),
            heard: () => new TextDecoder().decode(state.last),
            send: (payload) => data(stream, payload),
            say: (text) => data(error, new TextEncoder().encode(text)),
            end: (type) => write(streams.end(type === "data" ? stream : error)),
            goodbye: transport === "spdy"
              ? write(streams.goAway())
              : Effect.ignore(connection.write([Frame.encodeClose(1000, "", undefined)]))
          }
          pairs.push(pair)
          byStream.set(stream, pair)
          return takes ? write(streams.reply(stream)) : Effect.void
        }
        if (!("stream" in event)) return Effect.void
        const state = states.get(event.stream)
        if (state === undefined) return Effect.void
        if (event._tag === "Data") {
          state.bytes += event.bytes.length
          state.last = event.bytes.slice()
        }
        if (event._tag === "Ended") state.ended = true
        if (event._tag === "Reset") state.reset = true
        const pair = byStream.get(event.stream)
        if (pair === undefined) return Effect.void
        if (event._tag === "Ended" && settings.cuts !== false) {
          const cut = Effect.andThen(pair.end("data"), pair.end("error"))
          return Effect.asVoid(Effect.forkChild(Effect.andThen(Effect.sleep("1 second"), cut)))
        }
        return event._tag === "Data" ? settings.onBytes?.(pair) ?? Effect.void : Effect.void
      }
      while (true) {
        for (const chunk of yield* connection.pull) {
          for (const bytes of line.read(chunk)) for (const event of streams.receive(bytes)) yield* onEvent(event)
          const replies = streams.replies()
          for (let at = 0; at < (replies?.length ?? 0); at += pingBytes) pings.push(socket)
          if (settings.pongs !== false) yield* write(replies)
        }
      }
    }))

  const serveChannels = (
    port: string,
    pod: string,
    connection: MemoryTransport.MemoryConnection
  ): Effect.Effect<void> =>
    serving(Effect.gen(function*() {
      const socket = ++sockets
      const frames = Frame.makeDecoder({ role: "server" })
      const split = RemoteCommand.makeSplitter()
      const write = (bytes: Uint8Array) => Effect.ignore(connection.write([bytes]))
      const message = (channel: number, payload: Uint8Array) =>
        write(Frame.encode({ opcode: Frame.Opcode.Binary, prefix: channel, payload }, undefined))
      const state = { bytes: 0, last: new Uint8Array(0), ended: false, reset: false }
      const pair: ServerPair = {
        socket,
        pod,
        port,
        got: () => ({ bytes: state.bytes, ended: state.ended, reset: state.reset }),
        heard: () => new TextDecoder().decode(state.last),
        send: (payload) => message(0, payload),
        say: (text) => message(1, new TextEncoder().encode(text)),
        // It is the end of the connection that tells; the words have none.
        end: (type) => type === "data" ? Effect.void : write(Frame.encodeClose(1000, "", undefined)),
        goodbye: write(Frame.encodeClose(1000, "", undefined))
      }
      pairs.push(pair)
      const prologue = Uint8Array.of(Number(port) & 0xff, Number(port) >> 8)
      for (const channel of [0, 1]) yield* message(channel, prologue)
      while (true) {
        for (const chunk of yield* connection.pull) {
          for (const event of frames.decode(chunk)) {
            if (event._tag === "Close") return
            if (event._tag === "Ping") {
              yield* write(Frame.encode({ opcode: Frame.Opcode.Pong, payload: event.payload }, undefined))
            }
            const piece = event._tag === "Data" ? split(event) : undefined
            if (piece === undefined) continue
            state.bytes += piece.bytes.length
            state.last = piece.bytes.slice()
            yield* settings.onBytes?.(pair) ?? Effect.void
          }
        }
      }
    }))

  const platform = MemoryTransport.platform({
    request: (_, url) => Effect.sync(() => objects(pods, url)),
    upgrade: Effect.fnUntraced(function*(request) {
      const { pathname, searchParams } = Option.getOrThrow(HttpClientRequest.toUrl(request))
      asked.push(`${request.method} ${pathname.split("/").at(-1)}`)
      authorizations.push(request.headers["authorization"])
      const pod = pathname.split("/").at(-2) ?? ""
      if (!pods.has(pod)) {
        const body = new TextEncoder().encode(JSON.stringify(notFound(pod)))
        return { _tag: "Refused", status: 404, headers: Headers.empty, body }
      }
      const transport = transportOf(request)
      const status = settings.refuses?.(request.method, pathname, transport) ??
        (pods.get(pod)?.isLeaving === true ? 404 : undefined)
      if (status !== undefined || !(settings.speaks ?? ["spdy"]).includes(transport)) {
        return { _tag: "Refused", status: status ?? 400, headers: Headers.empty, body: new Uint8Array(0) }
      }
      const delay = settings.upgradesAfter?.(++upgrades)
      if (delay !== undefined) yield* Effect.sleep(delay)
      const headers = transport === "spdy"
        ? SpdyHandshake.responseHeaders(subprotocols.spdy)
        : WebSocketHandshake.responseHeaders(
          acceptOf(request.headers["sec-websocket-key"] ?? ""),
          subprotocols[transport]
        )
      return {
        _tag: "Accepted",
        headers: Headers.fromInput(headers),
        serve: (connection) =>
          transport === "websocket"
            ? serveChannels(searchParams.get("ports") ?? "0", pod, connection)
            : serveSpdy(transport, pod, connection)
      }
    })
  })
  const client = yield* KubeClient.make({
    endpoint: { url: new URL("https://memory") },
    credentials: settings.credentials ?? Credentials.make(),
    namespace: "ns"
  }).pipe(Effect.provideService(Transport.Platform, platform))
  return {
    client,
    pairs,
    pings,
    asked,
    /** What each of them was authorised by. */
    authorizations,
    sockets: () => sockets,
    open: () => open,
    /** Another pod takes the name. */
    replace: () => {
      pods.set("p", { uid: "second", http: 80 })
    },
    /** A pod of another name takes the place of `p`. */
    roll: (to: string) => {
      pods.delete("p")
      pods.set(to, { uid: to, http: 80 })
    },
    /** The pods by name, to be changed. */
    pods
  }
})
