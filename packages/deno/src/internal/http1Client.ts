/**
 * Requests by HTTP/1.1 over connections of a `Connector`: for streams, and for endpoints that `fetch` cannot reach, through
 * a dialler or a proxy, by another server name, without verification.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import { toHttpClientResponse } from "@effect-k8s/core/WebResponse"
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import type { Connector } from "./connector.ts"
import * as Http1 from "./http1.ts"
import { type Body, bodyOf, failed } from "./httpRequest.ts"
import type { RawStream } from "./rawStream.ts"

// API servers keep idle connections for minutes; a client that polls should not pay a handshake each time.
const keepAliveMillis = 60_000

/** A connection that goes from one request to the next. */
class Connection {
  readonly stream: RawStream
  /** Begun while it was idle, to see it end; what it brings belongs to the next request. */
  #reading: Promise<Uint8Array | null> | undefined

  constructor(stream: RawStream) {
    this.stream = stream
  }

  read(): Promise<Uint8Array | null> {
    const reading = this.#reading ?? this.stream.read()
    this.#reading = undefined
    return reading
  }

  /** Tells when anything happens to it. */
  watch(changed: () => void): void {
    this.#reading ??= this.stream.read()
    this.#reading.then(changed, changed)
  }
}

/** Idle connections, the latest last. One that anything happens to, or that nobody wants for a minute, is destroyed. */
class Pool {
  readonly #idle = new Map<Connection, ReturnType<typeof setTimeout>>()

  take(): Connection | undefined {
    const latest = [...this.#idle.keys()].at(-1)
    if (latest !== undefined) this.#forget(latest)
    return latest
  }

  give(connection: Connection): void {
    const drop = (): void => {
      if (this.#forget(connection)) connection.stream.destroy()
    }
    this.#idle.set(connection, setTimeout(drop, keepAliveMillis))
    connection.watch(drop)
  }

  close(): void {
    for (const connection of this.#idle.keys()) {
      this.#forget(connection)
      connection.stream.destroy()
    }
  }

  #forget(connection: Connection): boolean {
    clearTimeout(this.#idle.get(connection))
    return this.#idle.delete(connection)
  }
}

/** Sends a request, as `HttpClient.make` wants it. */
export type Send = (
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  signal: AbortSignal
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError>

/** Makes a client. The scope ends idle connections; all others end with that of the connector. */
export const make = Effect.fnUntraced(function*(
  connector: Connector,
  classify: (cause: unknown) => TransportError
): Effect.fn.Return<Send, never, Scope.Scope> {
  const pool = yield* Effect.acquireRelease(Effect.sync(() => new Pool()), (pool) => Effect.sync(() => pool.close()))
  const connection = Effect.suspend(() => {
    const idle = pool.take()
    return idle === undefined
      ? Effect.map(connector(), (stream) => new Connection(stream))
      : Effect.succeed(idle)
  })

  return Effect.fnUntraced(function*(request, url, signal) {
    const body = yield* bodyOf(request)
    const head = yield* Effect.try({
      try: () => headOf(request, url, body),
      catch: (cause) => failed(request, classify(cause))
    })
    const response = yield* Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
      const used = yield* Effect.mapError(restore(connection), (error) => failed(request, error))
      return yield* restore(Effect.tryPromise({
        try: () => new Exchange(used, pool, signal, classify).run(head, body, request.method),
        catch: (cause) => failed(request, classify(cause))
      })).pipe(Effect.onError(() => Effect.sync(used.stream.destroy)))
    }))
    return toHttpClientResponse(request, response)
  })
})

const headOf = (request: HttpClientRequest.HttpClientRequest, url: URL, body: Body): Uint8Array<ArrayBuffer> =>
  Http1.requestHead({
    method: request.method,
    target: url.pathname + url.search,
    host: url.host,
    headers: request.headers,
    body: body === undefined ? undefined : body instanceof Uint8Array ? body.length : body.length ?? "chunked"
  })

const encoder = new TextEncoder()

/** One request and its answer. */
class Exchange {
  readonly #connection: Connection
  readonly #pool: Pool
  readonly #signal: AbortSignal
  readonly #classify: (cause: unknown) => TransportError
  #over = false
  #sent: Promise<void> = Promise.resolve()
  #isSent = false
  #bodyFailure: { readonly cause: unknown } | undefined

