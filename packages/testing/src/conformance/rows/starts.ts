/**
 * How often a command is started: never twice, whatever the answers; and how a server is met that cannot do what a
 * command needs.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as ExecFault from "../../pods/ExecFault.ts"
import * as Respond from "../../server/Respond.ts"
import * as Failure from "../../store/Failure.ts"
import * as Clients from "../Clients.ts"
import { Lab, minorVersion } from "../Lab.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, type Row, row, same, Unmet } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as Starts from "../Starts.ts"
import * as Terminal from "../Terminal.ts"

const MiB = 1024 * 1024
const scripted = "a real server does not count how often it has started a command"

const codes = [400, 403, 404, 405, 409, 426, 429, 500, 501, 502, 503, 504]
const refusal = (code: number) =>
  ExecFault.respond(Respond.failure(new Failure.Failure({ status: { code, reason: "Unknown", message: "no" } })))

// What a proxy or a server says that does not know the upgrade, or a role that does not grant the verb: the other
// transport may fare better. A Status says more than its code.
const ofTransport = [400, 405, 426, 501]
const withText = (code: number): number => code === 403 || ofTransport.includes(code) ? 2 : 1

/** Answers that start nothing, and answers behind which the command runs, with how often it may be asked for. */
const answers: ReadonlyArray<readonly [name: string, fault: ExecFault.ExecFault, requests: number]> = [
  ...codes.map((code) => [`${code} with a text`, ExecFault.refuse(code, "no"), withText(code)] as const),
  ...codes.map((code) => [`${code} without a body`, ExecFault.refuse(code), withText(code)] as const),
  ...codes.map((code) => [`${code} with a Status`, refusal(code), code === 403 ? 2 : 1] as const),
  ["a refused subprotocol", ExecFault.refuseSubprotocol, 2],
  ["no HTTP", ExecFault.garbledAnswer, 1],
  ["a connection that ends before the answer", ExecFault.closeBeforeAnswer, 1],
  ["a connection that is reset before the answer", ExecFault.raw("", "reset"), 1],
  ["half an answer", ExecFault.raw("HTTP/1.1 101 Switching Pro"), 1],
  ["an answer that is lost", ExecFault.loseAnswer, 1],
  ["an answer that comes too late", ExecFault.delayAnswer("400 millis"), 1],
  ["a wrong Sec-WebSocket-Accept", ExecFault.wrongAccept, 1],
  ["a subprotocol that was not offered", ExecFault.wrongSubprotocol(), 1],
  ["a connection that is cut at once", ExecFault.cut(0), 1],
  ["a session without a Status", ExecFault.withoutStatus, 1]
]

const intents: ReadonlyArray<readonly [name: string, options: ExecOptions]> = [
  ["supervised", {}],
  ["bare", { supervise: "never" }],
  ["with stdin", { stdin: "pipe" }],
  ["bare with stdin", { stdin: "pipe", supervise: "never" }],
  ["bulk", { bulk: true, stdin: "pipe" }]
]

/** Runs a command to whatever end, on a server that answers so once, and would do better the second time. */
const attemptOnce = Effect.fnUntraced(function*(fault: ExecFault.ExecFault, options: ExecOptions) {
  const { target } = yield* Lab
  const { pods, requests } = yield* Scripted.cluster
  const marker = Remote.makeMarker()
  const injected = yield* Scripted.fault(marker, fault, { times: 1 })
  const command = Exec.on(target(), options)(["true", marker])
  yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
    const handle = yield* command
    if (options.stdin === "pipe") yield* Stream.run(Stream.empty, handle.stdin)
    yield* handle.exitCode
  })))
  const word = Scripted.withWord(marker)
  return {
    hits: yield* injected.hits,
    starts: pods.starts(word),
    requests: yield* requests.count({ resource: "pods/exec", path: new RegExp(marker) })
  }
})

/** Does so until the answer was given. */
const attempt = Effect.fnUntraced(function*(fault: ExecFault.ExecFault, options: ExecOptions) {
  for (let tries = 0; tries < 5; tries++) {
    // On a machine that is busy the handshake may time out before the server has read it: that tells nothing.
    const { hits, ...seen } = yield* attemptOnce(fault, { handshakeTimeout: 200 * 2 ** tries, ...options })
    if (hits === 1) return seen
  }
  return yield* new Unmet({ message: "no request was read in time to be answered" })
})

