import * as Certificates from "@effect-k8s/testing/server/Certificates"
import { Cut } from "@effect-k8s/testing/server/Cut"
import type { Handler, ServerConnection, ServerResponse } from "@effect-k8s/testing/server/Exchange"
import * as HttpFrontend from "@effect-k8s/testing/server/HttpFrontend"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { execFile } from "node:child_process"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { eventually } from "./support/Eventually.ts"

const text = (status: number, body: string, headers: Record<string, string> = {}): ServerResponse => ({
  _tag: "Body",
  status,
  headers: { "Content-Type": "text/plain", ...headers },
  body
})

const plain = (handler: Handler) => HttpFrontend.make({ handler })

/** Sends bytes and gives everything that comes back, and how it ended. */
const raw = (address: { readonly host: string; readonly port: number }, send: string | Uint8Array) =>
  Effect.callback<{ readonly bytes: string; readonly end: string }>((resume) => {
    const socket = Net.connect(address.port, address.host)
    const chunks: Array<Buffer> = []
    let end = "none"
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("end", () => {
      end = "fin"
      socket.end()
    })
    socket.on("error", (cause: NodeJS.ErrnoException) => (end = cause.code ?? "error"))
    socket.on("close", () => resume(Effect.succeed({ bytes: Buffer.concat(chunks).toString("latin1"), end })))
    socket.write(send)
    return Effect.sync(() => socket.destroy())
  })

const get = (url: URL, options: Https.RequestOptions = {}) =>
  Effect.callback<
    { readonly status: number; readonly headers: Http.IncomingHttpHeaders; readonly body: string },
    Error
  >(
    (resume) => {
      const module = url.protocol === "https:" ? Https : Http
      const request = module.request(url, { agent: false, ...options }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", (cause) => resume(Effect.fail(cause)))
        response.on("end", () =>
          resume(Effect.succeed({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString()
          })))
      })
      request.on("error", (cause) => resume(Effect.fail(cause)))
      request.end()
    }
  )

const upgradeRequest = "GET /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

const upgradeTo = (serve: (connection: ServerConnection) => Effect.Effect<void, never, Scope.Scope>): Handler => () =>
  Effect.succeed({ _tag: "Upgrade", headers: { Upgrade: "websocket", Connection: "Upgrade" }, serve })

describe("requests", () => {
  it.effect("reach the handler with method, path, query, repeated headers and body", () =>
    Effect.gen(function*() {
      const server = yield* plain(Effect.fnUntraced(function*(request) {
        const body = yield* request.body
        return text(
          200,
          [
            request.method,
            request.url.pathname,
            request.url.searchParams.getAll("command").join("+"),
            request.headers.get("impersonate-group")?.join("+"),
            new TextDecoder().decode(body)
          ].join(" ")
        )
      }))
      const answer = yield* raw(
        server.address,
        "POST /api/v1/x?command=a&command=b%20c HTTP/1.1\r\nHost: x\r\nImpersonate-Group: g1\r\nimpersonate-group: g2\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
      )
      assert.match(answer.bytes, /^HTTP\/1\.1 200 OK\r\n/)
      assert.match(answer.bytes, /POST \/api\/v1\/x a\+b c g1\+g2 body$/)
    }))

  it.effect("with a body above the limit are refused with 413 before the handler runs", () =>
    Effect.gen(function*() {
      let handled = 0
      const server = yield* plain(() => Effect.sync(() => text(200, String(++handled))))
      const body = Buffer.alloc(3 * 1024 * 1024 + 1)
      const head = `PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`
      const answer = yield* raw(server.address, Buffer.concat([Buffer.from(head), body]))
      assert.match(answer.bytes, /^HTTP\/1\.1 413 /)
      assert.strictEqual(handled, 0)
    }))

  it.effect("are interrupted when the client goes away", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const server = yield* plain(() =>
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
      )
      const client = Net.connect(server.address.port, server.address.host)
      client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      yield* Deferred.await(started)
      client.destroy()
      yield* Deferred.await(ended)
      yield* eventually(
        server.stats,
        (stats) => assert.deepStrictEqual([stats.openSockets, stats.openExchanges], [0, 0])
      )
    }))
})