  constructor(connection: Connection, pool: Pool, signal: AbortSignal, classify: (cause: unknown) => TransportError) {
    this.#connection = connection
    this.#pool = pool
    this.#signal = signal
    this.#classify = classify
  }

  async run(head: Uint8Array, body: Body, method: string): Promise<Response> {
    this.#signal.addEventListener("abort", this.#destroy, { once: true })
    if (this.#signal.aborted) this.#destroy()
    // A server may answer before it has read the body, and then not read it at all.
    this.#sent = this.#send(head, body)
    this.#sent.then(() => this.#isSent = true, () => {})
    const parser = new Http1.AnswerParser(method)
    const parts: Array<Http1.Part> = []
    while (parts.length === 0) parts.push(...await this.#next(parser))
    const answer = parts.shift()
    if (answer?._tag !== "Head" || answer.status === 101) {
      throw new Http1.NotHttpAnswer("the server changed the protocol, which nobody asked for")
    }
    const headers = new Headers()
    for (const [name, value] of answer.headers) headers.append(name, value)
    const init = { status: answer.status, headers }
    if (parts[0]?._tag === "End") {
      await this.#finish(parser, parts[0].rest, body)
      return new Response(null, init)
    }
    return new Response(this.#answer(parser, parts, body), init)
  }

  // Pulled: nothing is read before somebody wants it.
  #answer(parser: Http1.AnswerParser, parts: Array<Http1.Part>, body: Body): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        try {
          while (parts.length === 0) parts.push(...await this.#next(parser))
        } catch (cause) {
          this.#destroy()
          controller.error(this.#classify(cause))
          return
        }
        const part = parts.shift()
        if (part?._tag === "Body") controller.enqueue(part.bytes as Uint8Array<ArrayBuffer>)
        if (part?._tag !== "End") return
        await this.#finish(parser, part.rest, body)
        controller.close()
      },
      cancel: this.#destroy
    }, { highWaterMark: 0 })
  }

  async #next(parser: Http1.AnswerParser): Promise<Array<Http1.Part>> {
    try {
      const bytes = await this.#connection.read()
      return bytes === null ? parser.end() : parser.push(bytes)
    } catch (cause) {
      throw this.#bodyFailure === undefined ? cause : this.#bodyFailure.cause
    }
  }

  async #send(head: Uint8Array, body: Body): Promise<void> {
    const { stream } = this.#connection
    await stream.write(head)
    if (body === undefined) return
    if (body instanceof Uint8Array) return await stream.write(body)
    const reader = body.stream.getReader()
    try {
      while (true) {
        const { done, value } = await reader.read().catch((cause: unknown) => {
          // The server waits for the rest: there will be no answer.
          this.#bodyFailure = { cause }
          this.#connection.stream.destroy()
          throw cause
        })
        if (done) break
        if (value.length === 0) continue
        if (body.length === undefined) await stream.write(encoder.encode(`${value.length.toString(16)}\r\n`))
        await stream.write(value)
        if (body.length === undefined) await stream.write(encoder.encode("\r\n"))
      }
      if (body.length === undefined) await stream.write(encoder.encode("0\r\n\r\n"))
    } catch (cause) {
      reader.cancel(cause).catch(() => {})
      throw cause
    }
  }

  // The connection is of use again when both sides have said everything, and nothing else. A server that answers before
  // it has read the body may never read it.
  async #finish(parser: Http1.AnswerParser, rest: Uint8Array, body: Body): Promise<void> {
    if (body === undefined) await this.#sent.catch(() => {})
    if (this.#over) return
    this.#over = true
    this.#signal.removeEventListener("abort", this.#destroy)
    if (parser.keepAlive && rest.length === 0 && this.#isSent) this.#pool.give(this.#connection)
    else this.#connection.stream.destroy()
  }

  readonly #destroy = (): void => {
    if (this.#over) return
    this.#over = true
    this.#signal.removeEventListener("abort", this.#destroy)
    this.#connection.stream.destroy()
  }
}