/** What a bare command was sent: next to nothing of it while output was waiting, and nothing after the end. */
const sentInQuiet = Effect.fnUntraced(function*(marker: string) {
  const [record] = yield* Scripted.records(marker)
  const ours = record?.arrivals.filter(({ kind }) => kind !== "close") ?? []
  // All that a client can see is that nothing has arrived for a moment: a server that is held up for longer looks as
  // if it had no more to say. Without the gate most of them arrive so.
  const early = ours.filter(({ backlog }) => backlog > 0).length
  yield* check(early <= ours.length / 4, `${early} of ${ours.length} arrivals came while output was waiting`)
  yield* same(ours.filter(({ afterStatus }) => afterStatus), [], "what arrived after the end")
  return ours
})

const failureText = ({ reason }: KubeError): string => reason._tag

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("V12", "no answer makes us start a command twice, nor ask again for one that may have been started", function*() {
    for (const [intent, options] of intents) {
      const seen = yield* Effect.forEach(
        answers,
        ([name, fault, most]) =>
          Effect.map(attempt(fault, options), ({ requests, starts }) => ({ name, most, requests, starts })),
        {
          concurrency: 8
        }
      )
      // The ones that come late have come by then.
      yield* Effect.sleep("500 millis")
      for (const { most, name, requests, starts } of seen) {
        const count = yield* starts
        yield* check(count <= 1, `${intent}, ${name}: started ${count} times`)
        yield* check(requests <= most, `${intent}, ${name}: asked for ${requests} times`)
      }
    }
  }, { scripted }),
  row("V12", "a refused offer is followed by the next one: the command is started once", function*() {
    const options: ExecOptions = { supervise: "never", handshakeTimeout: "10 seconds" }
    const { starts, requests } = yield* attempt(ExecFault.refuseSubprotocol, options)
    yield* same([requests, yield* starts], [2, 1], "requests and starts of v4, then SPDY")
  }, { scripted }),
  row("V12", "credentials that are renewed after a 401 start the command once", function*() {
    const { credentials, target } = yield* Lab
    const { pods, requests } = yield* Scripted.cluster
    const client = yield* Clients.make({ credentials: { ...credentials, invalidate: Effect.succeed(true) } })
    const marker = Remote.makeMarker()
    yield* Scripted.fault(marker, ExecFault.refuse(401, "Unauthorized"), { times: 1 })
    const code = Exec.exitCode(Exec.on(target())(["true", marker]))
    yield* same(yield* Effect.provideService(code, KubeClient.KubeClient, client), 0, "exit code")
    yield* same(yield* requests.count({ resource: "pods/exec", path: new RegExp(marker) }), 2, "requests")
    yield* same(yield* pods.starts(Scripted.withWord(marker)), 1, "starts")
  }, { scripted }),
  row(
    "V12",
    "without sh in the image a command that is run without it is started once, and then asked for once",
    function*() {
      const { server, target } = yield* Lab
      const client = yield* Clients.make()
      let upgrades = 0
      const counting: KubeClient.KubeClient["Service"] = {
        ...client,
        upgrade: (request) =>
          Effect.suspend(() => {
            upgrades++
            return client.upgrade(request)
          })
      }
      for (const expected of [2, 1]) {
        const { argv, starts, word } = yield* Starts.counted(target("shell-less"))
        const code = Exec.exitCode(Exec.on(target("shell-less"))(argv))
        upgrades = 0
        yield* same(yield* Effect.provideService(code, KubeClient.KubeClient, counting), 0, "exit code")
        yield* same(upgrades, expected, "upgrades")
        if (server._tag === "TestCluster") {
          const requests = yield* server.cluster.requests.count({ resource: "pods/exec", path: new RegExp(word) })
          yield* same(requests, expected, "requests")
        }
        yield* same(yield* starts, 1, "starts")
      }
    }
  ),
  row("V12", "a connection that is lost around the handshake starts the command at most once", function*() {
    const { dials, target, tunnel } = yield* Lab
    // The last one is started, whatever becomes of the others: its connection is lost when it has ended.
    const moments = [0, 1, 2, 4, 8, 16, 32, 64, Infinity]
    const file = Remote.makeFile()
    for (const [i, millis] of moments.entries()) {
      const script = `echo ${i} >>${file}; sleep 0.1`
      const command = Exec.on(target(), { supervise: i % 2 === 0 ? "never" : "preferred" })(["sh", "-c", script])
      const fiber = yield* Effect.forkChild(Exec.exitCode(command), { startImmediately: true })
      while (dials() <= i) yield* Effect.sleep(1)
      yield* millis === Infinity ? Effect.asVoid(Fiber.await(fiber)) : Effect.sleep(millis)
      yield* tunnel.drop("reset")
      yield* Fiber.await(fiber)
    }
    yield* Effect.sleep("500 millis")
    const lines = yield* Exec.lines(Exec.on(target())(["sh", "-c", `touch ${file}; sort ${file}; rm ${file}`]))
    yield* same(lines, [...new Set(lines)], "the starts of each")
    yield* check(lines.includes(String(moments.length - 1)), `the last one was not started: ${lines.join(", ")}`)
    yield* same(dials(), moments.length + 1, "connections dialled")
  }, { only: { path: "tunnel", why: "the tunnel is what ends the connection" } }),
  row("V13", "a bare command is sent nothing while its output is waiting, and nothing after its end", function*() {
    const { target } = yield* Lab
    for (const slowly of [Remote.pauseAfterEach(MiB, 300), Remote.throttle(4_000_000)]) {
      const marker = Remote.makeMarker()
      const command = Exec.on(target(), {
        supervise: "never",
        stdin: "pipe",
        bufferBytes: 64 * 1024,
        heartbeat: { after: "200 millis", within: "1 minute", keepAliveAfter: "250 millis" }
      })(["sh", "-c", `head -c ${8 * MiB} /dev/zero; cat >/dev/null; exit 7`, marker])
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* command
        const begun = yield* Deferred.make<void>()
        // Before the first output nobody can know that there will be some. The end of stdin is our last word, so that
        // the end of the command meets none.
        const trickle = Stream.tick("10 millis").pipe(Stream.map(() => Uint8Array.of(1)), Stream.take(20))
        const writing = yield* Effect.forkChild(
          Effect.andThen(Deferred.await(begun), Stream.run(trickle, handle.stdin))
        )
        const output = Stream.tap(slowly(handle.stdout), () => Deferred.succeed(begun, undefined))
        yield* same(yield* Remote.countBytes(output), 8 * MiB, "bytes of stdout")
        yield* same(yield* handle.exitCode, 7, "exit code")
        yield* Fiber.join(writing)
      }))
      const ours = yield* sentInQuiet(marker)
      yield* same(ours.filter(({ kind }) => kind === "stdin").length, 20, "writes that arrived")
    }
  }, {
    only: { path: "direct", why: "a tunnel takes what the reader leaves, so that no output waits in the server" },
    scripted: "a real server does not tell when a byte has reached it"
  }),
  row(
    "V13",
    "nor is a bare command over v4, whose stdin nobody writes, sent signs of life while its output is waiting",
    function*() {
      const { target } = yield* Lab
      const file = Remote.makeFile()
      const marker = Remote.makeMarker()
      const command = Exec.on(target(), {
        supervise: "never",
        bufferBytes: 64 * 1024,
        heartbeat: { after: "50 millis", within: "1 minute", keepAliveAfter: "100 millis" }
      })(["sh", "-c", `head -c ${8 * MiB} /dev/zero; until [ -e ${file} ]; do sleep 0.05; done; exit 7`, marker])
      const handle = yield* command
      yield* same([handle.transport, handle.protocol], ["websocket", "v4.channel.k8s.io"], "transport and protocol")
      let bytes = 0
      yield* Stream.runForEach(Remote.pauseAfterEach(MiB, 300)(handle.stdout), (chunk) =>
        Effect.suspend(() => {
          bytes += chunk.length
          return bytes < 8 * MiB
            ? Effect.void
            // Now nothing is waiting: there must be signs of life, or the row would show nothing.
            : Effect.andThen(Effect.sleep("200 millis"), Exec.exitCode(Exec.on(target())(["touch", file])))
        }))
      yield* same(bytes, 8 * MiB, "bytes of stdout")
      yield* same(yield* handle.exitCode, 7, "exit code")
      yield* Remote.remove(target(), file)
      const ours = yield* sentInQuiet(marker)
      for (const kind of ["ping", "ignored"]) {
        yield* check(ours.some((arrival) => arrival.kind === kind), `no ${kind} has arrived while nothing was waiting`)
      }
    },
    {
      only: { path: "direct", why: "a tunnel takes what the reader leaves, so that no output waits in the server" },
      scripted: "a real server does not tell when a byte has reached it"
    }
  ),
  row(
    "H1",
    "on a server without v5 a command with stdin runs over SPDY, after one request that started nothing",
    function*() {
      const { client, cluster, target } = yield* Scripted.own({ era: "1.28" })
      for (const [i, supervise] of (["preferred", "never", "required"] as const).entries()) {
        const before = yield* cluster.requests.count({ resource: "pods/exec" })
        const command = Exec.feed(Exec.on(target, { supervise })(["wc", "-c"]), Stream.make(new Uint8Array(10)))
        yield* Effect.provideService(
          Effect.scoped(Effect.gen(function*() {
            const handle = yield* command
            yield* same([handle.transport, handle.protocol], ["spdy", "v4.channel.k8s.io"], "transport and protocol")
            const v5 = { protocol: "websocket v5.channel.k8s.io", code: 403, body: "" }
            yield* same(handle.attempts, i === 0 ? [v5] : [], "attempts told")
            yield* same((yield* Stream.mkString(Stream.decodeText(handle.stdout))).trim(), "10", "stdout")
            yield* same(yield* handle.exitCode, 0, "exit code")
          })),
          KubeClient.KubeClient,
          client
        )
        const requests = (yield* cluster.requests.count({ resource: "pods/exec" })) - before
        yield* same(requests, i === 0 ? 2 : 1, "requests, of which the first is remembered")
      }
      yield* same(yield* cluster.pods.starts(), 3, "starts")
    },
    { scripted: "this needs a server that is older than the one it would run on" }
  ),
  row("H1", "so it does on a real one", function*() {
    const { dials, target } = yield* Lab
    const command = Exec.on(target())(["wc", "-c"])
    const handle = yield* Exec.feed(command, Stream.make(new Uint8Array(10)))
    yield* same([handle.transport, handle.attempts.length], ["spdy", 1], "transport, and attempts before it")
    yield* same(dials(), 2, "connections dialled")
    yield* same((yield* Stream.mkString(Stream.decodeText(handle.stdout))).trim(), "10", "stdout")
  }, {
    only: { path: "tunnel", why: "the dialler is what counts the connections" },
    inapplicable: (server) =>
      server._tag === "Cluster" && minorVersion(server) < 30 ? undefined : "the server can be told the end of stdin"
  }),
  row("H1", "without v5 and without SPDY a command with stdin is refused, and nothing was started", function*() {
    const { client, cluster, target } = yield* Scripted.own({ era: "1.28" })
    for (const options of [{}, { bulk: true }] as const) {
      const marker = Remote.makeMarker()
      const noSpdy = ExecFault.refuseSpdy
      const injected = yield* cluster.pods.inject(Scripted.withWord(marker), noSpdy, { times: Infinity })
      const command = Exec.feed(Exec.on(target, options)(["cat", marker]), Stream.make(new Uint8Array(10)))
      const error = yield* failureOf(Effect.provideService(Exec.exitCode(command), KubeClient.KubeClient, client))
      yield* same(error._tag === "KubeError" ? failureText(error) : error._tag, "HalfCloseUnsupported", "reason")
      for (const word of ["without stdin", "websocket v5.channel.k8s.io: HTTP 403", "spdy v5.channel.k8s.io, v4"]) {
        yield* check(error.message.includes(word), `the message says not "${word}": ${error.message}`)
      }
      yield* same(yield* injected.hits, 2, "requests")
    }
    yield* same(yield* cluster.pods.starts(), 0, "starts")
  }, { scripted: "a real server speaks SPDY" }),
  row(
    "H1",
    "what needs no end of stdin works on a server without v5: outputs, secret variables, a terminal",
    function*() {
      const lab = yield* Lab
      const { client, cluster, target } = yield* Scripted.own({ era: "1.28" })
      const command = Exec.on(target, { env: { SECRET: Redacted.make("42") } })(["sh", "-c", "echo $SECRET; exit 3"])
      yield* Effect.provideService(
        Effect.gen(function*() {
          const handle = yield* command
          yield* same(handle.protocol, "v4.channel.k8s.io", "protocol")
          yield* same(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "42\n", "stdout")
          yield* same(yield* handle.exitCode, 3, "exit code")

          const terminal = yield* Terminal.open(target, { width: 80, height: 24 })
          yield* same(terminal.handle.protocol, "v4.channel.k8s.io", "protocol of the terminal")
          yield* terminal.shows("24 80")
          yield* terminal.resize({ width: 200, height: 50 })
          yield* terminal.shows("50 200")
          yield* terminal.write("hello")
          yield* terminal.shows("read hello")
          yield* terminal.end
        }).pipe(Effect.provideService(Lab, { ...lab, server: { _tag: "TestCluster", cluster } })),
        KubeClient.KubeClient,
        client
      )
    },
    { scripted: "the rows on outputs run on a real server without v5 as well" }
  )
]