describe("stream answers", () => {
  it.effect("are flushed element by element", () =>
    Effect.gen(function*() {
      const proceed = yield* Deferred.make<void>()
      const server = yield* plain(() =>
        Effect.succeed({
          _tag: "Stream",
          status: 200,
          headers: {},
          body: Stream.concat(
            Stream.make(new TextEncoder().encode("first\n")),
            Stream.fromEffect(Effect.as(Deferred.await(proceed), new TextEncoder().encode("second\n")))
          )
        })
      )
      const seen = yield* Deferred.make<string>()
      const all: Array<string> = []
      const client = Net.connect(server.address.port, server.address.host)
      client.on("data", (chunk) => {
        all.push(chunk.toString())
        if (all.join("").includes("first")) Deferred.doneUnsafe(seen, Effect.succeed(all.join("")))
      })
      client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      assert.notInclude(yield* Deferred.await(seen), "second")
      yield* Deferred.succeed(proceed, undefined)
      yield* eventually(Effect.sync(() => all.join("")), (got) => assert.match(got, /second\n\r\n0\r\n\r\n$/))
    }))

  for (const [end, expected] of [["fin", "fin"], ["reset", "ECONNRESET"]] as const) {
    it.effect(`that die are cut with a ${end}, without the end of the body`, () =>
      Effect.gen(function*() {
        const received = yield* Deferred.make<void>()
        const server = yield* plain(() =>
          Effect.succeed({
            _tag: "Stream",
            status: 200,
            headers: {},
            body: Stream.concat(
              Stream.make(new TextEncoder().encode("part")),
              Stream.fromEffect(Effect.andThen(Deferred.await(received), Effect.die(new Cut({ end }))))
            )
          })
        )
        const client = Net.connect(server.address.port, server.address.host)
        let got = ""
        const ending = yield* Deferred.make<string>()
        client.on("data", (chunk) => {
          got += chunk.toString()
          if (got.includes("part")) Deferred.doneUnsafe(received, Effect.void)
        })
        client.on("end", () => Deferred.doneUnsafe(ending, Effect.succeed("fin")))
        client.on("error", (cause: NodeJS.ErrnoException) =>
          Deferred.doneUnsafe(ending, Effect.succeed(cause.code ?? "?")))
        client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert.strictEqual(yield* Deferred.await(ending), expected)
        assert.notInclude(got, "0\r\n\r\n")
      }))
  }
})

