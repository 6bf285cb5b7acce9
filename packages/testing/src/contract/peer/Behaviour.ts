/**
 * What the servers of the contract do with a request: the last segment of its path names it, the query has its options.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Bytes from "effect/Bytes"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Cut } from "../../server/Cut.ts"
import type { ServerConnection, ServerRequest, ServerResponse, UpgradeResponse } from "../../server/Exchange.ts"
import * as Pattern from "../Pattern.ts"
import type { Seen } from "../Peer.ts"

/** A request with what the rows look at besides. */
export interface PeerRequest extends ServerRequest, Omit<Seen, "body" | "method" | "headers" | "user"> {
  /** Names in lower case, in order of arrival. */
  readonly headerLines: Seen["headers"]
}

/** What behaviours of one server share: counts for the rows, and a latch that they open. */
export class State {
  received = 0
  sent = 0
  readonly released: Latch.Latch = Latch.makeUnsafe(false)
}

const encoder = new TextEncoder()
const eol = "\r\n"

/** The head of an upgrade. */
export const switching = ["HTTP/1.1 101 Switching Protocols", "Upgrade: contract", "Connection: Upgrade", "", ""].join(
  eol
)

const upgrade = (
  serve: (connection: ServerConnection) => Effect.Effect<void, TransportError | Cause.Done, Scope.Scope>
): UpgradeResponse => ({
  _tag: "Upgrade",
  headers: { Upgrade: "contract", Connection: "Upgrade", "X-Contract": "yes" },
  // The client that leaves ends the behaviour.
  serve: (connection) => Effect.ignore(serve(connection))
})

const json = (status: number, value: unknown): ServerResponse => ({
  _tag: "Body",
  status,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(value)
})

const raw = (bytes: string | Uint8Array, end: "fin" | "reset" | "hold"): ServerResponse => ({
  _tag: "Raw",
  bytes: typeof bytes === "string" ? encoder.encode(bytes) : bytes,
  end
})

const drain = (connection: ServerConnection, state: State, digester: Pattern.Digester) =>
  Effect.catchTag(
    Effect.forever(Effect.map(connection.pull, (chunks) => {
      for (const chunk of chunks) {
        digester.add(chunk)
        state.received += chunk.length
      }
    })),
    "Done",
    () => Effect.void
  )

const write = (connection: ServerConnection, state: State, chunk: Uint8Array) =>
  Effect.tap(connection.write([chunk]), () =>
    Effect.sync(() => {
      state.sent += chunk.length
    }))

const echo = (state: State) =>
  upgrade((connection) =>
    connection.pull.pipe(
      Effect.tap((chunks) => connection.write(chunks)),
      Effect.tap((chunks) =>
        Effect.sync(() => {
          for (const chunk of chunks) state.received += chunk.length
        })
      ),
      Effect.forever,
      Effect.catchTag("Done", () => connection.end)
    )
  )

/** Reads to the FIN, then tells what arrived, and how much is asked for of the pattern besides. */
const sink = (state: State, hold: boolean, answerBytes: number) =>
  upgrade(Effect.fnUntraced(function*(connection) {
    if (hold) yield* state.released.await
    const digester = Pattern.digester()
    yield* drain(connection, state, digester)
    yield* connection.write([encoder.encode(JSON.stringify(digester.digest()))])
    for (const chunk of Pattern.chunks(answerBytes)) yield* write(connection, state, chunk)
    yield* connection.end
  }))

const source = (state: State, bytes: number, then: string) =>
  upgrade(Effect.fnUntraced(function*(connection) {
    for (const chunk of Pattern.chunks(bytes)) yield* write(connection, state, chunk)
    // A reset costs the peer what it has not read: it says when it has.
    if (then === "reset") return yield* Effect.andThen(state.released.await, connection.reset)
    if (then === "close") return
    if (then !== "hold") yield* connection.end
    yield* drain(connection, state, Pattern.digester())
  }))

const body = (state: State, bytes: number): Stream.Stream<Uint8Array> =>
  Stream.suspend(() =>
    Stream.fromIterable(Pattern.chunks(bytes), { chunkSize: 1 }).pipe(
      Stream.tap((chunk) =>
        Effect.sync(() => {
          state.sent += chunk.length
        })
      )
    )
  )

/** Codes that a stream of HTTP/2 may be reset with although nothing was wrong (RFC 9113 7). */
export const http2Codes = { NO_ERROR: 0, CANCEL: 8 } as const

