/**
 * Rows about what goes out with a request, and about answers that are none.
 */
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import {
  ask,
  classified,
  connect,
  execute,
  get,
  readAll,
  see,
  seenThrough,
  serve,
  type Server,
  urlOf
} from "../exchange.ts"
import { closedPort, Peer, type Seen } from "../Peer.ts"
import { http2Codes } from "../peer/Behaviour.ts"
import * as Probes from "../probes.ts"
import { type Channel, check, eventually, failsWith, group, type Row, same, Unmet } from "../Row.ts"

const { each, one } = group("requests")

const values = (seen: Seen, name: string): ReadonlyArray<string> =>
  seen.headers.flatMap(([key, value]) => key === name ? [value] : [])

const credentials = HttpClientRequest.setHeaders({
  authorization: "Bearer secret",
  "user-agent": "contract/1.0 (rows)",
  accept: "application/json",
  "impersonate-user": "jane",
  "impersonate-group": "system:authenticated\ndevelopers, all of them",
  "impersonate-extra-scopes": "view\nedit"
})

const sent: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["authorization", ["Bearer secret"]],
  ["user-agent", ["contract/1.0 (rows)"]],
  ["accept", ["application/json"]],
  ["impersonate-user", ["jane"]],
  // A comma is part of a value.
  ["impersonate-group", ["system:authenticated", "developers, all of them"]],
  ["impersonate-extra-scopes", ["view", "edit"]]
]

const prefixed = (endpoint: Endpoint): Endpoint => ({ ...endpoint, url: new URL("k8s/clusters/c-1", endpoint.url) })

/** Starts a request that is not answered, and interrupts it when the server has it. */
const interrupted = Effect.fnUntraced(function*(
  endpoint: Endpoint,
  exchanges: Effect.Effect<number>,
  channel: Channel
) {
  const transport = yield* connect(endpoint)
  const fiber = yield* Effect.forkChild(ask(transport, channel, get(endpoint, "silence")))
  yield* eventually(Effect.flatMap(exchanges, (n) => check(n === 1, `the server has ${n} requests, not one`)))
  yield* Fiber.interrupt(fiber)
  yield* eventually(Effect.flatMap(exchanges, (n) => check(n === 0, "the server still has the interrupted request")))
})

/** Reads a body that breaks off behind its first line. */
const breaksOff = Effect.fnUntraced(function*({ endpoint, listener }: Server, channel: Channel, behaviour: string) {
  const transport = yield* connect(endpoint)
  const response = yield* execute(transport, channel === "http" ? channel : "streaming", get(endpoint, behaviour))
  const first = yield* Deferred.make<string>()
  const lines = Stream.splitLines(Stream.decodeText(response.stream))
  const reading = yield* Effect.forkChild(
    Effect.exit(classified(transport, Stream.runForEach(lines, (line) => Deferred.succeed(first, line))))
  )
  yield* same(yield* Deferred.await(first), "first", "line")
  yield* listener.release
  const exit = yield* Fiber.join(reading)
  yield* failsWith(exit, "ConnectionLost")
})