describe("upgrades", () => {
  it.effect("answer 101 with exactly the headers given, and give the bytes that came with the request first", () =>
    Effect.gen(function*() {
      const server = yield* plain(() =>
        Effect.succeed({
          _tag: "Upgrade",
          headers: { "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": "" },
          serve: (connection) =>
            Effect.gen(function*() {
              const first = yield* connection.pull
              yield* connection.write([Buffer.from("<"), ...first, Buffer.from(">")])
              yield* connection.end
              return yield* Effect.forever(connection.pull)
            }).pipe(Effect.ignoreCause)
        })
      )
      const answer = yield* raw(server.address, upgradeRequest + "early")
      assert.strictEqual(
        answer.bytes,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: \r\n\r\n<early>"
      )
      assert.strictEqual(answer.end, "fin")
    }))

  it.effect("can be refused with an ordinary answer, after which the connection ends", () =>
    Effect.gen(function*() {
      const server = yield* plain(() => Effect.succeed(text(403, "no", { "Audit-Id": "7" })))
      const answer = yield* raw(server.address, upgradeRequest)
      assert.match(answer.bytes, /^HTTP\/1\.1 403 Forbidden\r\n/)
      assert.match(answer.bytes, /Connection: close\r\n/)
      assert.match(answer.bytes, /Audit-Id: 7\r\n/)
      assert.match(answer.bytes, /Content-Length: 2\r\n/)
      assert.match(answer.bytes, /\r\n\r\nno$/)
      assert.strictEqual(answer.end, "fin")
    }))

  for (const tls of [false, true]) {
    it.effect(`push back on a client that sends more than is pulled (${tls ? "TLS" : "TCP"})`, () =>
      Effect.gen(function*() {
        const authority = yield* Certificates.make
        const identity = yield* authority.issueServer(["127.0.0.1"])
        const release = yield* Deferred.make<void>()
        const total = 64 * 1024 * 1024
        let received = 0
        const handler = upgradeTo((connection) =>
          Deferred.await(release).pipe(
            Effect.andThen(
              Effect.forever(Effect.map(connection.pull, (chunks) => {
                for (const chunk of chunks) received += chunk.length
              }))
            ),
            Effect.ignoreCause
          )
        )
        const server = yield* HttpFrontend.make({
          handler,
          ...(tls ? { tls: { identity, clientAuthority: authority.cert } } : {})
        })
        const { host, port } = server.address
        const client = tls ? Tls.connect({ host, port, ca: authority.cert }) : Net.connect(port, host)
        client.write(upgradeRequest)
        let stalledAt = 0
        const block = Buffer.alloc(1024 * 1024)
        const send = (left: number): void => {
          if (left === 0) return
          client.write(block, () => {
            stalledAt += block.length
            send(left - block.length)
          })
        }
        send(total)
        let before = -1
        yield* eventually(
          Effect.sync(() => {
            const same = before === stalledAt && stalledAt > 0
            before = stalledAt
            return same
          }),
          (same) => assert.isTrue(same)
        )
        assert.isBelow(stalledAt, total)
        assert.strictEqual(received, 0)
        yield* Deferred.succeed(release, undefined)
        yield* eventually(Effect.sync(() => received), (count) => assert.strictEqual(count, total))
        client.destroy()
      }))
  }

  it.effect("make a write wait while the client does not read", () =>
    Effect.gen(function*() {
      let written = 0
      const block = new Uint8Array(1024 * 1024)
      const server = yield* plain(upgradeTo((connection) =>
        connection.write([block]).pipe(
          Effect.tap(() => Effect.sync(() => (written += block.length))),
          Effect.forever,
          Effect.ignoreCause
        )
      ))
      const client = Net.connect(server.address.port, server.address.host)
      client.pause()
      client.write(upgradeRequest)
      let before = -1
      yield* eventually(
        Effect.sync(() => {
          const same = before === written && written > 0
          before = written
          return same
        }),
        (same) => assert.isTrue(same)
      )
      assert.isBelow(written, 64 * 1024 * 1024)
      client.destroy()
    }))

  for (const tls of [false, true]) {
    it.effect(`can be reset (${tls ? "TLS" : "TCP"})`, () =>
      Effect.gen(function*() {
        const authority = yield* Certificates.make
        const identity = yield* authority.issueServer(["127.0.0.1"])
        const server = yield* HttpFrontend.make({
          // Not before the client has read the answer: Node 22 takes data and a reset at once for a clean end.
          handler: upgradeTo((connection) => Effect.andThen(Effect.ignore(connection.pull), connection.reset)),
          ...(tls ? { tls: { identity, clientAuthority: authority.cert } } : {})
        })
        const { host, port } = server.address
        const client = tls ? Tls.connect({ host, port, ca: authority.cert }) : Net.connect(port, host)
        client.write(upgradeRequest)
        client.on("data", () => client.write("now"))
        const code = yield* Effect.callback<string>((resume) => {
          client.on("error", (cause: NodeJS.ErrnoException) => resume(Effect.succeed(cause.code ?? "?")))
          client.on("end", () => resume(Effect.succeed("fin")))
        })
        assert.strictEqual(code, "ECONNRESET")
      }))
  }

  it.effect("end with a FIN of the client as Done, after all its bytes", () =>
    Effect.gen(function*() {
      const result = yield* Deferred.make<readonly [string, boolean]>()
      const server = yield* plain(upgradeTo(Effect.fnUntraced(function*(connection) {
        let got = ""
        const exit = yield* Effect.exit(Effect.forever(Effect.map(connection.pull, (chunks) => {
          for (const chunk of chunks) got += new TextDecoder().decode(chunk)
        })))
        const done = Exit.isFailure(exit) &&
          exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && Cause.isDone(reason.error))
        yield* Deferred.succeed(result, [got, done] as const)
      })))
      const client = Net.connect(server.address.port, server.address.host)
      client.write(upgradeRequest)
      client.end("tail")
      assert.deepStrictEqual(yield* Deferred.await(result), ["tail", true])
    }))
})

