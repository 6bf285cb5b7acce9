/**
 * An API server in memory for forwarded connections over SPDY: what it sends of itself is in the hands of the test.
 */
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import * as Transport from "@effect-k8s/core/Transport"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import { concat } from "../protocol/bytes.ts"

/** A forwarded connection, at the server. */
export interface ServerPair {
  readonly socket: number
  readonly port: string
  /** Bytes that have come, and whether the client has ended or reset it. */
  readonly got: () => { readonly bytes: number; readonly ended: boolean; readonly reset: boolean }
  readonly send: (payload: Uint8Array) => Effect.Effect<void>
  readonly say: (text: string) => Effect.Effect<void>
  readonly end: (type: "data" | "error") => Effect.Effect<void>
}

/** How the server behaves. */
export interface Settings {
  /** Whether a connection is taken; all are unless told. */
  readonly takes?: ((socket: number, port: string) => boolean) | undefined
  /** Whether pings are answered; yes unless told. */
  readonly pongs?: boolean | undefined
  /** The status of a refused upgrade; what is no upgrade to SPDY is refused with 400 anyway. */
  readonly refuses?: ((method: string, path: string) => number | undefined) | undefined
  /** The client's; none unless told. */
  readonly credentials?: Credentials.Credentials["Service"] | undefined
}

/** Starts a server with one pod, `p`. */
export const make = Effect.fnUntraced(function*(settings: Settings = {}) {
  const pairs: Array<ServerPair> = []
  const pings: Array<number> = []
  const asked: Array<string> = []
  const authorizations: Array<string | undefined> = []
  let sockets = 0
  let open = 0
  let uid = "first"

  const serve = (connection: MemoryTransport.MemoryConnection): Effect.Effect<void> =>
    Effect.gen(function*() {
      const socket = ++sockets
      open++
      const streams = SpdyStreams.make({ role: "server" })
      const write = (bytes: Uint8Array | undefined) =>
        bytes === undefined || bytes.length === 0 ? Effect.void : Effect.ignore(connection.write([bytes]))
      const states = new Map<number, { bytes: number; ended: boolean; reset: boolean }>()
      const errors = new Map<string, number>()
      const onEvent = (event: SpdyStreams.Event): Effect.Effect<void> => {
        if (event._tag === "Opened") {
          const { headers, stream } = event
          const get = (name: string): string => SpdyHeaders.get(headers, name) ?? ""
          const takes = settings.takes?.(socket, get("port")) !== false
          if (get("streamtype") === "error") {
            errors.set(get("requestid"), stream)
            return takes ? write(streams.reply(stream)) : Effect.void
          }
          const error = errors.get(get("requestid")) ?? 0
          const state = { bytes: 0, ended: false, reset: false }
          states.set(stream, state)
          const data = (to: number, payload: Uint8Array) => {
            const header = new Uint8Array(8)
            streams.data(header, 0, to, payload.length)
            return write(concat(header, payload))
          }
          pairs.push({
            socket,
            port: get("port"),
            got: () => ({ ...state }),
            send: (payload) => data(stream, payload),
            say: (text) => data(error, new TextEncoder().encode(text)),
            end: (type) => write(streams.end(type === "data" ? stream : error))
          })
          return takes ? write(streams.reply(stream)) : Effect.void
        }
        if (!("stream" in event)) return Effect.void
        const state = states.get(event.stream)
        if (state === undefined) return Effect.void
        if (event._tag === "Data") state.bytes += event.bytes.length
        if (event._tag === "Ended") state.ended = true
        if (event._tag === "Reset") state.reset = true
        return Effect.void
      }
      while (true) {
        for (const chunk of yield* connection.pull) {
          for (const event of streams.receive(chunk)) yield* onEvent(event)
          const replies = streams.replies()
          if (replies !== undefined) pings.push(socket)
          if (settings.pongs !== false) yield* write(replies)
        }
      }
    }).pipe(
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => {
        open--
      }))
    )

  const platform = MemoryTransport.platform({
    request: () =>
      Effect.sync(() =>
        Response.json({
          kind: "Pod",
          metadata: { name: "p", namespace: "ns", uid },
          spec: { containers: [{ name: "main" }] },
          status: { phase: "Running" }
        })
      ),
    upgrade: (request) =>
      Effect.sync(() => {
        const { pathname } = Option.getOrThrow(HttpClientRequest.toUrl(request))
        asked.push(`${request.method} ${pathname.split("/").at(-1)}`)
        authorizations.push(request.headers["authorization"])
        const status = settings.refuses?.(request.method, pathname)
        if (status !== undefined || request.headers["upgrade"] !== SpdyHandshake.upgradeName) {
          return { _tag: "Refused", status: status ?? 400, headers: Headers.empty, body: new Uint8Array(0) }
        }
        return {
          _tag: "Accepted",
          headers: Headers.fromInput(SpdyHandshake.responseHeaders("portforward.k8s.io")),
          serve
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
      uid = "second"
    }
  }
})
