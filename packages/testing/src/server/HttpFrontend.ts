/**
 * Real sockets in front of a `Handler`: HTTP/1.1 over TCP or TLS, on the loopback only.
 *
 * Node parses the requests and frames the answers; upgrades and raw answers go past it, byte for byte.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import * as NodeStream from "@effect/platform-node-shared/NodeStream"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import type { Identity } from "./Certificates.ts"
import { clientCertificate } from "./clientCertificate.ts"
import type { Handler, ServerRequest } from "./Exchange.ts"
import * as HttpWriter from "./HttpWriter.ts"

/** TLS of the server: its certificate, and the authority whose client certificates it believes (PEM). */
export interface Tls {
  readonly identity: Identity
  readonly clientAuthority: string
}

/** What `make` takes. */
export interface Options {
  readonly handler: Handler
  /** Requests whose bodies are not read before they are answered; none unless told. */
  readonly streams?: ((request: Pick<ServerRequest, "method" | "url">) => boolean) | undefined
  /** Without it the server speaks plain HTTP. */
  readonly tls?: Tls | undefined
  readonly host?: "127.0.0.1" | "::1" | undefined
}

/** Counts of the moment, and since the start. */
export interface Stats {
  /** Connections that are open, upgraded ones included. */
  readonly openSockets: number
  /** Requests whose answer is not complete, and upgraded connections. */
  readonly openExchanges: number
  /** Connections accepted since the start. */
  readonly connections: number
}

/** A listening server. */
export interface HttpFrontend {
  readonly address: Address
  readonly url: URL
  readonly stats: Effect.Effect<Stats>
  /** Cuts every connection, as a server that is restarted does. */
  readonly disconnect: Effect.Effect<void>
}

// What a real API server takes; and room for the URL of an exec with a long command.
const bodyLimit = 3 * 1024 * 1024
const maxHeaderSize = 1024 * 1024

/** Starts a server on a free port. The scope stops it: every exchange and every socket ends at once. */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<HttpFrontend, never, Scope.Scope> {
  const host = options.host ?? "127.0.0.1"
  const sockets = new Set<Socket>()
  let connections = 0
  let openExchanges = 0

  const server = yield* Effect.acquireRelease(
    listen(createServer(options.tls), host),
    (server) =>
      Effect.callback<void>((resume) => {
        let open = sockets.size + 1
        const closed = (): void => {
          if (--open === 0) resume(Effect.void)
        }
        server.close(closed)
        for (const socket of sockets) socket.once("close", closed).destroy()
      })
  )
  // Made after the server, so the fibers end before it is closed.
  const run = yield* FiberSet.makeRuntime<never, void>()

  // A reset happens on the TCP socket. A TLS socket does not give its own away, but has the same remote port.
  const reset = (socket: Socket): void => {
    const port = socket.remotePort
    for (const candidate of sockets) if (candidate.remotePort === port) candidate.resetAndDestroy()
  }
  const exchange = (message: Http.IncomingMessage, response: Http.ServerResponse, head?: Uint8Array): void => {
    const socket = message.socket
    const wire: HttpWriter.Wire = { response, socket, reset: () => reset(socket), head }
    run(Effect.acquireUseRelease(
      Effect.sync(() => openExchanges++),
      () => Effect.scoped(serve(options, message, wire)),
      () => Effect.sync(() => openExchanges--)
    ))
  }
  server.on("connection", (socket) => {
    connections++
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  server.on("request", (message, response) => exchange(message, response))
  server.on("upgrade", (message, stream, head) => {
    // Errors of the socket are ours from here on; those that matter come as failures of reads and writes.
    stream.on("error", () => {})
    const response = new Http.ServerResponse(message)
    response.shouldKeepAlive = false
    response.assignSocket(message.socket)
    exchange(message, response, head)
  })

  const bound = server.address()
  const port = typeof bound === "object" && bound !== null ? bound.port : 0
  return {
    address: { host, port },
    url: new URL(`${options.tls === undefined ? "http" : "https"}://${host === "::1" ? "[::1]" : host}:${port}`),
    stats: Effect.sync(() => ({ openSockets: sockets.size, openExchanges, connections })),
    disconnect: Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
    })
  }
})