const lines = (state: State, then: string, http2Code: number | undefined): Stream.Stream<Uint8Array> => {
  const line = (text: string) => encoder.encode(`${text}\n`)
  const rest = then === "end"
    ? Effect.succeed(line("second"))
    : Effect.die(new Cut({ end: then === "fin" ? "fin" : "reset", http2Code }))
  return Stream.concat(
    Stream.succeed(line("first")),
    Stream.fromEffect(Effect.andThen(state.released.await, rest))
  )
}

/** The body of a refusal with a reason. */
export const refusal = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "Forbidden", code: 403 }

const head = (status: string, ...headers: ReadonlyArray<string>): string =>
  [`HTTP/1.1 ${status}`, ...headers, "", ""].join(eol)

// With a pause, so that the server gets to notice that the client has left.
const endless: Stream.Stream<Uint8Array> = Stream.forever(
  Stream.fromEffect(Effect.as(Effect.sleep(0), new Uint8Array(4096).fill(0x78)))
)

const refuse = (how: string, bytes: number): ServerResponse => {
  switch (how) {
    // As a real server refuses a subprotocol.
    case "bare":
      return raw(head("403 Forbidden", "Connection: close"), "fin")
    case "chunked":
      return {
        _tag: "Stream",
        status: 403,
        headers: { "Content-Type": "application/json" },
        body: Stream.fromIterable(JSON.stringify(refusal).match(/.{1,7}/g) ?? []).pipe(
          Stream.encodeText,
          Stream.rechunk(1)
        )
      }
    case "long":
      return { _tag: "Body", status: 500, headers: {}, body: new Uint8Array(bytes).fill(0x78) }
    case "endless":
      return { _tag: "Stream", status: 500, headers: {}, body: endless }
    case "broken by fin":
      return raw(`${head("503 Service Unavailable", "Content-Length: 1000")}only this`, "fin")
    case "broken by reset":
      return {
        _tag: "Stream",
        status: 503,
        headers: {},
        body: Stream.concat(Stream.succeed(encoder.encode("only this")), Stream.die(new Cut({ end: "reset" })))
      }
    case "after an interim answer":
      return raw(
        `${head("103 Early Hints", "Link: </style.css>")}${head("403 Forbidden", "Content-Length: 4")}late`,
        "hold"
      )
    default:
      return json(403, refusal)
  }
}

/** Answers a request of a row. */
export const handle = Effect.fnUntraced(function*(
  state: State,
  request: PeerRequest
): Effect.fn.Return<ServerResponse, never, Scope.Scope> {
  const upgrades = request.headers.has("upgrade")
  const query = request.url.searchParams
  const number = (name: string): number => Number(query.get(name) ?? "0")
  const name = request.url.pathname.split("/").at(-1) ?? ""
  switch (name) {
    case "seen": {
      const seen = toSeen(request, new TextDecoder().decode(yield* request.body))
      return upgrades
        ? upgrade((connection) =>
          Effect.andThen(connection.write([encoder.encode(JSON.stringify(seen))]), connection.end)
        )
        : json(200, seen)
    }
    case "empty":
      return { _tag: "Body", status: Number(query.get("status")), headers: {}, body: "" }
    case "refuse":
      return refuse(query.get("how") ?? "", number("bytes"))
    case "early":
      // One write, so that the bytes come with the head.
      return raw(Bytes.concat([encoder.encode(switching), ...Pattern.chunks(number("bytes"))]), "hold")
    case "cut":
      return raw(switching.slice(0, number("at")), query.get("end") === "reset" ? "reset" : "fin")
    case "garbage":
      return raw(`SSH-2.0-OpenSSH_9.6${eol}`, "fin")
    case "close":
      return raw("", "fin")
    case "reset":
      return raw("", "reset")
    case "silence":
      return yield* Effect.never
    case "echo":
      return echo(state)
    case "sink":
      return sink(state, query.has("hold"), number("bytes"))
    case "source":
      return upgrades
        ? source(state, number("bytes"), query.get("then") ?? "fin")
        : { _tag: "Stream", status: 200, headers: {}, body: body(state, number("bytes")) }
    case "lines":
      return {
        _tag: "Stream",
        status: 200,
        headers: {},
        body: lines(state, query.get("then") ?? "end", query.has("code") ? number("code") : undefined)
      }
    default:
      return json(404, { kind: "Status", code: 404, message: `no behaviour ${name}` })
  }
})

const toSeen = (request: PeerRequest, body: string): Seen => ({
  method: request.method,
  path: request.path,
  headers: request.headerLines,
  body,
  httpVersion: request.httpVersion,
  serverName: request.serverName,
  user: request.certificate?.user
})