describe("raw answers", () => {
  for (const upgrade of [false, true]) {
    const request = upgrade ? upgradeRequest : "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    const label = upgrade ? "an upgrade" : "a request"
    it.effect(`to ${label} are byte-exact and end as told`, () =>
      Effect.gen(function*() {
        const bytes = new TextEncoder().encode("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
        const fin = yield* plain(() => Effect.succeed({ _tag: "Raw", bytes, end: "fin" }))
        assert.deepStrictEqual(yield* raw(fin.address, request), {
          bytes: "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n",
          end: "fin"
        })
        const reset = yield* plain(() => Effect.succeed({ _tag: "Raw", bytes: new Uint8Array(0), end: "reset" }))
        assert.deepStrictEqual(yield* raw(reset.address, request), { bytes: "", end: "ECONNRESET" })
      }))
  }

  it.effect("that hold keep the connection open until the client leaves", () =>
    Effect.gen(function*() {
      const server = yield* plain(() => Effect.succeed({ _tag: "Raw", bytes: Uint8Array.of(72), end: "hold" }))
      const client = Net.connect(server.address.port, server.address.host)
      client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      yield* Effect.callback<void>((resume) => {
        client.once("data", () => resume(Effect.void))
      })
      assert.strictEqual((yield* server.stats).openExchanges, 1)
      client.destroy()
      yield* eventually(server.stats, (stats) => assert.strictEqual(stats.openExchanges, 0))
    }))
})

describe("TLS", () => {
  it.effect("serves a certificate for its names that verifies against the authority alone", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const identity = yield* authority.issueServer(["localhost", "127.0.0.1", "::1"])
      const server = yield* HttpFrontend.make({
        handler: () => Effect.succeed(text(200, "ok")),
        tls: { identity, clientAuthority: authority.cert }
      })
      const url = server.url
      assert.strictEqual((yield* get(url, { ca: authority.cert })).body, "ok")
      const byName = new URL(`https://localhost:${server.address.port}`)
      const lookup: Net.LookupFunction = (_name, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }])
      assert.strictEqual((yield* get(byName, { ca: authority.cert, lookup })).body, "ok")
      const other = yield* Certificates.make
      assert.isTrue(Exit.isFailure(yield* Effect.exit(get(url, { ca: other.cert }))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(get(url))))
    }))

  it.effect("tells the handler the user and groups of a client certificate of its authority, and of no other", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const identity = yield* authority.issueServer(["127.0.0.1"])
      const server = yield* HttpFrontend.make({
        handler: (request) => Effect.succeed(text(200, JSON.stringify(request.certificate ?? null))),
        tls: { identity, clientAuthority: authority.cert }
      })
      const ask = (cert: Certificates.Identity) =>
        get(server.url, { ca: authority.cert, cert: cert.cert, key: Redacted.value(cert.key) })
      const two = yield* ask(yield* authority.issueClient("jane", ["dev", "ops"]))
      assert.deepStrictEqual(JSON.parse(two.body), { user: "jane", groups: ["dev", "ops"] })
      const none = yield* ask(yield* authority.issueClient("joe", []))
      assert.deepStrictEqual(JSON.parse(none.body), { user: "joe", groups: [] })
      const other = yield* Certificates.make
      assert.strictEqual((yield* ask(yield* other.issueClient("mallory", ["system:masters"]))).body, "null")
      assert.strictEqual((yield* get(server.url, { ca: authority.cert })).body, "null")
    }))

  it.effect("is accepted by an independent reader of certificates", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const identity = yield* authority.issueServer(["localhost", "127.0.0.1", "::1"])
      const output = yield* Effect.callback<string>((resume) => {
        const child = execFile("openssl", ["x509", "-noout", "-text"], (cause, stdout) =>
          resume(Effect.succeed(cause === null ? stdout : "missing")))
        child.stdin?.on("error", () => {})
        child.stdin?.end(identity.cert)
      })
      if (output === "missing") {
        return
      }
      assert.match(output, /DNS:localhost, IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1/)
      assert.match(output, /TLS Web Server Authentication/)
    }))
})

describe("the scope", () => {
  it.effect("ends watches, upgraded connections, held answers and idle connections at once", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(
        plain((request) =>
          Effect.succeed<ServerResponse>(
            request.url.pathname === "/watch"
              ? { _tag: "Stream", status: 200, headers: {}, body: Stream.never }
              : request.url.pathname === "/hold"
              ? { _tag: "Raw", bytes: new Uint8Array(0), end: "hold" }
              : { _tag: "Upgrade", headers: { Upgrade: "x", Connection: "Upgrade" }, serve: () => Effect.never }
          )
        ),
        scope
      )
      const requests = [
        "",
        "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n",
        upgradeRequest
      ]
      const clients = requests.map((send) => {
        const client = Net.connect(server.address.port, server.address.host)
        client.write(send)
        client.resume()
        client.on("error", () => {})
        return client
      })
      yield* eventually(
        server.stats,
        (stats) => assert.deepStrictEqual([stats.openSockets, stats.openExchanges], [4, 3])
      )
      yield* Scope.close(scope, Exit.void)
      yield* eventually(Effect.sync(() => clients.every((client) => client.destroyed)), (gone) => assert.isTrue(gone))
      const stats = yield* server.stats
      assert.deepStrictEqual([stats.openSockets, stats.openExchanges, stats.connections], [0, 0, 4])
    }))
})