const createServer = (tls: Tls | undefined): Http.Server => {
  // Idle connections stay until the client ends them: a real server keeps them for longer than a test runs.
  const common = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, maxHeaderSize, noDelay: true }
  return tls === undefined ? Http.createServer(common) : Https.createServer({
    ...common,
    cert: tls.identity.cert,
    key: Redacted.value(tls.identity.key),
    ca: tls.clientAuthority,
    // A certificate is asked for and not demanded; what does not verify is as if it were not there.
    requestCert: true,
    rejectUnauthorized: false
  })
}

const listen = <S extends Http.Server>(server: S, host: string): Effect.Effect<S> =>
  Effect.callback((resume) => {
    server.once("error", (cause) => resume(Effect.die(cause)))
    server.listen(0, host, () => resume(Effect.succeed(server)))
  })

const serve = Effect.fnUntraced(
  function*(
    { handler, streams }: Options,
    message: Http.IncomingMessage,
    wire: HttpWriter.Wire
  ): Effect.fn.Return<void, Cause.Done, Scope.Scope> {
    // The client that leaves ends its request. An upgraded connection is left to its protocol, which sees the end itself.
    const unless = <A>(
      end: Effect.Effect<void>,
      effect: Effect.Effect<A, never, Scope.Scope>
    ): Effect.Effect<A, Cause.Done, Scope.Scope> => Effect.raceFirst(effect, Effect.andThen(end, Cause.done()))

    const answer = Effect.gen(function*() {
      if (streams?.({ method: message.method ?? "GET", url: urlOf(message) }) === true) {
        return yield* handler({ ...request(message, new Uint8Array(0)), stream: streamOf(message) })
      }
      const body = yield* readBody(message)
      return body === undefined ? HttpWriter.tooLarge(bodyLimit) : yield* handler(request(message, body))
    })
    const response = yield* unless(wire.head === undefined ? closed(wire.socket) : ended(wire.socket), answer)
    if (response._tag === "Upgrade") return yield* HttpWriter.upgrade(wire, response)
    yield* unless(closed(wire.socket), HttpWriter.write(wire, response))
  },
  (effect, _options, _message, { socket }) => Effect.catchTag(effect, "Done", () => Effect.sync(() => socket.destroy()))
)

const closed = (socket: Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const onClose = (): void => resume(Effect.void)
    if (socket.destroyed) return onClose()
    socket.once("close", onClose)
    return Effect.sync(() => socket.off("close", onClose))
  })

// Nobody reads a socket that asks for an upgrade while its answer is made, so its end is looked for here. What the
// client has sent stays where it is.
const ended = (socket: Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const onEnd = (): void => resume(Effect.void)
    const look = (): void => {
      if (socket.readableLength === 0) socket.read()
    }
    if (socket.destroyed) return onEnd()
    socket.on("readable", look)
    socket.once("end", onEnd)
    socket.once("close", onEnd)
    return Effect.sync(() => socket.off("readable", look).off("end", onEnd).off("close", onEnd))
  })

// The whole body, or nothing when it is larger than the limit. A body that breaks off never ends: its socket closes.
const readBody = (message: Http.IncomingMessage): Effect.Effect<Uint8Array | undefined> =>
  Effect.callback((resume) => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    message.on("data", (chunk: Uint8Array) => {
      size += chunk.length
      if (size <= bodyLimit) chunks.push(chunk)
      else resume(Effect.undefined)
    })
    message.on("end", () => resume(Effect.succeed(Buffer.concat(chunks))))
    message.on("error", () => {})
  })

// A body that breaks off never ends: its socket closes.
const streamOf = (message: Http.IncomingMessage): Stream.Stream<Uint8Array> =>
  Stream.catch(
    NodeStream.fromReadable<Uint8Array, unknown>({ evaluate: () => message, closeOnDone: false }),
    () => Stream.never
  )

const urlOf = (message: Http.IncomingMessage): URL => new URL(message.url ?? "/", "http://localhost")

const request = (message: Http.IncomingMessage, body: Uint8Array): ServerRequest => {
  const headers = new Map<string, Array<string>>()
  for (let i = 0; i + 1 < message.rawHeaders.length; i += 2) {
    const name = message.rawHeaders[i]?.toLowerCase() ?? ""
    const values = headers.get(name) ?? []
    values.push(message.rawHeaders[i + 1] ?? "")
    headers.set(name, values)
  }
  return {
    method: message.method ?? "GET",
    url: urlOf(message),
    headers,
    body: Effect.succeed(body),
    certificate: clientCertificate(message.socket)
  }
}