export const rows: ReadonlyArray<Row> = [
  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `sends credentials, user agent and repeated headers as they are${tls === undefined ? "" : ", over TLS"}`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint } = yield* serve({ tls })
        const seen = yield* see(yield* connect(endpoint), channel, credentials(get(endpoint, "seen")))
        yield* same(sent.map(([name]) => [name, values(seen, name)] as const), sent, "headers")
      }),
      { inMemory: tls === undefined }
    )
  ),

  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `sends a byte for each character of a header${tls === undefined ? "" : ", over TLS"}`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint } = yield* serve({ tls })
        const transport = yield* connect(endpoint)
        // The last is what servers read as UTF-8, its last byte one that looks like a space.
        for (
          const value of ["\u00fc", "\u00c3\u00bc", "a\tb\u00ff", Buffer.from("jürgen à", "utf8").toString("latin1")]
        ) {
          const request = HttpClientRequest.setHeader(get(endpoint, "seen"), "impersonate-user", value)
          const seen = yield* see(transport, channel, request)
          yield* same(values(seen, "impersonate-user"), [value], "header")
        }
      })
    )
  ),

  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `fails with InvalidRequest for a header that HTTP does not allow, and connects to nothing${
        tls === undefined ? "" : ", over TLS"
      }`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint, listener } = yield* serve({ tls })
        const transport = yield* connect(endpoint)
        for (
          const [name, value] of [
            ["impersonate-user", "secret \u0142"],
            ["impersonate-user", "secret\u0001"],
            ["impersonate-user", "secret\r"],
            ["impersonate-group", "a\nsecret \u20ac"],
            ["imperson\u00e4te", "secret"]
          ] as const
        ) {
          const request = HttpClientRequest.setHeader(get(endpoint, "seen"), name, value)
          const reason = yield* failsWith(ask(transport, channel, request), "InvalidRequest")
          yield* check(reason.message.includes(name), `the message does not name the header: ${reason.message}`)
          yield* check(!reason.message.includes("secret"), "the message holds the value")
        }
        yield* same((yield* listener.stats).accepted, 0, "connections")
      }),
      { inMemory: tls === undefined }
    )
  ),

  ...each(
    "keeps the path prefix of the URL, the encoding of the path, and the order of the query",
    Effect.fnUntraced(
      function*(channel) {
        const server = yield* serve()
        const endpoint = prefixed(server.endpoint)
        const request = get(endpoint, "api/a%2Fb%20c/seen?command=sh&command=-c&command=echo%20a%26b&tty=true")
        const seen = yield* see(yield* connect(endpoint), channel, request)
        yield* same(
          seen.path.replace("%20a%26b", "+a%26b"),
          "/k8s/clusters/c-1/api/a%2Fb%20c/seen?command=sh&command=-c&command=echo+a%26b&tty=true",
          "path"
        )
      }
    ),
    { inMemory: true }
  ),

  ...each(
    "sends the parameters of the request",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve()
      const request = HttpClientRequest.setUrlParams(get(endpoint, "seen"), [["command", "a b"], ["command", "c=d"]])
      const seen = yield* see(yield* connect(endpoint), channel, request)
      yield* same(seen.path.replace("%20", "+"), "/seen?command=a+b&command=c%3Dd", "path")
    }),
    { inMemory: true }
  ),

  ...each(
    "sends a body with its length",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: {} })
      const transport = yield* connect(endpoint)
      const body = JSON.stringify({ kind: "Pod", text: "ü".repeat(40_000) })
      const request = HttpClientRequest.bodyText(
        HttpClientRequest.post(get(endpoint, "seen").url),
        body,
        "application/json"
      )
      const seen = yield* see(transport, channel, request)
      yield* same([seen.method, seen.body.length], ["POST", body.length], "method and body")
      yield* same(values(seen, "content-type"), ["application/json"], "content type")
    }),
    { channels: ["http", "streaming"] }
  ),

  ...each(
    "uses a POST for an upgrade when asked to",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve()
      const request = HttpClientRequest.post(get(endpoint, "seen").url)
      const seen = yield* see(yield* connect(endpoint), channel, request)
      yield* same([seen.method, seen.body], ["POST", ""], "method and body")
    }),
    { channels: ["upgrade"], inMemory: true }
  ),

  one(
    "upgrades are to the protocol that the request names: a WebSocket, SPDY of exec and of forwarded ports",
    Effect.gen(function*() {
      const { endpoint } = yield* serve({ tls: {} })
      const transport = yield* connect(endpoint)
      for (
        const [method, headers] of [
          ["GET", { upgrade: "websocket", "sec-websocket-protocol": "v5.channel.k8s.io, v4.channel.k8s.io" }],
          ["GET", { upgrade: "websocket", "sec-websocket-protocol": "SPDY/3.1+portforward.k8s.io" }],
          ["GET", { upgrade: "SPDY/3.1", "x-stream-protocol-version": "v4.channel.k8s.io" }],
          ["POST", { upgrade: "SPDY/3.1", "x-stream-protocol-version": "portforward.k8s.io" }]
        ] as const
      ) {
        const request = HttpClientRequest.make(method)(get(endpoint, "seen").url, {
          headers: { ...headers, connection: "Upgrade" }
        })
        const answer = yield* transport.upgrade(request)
        if (answer._tag === "Refused") return yield* new Unmet({ message: `refused with ${answer.status}` })
        // What the behaviour writes.
        const seen = JSON.parse(new TextDecoder().decode(yield* readAll(answer.connection))) as Seen
        yield* same(seen.method, method, "method")
        for (const [name, value] of Object.entries(headers)) yield* same(values(seen, name), [value], name)
      }
    })
  ),

  one(
    "upgrades say so in one Connection and one Upgrade header",
    Effect.gen(function*() {
      const { endpoint } = yield* serve()
      const seen = yield* seenThrough(endpoint, "upgrade")
      yield* same(values(seen, "upgrade"), ["contract"], "Upgrade")
      yield* same(values(seen, "connection").map((value) => value.toLowerCase()), ["upgrade"], "Connection")
    })
  ),

  ...each(
    "gives an answer without a body as an empty one, and as a stream that ends",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve()
      const transport = yield* connect(endpoint)
      for (const status of [200, 204, 404]) {
        const request = get(endpoint, `empty?status=${status}`)
        const answer = yield* ask(transport, channel, request)
        yield* same(answer, { status, body: "" }, "answer")
        // Repeated headers go another way where `fetch` would join them.
        const repeated = yield* ask(transport, channel, credentials(request))
        yield* same(repeated, { status, body: "" }, "answer to repeated headers")
      }
    }),
    { channels: ["http", "streaming"], inMemory: true }
  ),

  one(
    "requests one after the other reuse connections",
    Effect.gen(function*() {
      for (const tls of [undefined, { protocols: ["http/1.1"] }, {}] as const) {
        const { endpoint, listener } = yield* serve({ tls })
        const transport = yield* connect(endpoint)
        for (let i = 0; i < 10; i++) yield* see(transport, "http", get(endpoint, "seen"))
        const { accepted } = yield* listener.stats
        // A second one may be made before the first is known to be idle.
        yield* check(accepted <= 2, `${accepted} connections for 10 requests, with TLS ${JSON.stringify(tls)}`)
      }
    })
  ),

  ...each(
    "fails with NotHttp where the answer is not HTTP",
    Effect.fnUntraced(function*(channel) {
      const { endpoint, listener } = yield* serve()
      const transport = yield* connect(endpoint)
      const reason = yield* failsWith(ask(transport, channel, get(endpoint, "garbage")), "NotHttp")
      yield* same(reason.address, listener.address, "address")
    })
  ),

  ...each(
    "fails with ConnectionLost where the connection ends before an answer",
    Effect.fnUntraced(function*(channel) {
      for (const how of ["close", "reset"]) {
        for (const tls of [undefined, {}]) {
          const { endpoint } = yield* serve({ tls })
          yield* failsWith(ask(yield* connect(endpoint), channel, get(endpoint, how)), "ConnectionLost")
        }
      }
    })
  ),

  ...each(
    "fails with Unreachable where the connection is refused",
    Effect.fnUntraced(function*(channel) {
      for (const scheme of ["http", "https"]) {
        for (const host of ["127.0.0.1", "localhost"]) {
          const url = new URL(`${scheme}://${host}:${closedPort}`)
          const reason = yield* failsWith(seenThrough({ url }, channel), "Unreachable")
          yield* same(reason.address, { host, port: closedPort }, "address")
        }
      }
    })
  ),

  ...each(
    "fails with Unreachable where the host is unknown",
    Effect.fnUntraced(function*(channel) {
      const reason = yield* failsWith(
        seenThrough({ url: new URL("https://no-such-host.invalid:6443") }, channel),
        "Unreachable"
      )
      yield* same(reason.address, { host: "no-such-host.invalid", port: 6443 }, "address")
    })
  ),

  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `interrupted before the answer${tls === undefined ? "" : " over TLS"}, leaves nothing at the server`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint, listener } = yield* serve({ tls })
        yield* interrupted(endpoint, Effect.map(listener.stats, ({ exchanges }) => exchanges), channel)
      }),
      { inMemory: tls === undefined }
    )
  ),

  one(
    "an upgrade interrupted while TLS is negotiated closes its connection",
    Effect.gen(function*() {
      const silent = yield* (yield* Peer).listen({ _tag: "Silent" })
      const endpoint = { url: urlOf(silent, "https") }
      const transport = yield* connect(endpoint)
      const fiber = yield* Effect.forkChild(ask(transport, "upgrade", get(endpoint, "seen")))
      const open = Effect.map(silent.stats, (stats) => stats.open)
      yield* eventually(Effect.flatMap(open, (n) => check(n === 1, "no connection was made")))
      yield* Fiber.interrupt(fiber)
      yield* eventually(Effect.flatMap(open, (n) => check(n === 0, "the connection was left open")))
    })
  ),

  ...each(
    "ends a connection that is being made, with the transport's scope",
    Effect.fnUntraced(function*(channel) {
      const silent = yield* (yield* Peer).listen({ _tag: "Silent" })
      const open = Effect.map(silent.stats, (stats) => stats.open)
      const endpoint = { url: urlOf(silent, "https") }
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(endpoint)
        yield* Effect.forkChild(Effect.exit(ask(transport, channel, get(endpoint, "seen"))))
        yield* eventually(Effect.flatMap(open, (n) => check(n === 1, "no connection was made")))
      }))
      yield* eventually(Effect.flatMap(open, (n) => check(n === 0, "the connection was left open")))
    })
  ),

  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `a body that goes silent${
        tls === undefined ? "" : ", over TLS,"
      } neither ends nor fails, and is let go of at once`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint, listener } = yield* serve({ tls })
        const transport = yield* connect(endpoint)
        const first = yield* Deferred.make<string>()
        // The server says no more until it is released.
        const reading = yield* Effect.forkChild(Effect.exit(Effect.scoped(Effect.gen(function*() {
          const response = yield* execute(transport, channel === "http" ? channel : "streaming", get(endpoint, "lines"))
          const lines = Stream.splitLines(Stream.decodeText(response.stream))
          yield* classified(transport, Stream.runForEach(lines, (line) => Deferred.succeed(first, line)))
        }))))
        yield* same(yield* Deferred.await(first), "first", "line")
        const early = yield* Effect.timeoutOption(Fiber.await(reading), "300 millis")
        yield* check(Option.isNone(early), `the silence gave ${String(Option.getOrUndefined(early))}`)
        yield* Fiber.interrupt(reading)
        yield* eventually(
          Effect.flatMap(
            listener.stats,
            ({ exchanges }) => check(exchanges === 0, "the server still has the interrupted request")
          )
        )
      }),
      { channels: ["http", "streaming"], inMemory: tls === undefined }
    )
  ),

  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `fails with ConnectionLost where a body breaks off${tls === undefined ? "" : ", over TLS"}`,
      Effect.fnUntraced(function*(channel) {
        for (const then of ["fin", "reset"]) {
          yield* breaksOff(yield* serve({ tls }), channel, `lines?then=${then}`)
        }
      }),
      { channels: ["http", "streaming"], inMemory: tls === undefined }
    )
  ),

  // Proxies and NATs drop what is idle without a word: a watch would wait for ever.
  ...([undefined, {}] as const).flatMap((tls) =>
    each(
      `has a peer probed that is silent for a minute${tls === undefined ? "" : ", over TLS"}`,
      Effect.fnUntraced(function*(channel) {
        if (!Probes.known) return
        const { endpoint, listener } = yield* serve({ tls })
        const transport = yield* connect(endpoint)
        yield* execute(transport, channel === "http" ? channel : "streaming", get(endpoint, "lines"))
        yield* eventually(Effect.flatMap(
          Probes.secondsTo(listener.address.port),
          (seconds) =>
            check(seconds.length === 1 && seconds.every((n) => n <= 60), `seconds to the next probe: ${seconds.join()}`)
        ))
      }),
      { channels: ["streaming"] }
    )
  ),

  // What ends in the middle with a word of HTTP/2 that is no error: half a log would pass for all of it.
  ...each(
    "fails with ConnectionLost where a server that offers HTTP/2 breaks a body off without an error",
    Effect.fnUntraced(function*(channel) {
      for (const code of Object.values(http2Codes)) {
        yield* breaksOff(yield* serve({ tls: {} }), channel, `lines?then=reset&code=${code}`)
      }
    }),
    { channels: ["streaming"] }
  )
]
