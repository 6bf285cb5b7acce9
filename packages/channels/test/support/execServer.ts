/**
 * An API server in memory for remote commands: the handshake and the frames are those of the protocol modules in the
 * server's role, what it does is a script.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as Handshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import * as Transport from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { createHash } from "node:crypto"
import * as Digests from "./digests.ts"
import * as SpdyWire from "./spdyWire.ts"

/** What a client asked for. */
export interface Asked {
  readonly namespace: string
  readonly pod: string
  readonly container: string | undefined
  readonly command: ReadonlyArray<string>
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
  readonly transport: "websocket" | "spdy"
  readonly method: string
  readonly subprotocols: ReadonlyArray<string>
  readonly headers: Headers.Headers
}

/** What a client sent. */
export type Sent =
  | { readonly _tag: "Stdin"; readonly bytes: Uint8Array }
  | { readonly _tag: "StdinEnded" }
  | { readonly _tag: "Resize"; readonly text: string }
  /** An empty message. */
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Ping" | "Pong" }
  | { readonly _tag: "Close"; readonly code: number | undefined }
  /** The bytes ended. */
  | { readonly _tag: "Fin" }
  | { readonly _tag: "Violation"; readonly message: string }

/** The server's end of a session. */
export interface ServerSession {
  readonly asked: Asked
  readonly protocol: RemoteCommand.Subprotocol
  readonly stdout: (data: string | Uint8Array) => Effect.Effect<void>
  readonly stderr: (data: string | Uint8Array) => Effect.Effect<void>
  readonly status: (status: string | Uint8Array | object) => Effect.Effect<void>
  readonly ping: Effect.Effect<void>
  readonly pong: Effect.Effect<void>
  /** The end of both outputs, which only SPDY can say. */
  readonly endOutputs: Effect.Effect<void>
  /** A close frame. */
  readonly goodbye: (code?: number) => Effect.Effect<void>
  /** Bytes as they are. */
  readonly raw: (bytes: Uint8Array) => Effect.Effect<void>
  /** What the client sent, in order; waits for the next. Pings are answered before they are told, unless told not to. */
  readonly next: Effect.Effect<Sent>
  /** The next that is of this kind; others are passed over. */
  readonly nextOf: <T extends Sent["_tag"]>(tag: T) => Effect.Effect<Extract<Sent, { readonly _tag: T }>>
  /** Waits until the client has said goodbye, or is gone. */
  readonly left: Effect.Effect<void>
  /** All that the client has sent so far. */
  readonly seen: ReadonlyArray<Sent>
  readonly connection: MemoryTransport.MemoryConnection
}

/** What the server does with a session. The connection ends with it, or when the client leaves. */
export type Script = (session: ServerSession) => Effect.Effect<unknown>

/** How a server answers. */
export interface Settings {
  readonly script?: Script | undefined
  /** The subprotocols it knows; v5 and v4 unless told. */
  readonly protocols?: ReadonlyArray<RemoteCommand.Subprotocol> | undefined
  /** Whether it speaks SPDY; no unless told: it is refused with a 403 without a body. */
  readonly spdy?: boolean | undefined
  /** The type of the stream of SPDY that it does not take; it takes all unless told. */
  readonly refusesStream?: string | undefined
  /** Answers in place of the handshake, or lets it go on. */
  readonly refuse?: ((asked: Asked, n: number) => Answer | undefined) | undefined
  /** Whether pings are answered; yes unless told. */
  readonly pongs?: boolean | undefined
  /** Whether it reads what the client sends; yes unless told. */
  readonly reads?: boolean | undefined
  /** The exit code of an exec that sends a signal; 0 unless told. `undefined`: it never ends. */
  readonly kill?: ((killed: Killed) => Effect.Effect<number | undefined>) | undefined
  /** What a read of a pod is answered with. */
  readonly pod?: ((name: string) => Response) | undefined
  /** The client's; none unless told. */
  readonly credentials?: Credentials.Credentials["Service"] | undefined
}

/** An answer other than 101. */
export type Answer =
  | { readonly status: number; readonly body?: string | object | undefined }
  | { readonly error: TransportError }
  | { readonly never: true }
  /** A 101 with these headers over those that are right. */
  | { readonly upgradeWith: Readonly<Record<string, string | undefined>> }

/** A signal that was sent by an exec of its own. */
export interface Killed {
  readonly processGroup: number
  readonly nonce: string
  readonly signal: string
}

const parseKill = ({ command }: Asked): Killed | undefined => {
  const [, , , name, processGroup, nonce = "", signal = ""] = command
  return name === "effect-k8s-kill" ? { processGroup: Number(processGroup), nonce, signal } : undefined
}

/** A server and its client. */
export interface ExecServer {
  readonly client: KubeClient.KubeClient["Service"]
  /** What was asked, in order. */
  readonly asked: Array<Asked>
  readonly sessions: Array<ServerSession>
  /** How many connections are open. */
  readonly open: () => number
  /** The next session that is opened. */
  readonly accepted: Effect.Effect<ServerSession>
  /** Signals, in order. Their execs are in none of the above but `open`. */
  readonly killed: Array<Killed>
  /** Reads of pods. */
  readonly reads: Array<string>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Bytes of a text. */
export const bytesOf = (data: string | Uint8Array): Uint8Array => typeof data === "string" ? encoder.encode(data) : data

/** Text of bytes. */
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

/** Lets the other fibers go on until they wait, and not for a digest. No virtual time passes. */
export const settle: Effect.Effect<void> = Effect.promise(async () => {
  do {
    await Digests.made()
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
  } while (Digests.isPending())
})

/** Goes on by a step, which is no moment of real time: when a digest is under way the step is to wait for it. */
export const step = (otherwise: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.suspend(() => Digests.isPending() ? Effect.promise(Digests.made) : otherwise)

/** Waits for a fiber and lets time pass meanwhile, in steps that are small beside any deadline. */
export const joined = Effect.fnUntraced(function*<A, E>(
  fiber: Fiber.Fiber<A, E>,
  stride: Duration.Input = "10 millis"
): Effect.fn.Return<A, E> {
  while (fiber.pollUnsafe() === undefined) {
    yield* settle
    yield* TestClock.adjust(stride)
  }
  return yield* Fiber.join(fiber)
})

/** Lets time pass at the end of the scope, for goodbyes that nobody answers, one after the other. To be called last. */
export const timePasses: Effect.Effect<void, never, Scope.Scope> = Effect.addFinalizer(() =>
  Effect.forkDetach(Effect.repeat(Effect.andThen(settle, TestClock.adjust("1 second")), { times: 15 }))
)

const parse = (request: HttpClientRequest.HttpClientRequest): Asked => {
  const isSpdy = request.headers["upgrade"] === "SPDY/3.1"
  const url = Option.getOrThrow(HttpClientRequest.toUrl(request))
  const [, , , , namespace = "", , pod = ""] = url.pathname.split("/")
  const flag = (name: string): boolean => url.searchParams.get(name) === "true"
  return {
    namespace,
    pod,
    container: url.searchParams.get("container") ?? undefined,
    command: url.searchParams.getAll("command"),
    stdin: flag("stdin"),
    stdout: flag("stdout"),
    stderr: flag("stderr"),
    tty: flag("tty"),
    transport: isSpdy ? "spdy" : "websocket",
    method: request.method,
    subprotocols: (request.headers[isSpdy ? SpdyHandshake.versionHeader : "sec-websocket-protocol"] ?? "").split(", "),
    headers: request.headers
  }
}

/** Reads the client and speaks to it. */
const serveSession = (
  asked: Asked,
  protocol: RemoteCommand.Subprotocol,
  settings: Settings,
  connection: MemoryTransport.MemoryConnection
): Effect.Effect<ServerSession, never, Scope.Scope> =>
  Effect.gen(function*() {
    const seen: Array<Sent> = []
    const queue = yield* Queue.unbounded<Sent>()
    const left = yield* Deferred.make<void>()
    // When the client is gone, so is what runs for it.
    const raw = (bytes: Uint8Array): Effect.Effect<void> =>
      Effect.catch(connection.write([bytes]), () => Effect.interrupt)
    // What the reader says goes by itself: it is still to hear that the client has left.
    const answer = (bytes: Uint8Array): Effect.Effect<void> => Effect.ignore(connection.write([bytes]))
    const frame = (opcode: Frame.Opcode, payload: Uint8Array, prefix?: number): Effect.Effect<void> =>
      raw(Frame.encode({ opcode, payload, prefix }, undefined))
    const say = (sent: Sent): void => {
      seen.push(sent)
      Queue.offerUnsafe(queue, sent)
      if (sent._tag === "Close" || sent._tag === "Fin") Deferred.doneUnsafe(left, Effect.void)
    }

    const spdy = asked.transport === "spdy" ? SpdyWire.make(settings.refusesStream) : undefined
    const allOpen = Latch.makeUnsafe(false)
    const streams = [true, asked.stdin, asked.stdout, asked.stderr && !asked.tty, asked.tty].filter(Boolean).length
    const takeSpdy = (wire: NonNullable<typeof spdy>, chunk: Uint8Array): Effect.Effect<void> => {
      const { answers, sent } = wire.take(chunk)
      sent.forEach(say)
      const pongs = sent.some(({ _tag }) => _tag === "Ping") && settings.pongs !== false ? [wire.pong()] : []
      const bytes = Buffer.concat([answers, ...pongs])
      const opened = wire.streams() === streams ? Effect.asVoid(allOpen.open) : Effect.void
      return bytes.length === 0 ? opened : Effect.andThen(answer(bytes), opened)
    }

    const frames = Frame.makeDecoder({ role: "server" })
    const reader = RemoteCommand.makeServerReader(protocol)
    const take = (chunk: Uint8Array): Effect.Effect<void> => {
      if (spdy !== undefined) return takeSpdy(spdy, chunk)
      let pings = 0
      for (const event of frames.decode(chunk)) {
        switch (event._tag) {
          case "Data": {
            if (event.first && event.last && event.payload.length === 0) {
              say({ _tag: "Empty" })
              break
            }
            const read = reader.read(event)
            if (read === undefined) break
            if (read._tag === "ChannelClosed") say({ _tag: "StdinEnded" })
            else if (read._tag === "Violation") say({ _tag: "Violation", message: read.error.message })
            else if (read._tag === "Ignored") say({ _tag: "Violation", message: `channel ${read.channel}` })
            else if (read.channel === 0) say({ _tag: "Stdin", bytes: read.bytes.slice() })
            else say({ _tag: "Resize", text: textOf(read.bytes) })
            break
          }
          case "Ping":
            pings++
            say({ _tag: "Ping" })
            break
          case "Pong":
            say({ _tag: "Pong" })
            break
          case "Close":
            say({ _tag: "Close", code: event.code })
            break
          case "Violation":
            say({ _tag: "Violation", message: event.error.message })
        }
      }
      return pings > 0 && settings.pongs !== false
        ? answer(Frame.encode({ opcode: Frame.Opcode.Pong, payload: new Uint8Array(0) }, undefined))
        : Effect.void
    }
    const read = Effect.gen(function*() {
      while (true) {
        const chunks = yield* Pull.catchDone(connection.pull, () => Effect.undefined)
        if (chunks === undefined) return say({ _tag: "Fin" })
        for (const chunk of chunks) yield* take(chunk)
      }
    })
    if (settings.reads !== false) {
      yield* Effect.forkScoped(Effect.catch(read, () => Effect.sync(() => say({ _tag: "Fin" }))))
    }

    const next = Queue.take(queue)
    const message = (channel: number) => (data: string | Uint8Array) =>
      spdy === undefined
        ? frame(Frame.Opcode.Binary, bytesOf(data), channel)
        : Effect.suspend(() => raw(spdy.message(channel, bytesOf(data))))
    const either = (ofSpdy: (wire: NonNullable<typeof spdy>) => Uint8Array, otherwise: Effect.Effect<void>) =>
      spdy === undefined ? otherwise : Effect.suspend(() => raw(ofSpdy(spdy)))
    // A server of SPDY has nothing to speak on before the client has opened its streams, and waits for all of them.
    if (spdy !== undefined) {
      yield* settings.reads === false
        ? settle
        : Effect.raceFirst(allOpen.await, Deferred.await(left))
    }
    return {
      asked,
      protocol,
      stdout: message(1),
      stderr: message(2),
      status: (status) =>
        message(3)(
          typeof status === "string" || status instanceof Uint8Array ? status : JSON.stringify(status)
        ),
      ping: either((wire) => wire.ping(), frame(Frame.Opcode.Ping, encoder.encode("are you there"))),
      pong: either((wire) => wire.pong(), frame(Frame.Opcode.Pong, new Uint8Array(0))),
      endOutputs: either((wire) => wire.endOutputs(), Effect.void),
      goodbye: (code) => either((wire) => wire.goodbye(), raw(Frame.encodeClose(code ?? 1000, "", undefined))),
      raw,
      next,
      nextOf: <T extends Sent["_tag"]>(tag: T) => {
        // Sound: the tag tells which of the union it is.
        const isIt = (sent: Sent): sent is Extract<Sent, { readonly _tag: T }> => sent._tag === tag
        return Effect.gen(function*() {
          while (true) {
            const sent = yield* next
            if (isIt(sent)) return sent
          }
        })
      },
      left: Deferred.await(left),
      seen,
      connection
    }
  })

/** The accept value of a key. */
export const acceptOf = (key: string): string => createHash("sha1").update(Handshake.acceptInput(key)).digest("base64")

/** A server that does this, and a client of it in namespace `ns`. Its address is `name`. */
export const make = Effect.fnUntraced(function*(
  settings: Settings = {},
  name = "api.test"
): Effect.fn.Return<ExecServer, never, Scope.Scope> {
  const asked: Array<Asked> = []
  const sessions: Array<ServerSession> = []
  const reads: Array<string> = []
  const killed: Array<Killed> = []
  const accepted = yield* Queue.unbounded<ServerSession>()
  let open = 0

  const upgrade: MemoryTransport.Server["upgrade"] = (request) =>
    Effect.suspend((): ReturnType<MemoryTransport.Server["upgrade"]> => {
      const what = parse(request)
      const kill = parseKill(what)
      if (kill === undefined) asked.push(what)
      const answer = kill === undefined ? settings.refuse?.(what, asked.length - 1) : undefined
      if (answer !== undefined) {
        if ("never" in answer) return Effect.never
        if ("error" in answer) return Effect.fail(answer.error)
        if ("status" in answer) {
          const { body } = answer
          const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body)
          return Effect.succeed<Transport.Refused>({
            _tag: "Refused",
            status: answer.status,
            headers: Headers.empty,
            body: encoder.encode(text)
          })
        }
      }
      const isSpdy = what.transport === "spdy"
      const known = settings.protocols ?? [RemoteCommand.v5, RemoteCommand.v4]
      const chosen = Handshake.chooseSubprotocol(
        what.subprotocols,
        isSpdy ? settings.spdy === true ? [RemoteCommand.v4] : [] : known
      )
      if (chosen === undefined) {
        return Effect.succeed<Transport.Refused>({
          _tag: "Refused",
          status: 403,
          headers: Headers.empty,
          body: new Uint8Array(0)
        })
      }
      const protocol = chosen === RemoteCommand.v4 ? RemoteCommand.v4 : RemoteCommand.v5
      const right = isSpdy
        ? SpdyHandshake.responseHeaders(protocol)
        : Handshake.responseHeaders(acceptOf(request.headers["sec-websocket-key"] ?? ""), protocol)
      const headers = { ...right, ...(answer === undefined ? {} : answer.upgradeWith) }
      return Effect.succeed<MemoryTransport.Accepted>({
        _tag: "Accepted",
        headers: Headers.fromInput(headers),
        serve: (connection) =>
          Effect.scoped(Effect.gen(function*() {
            open++
            yield* Effect.addFinalizer(() => Effect.sync(() => open--))
            const session = yield* serveSession(what, protocol, kill === undefined ? settings : {}, connection)
            if (kill !== undefined) {
              killed.push(kill)
              return yield* Effect.raceFirst(session.left, signalled(session, kill))
            }
            sessions.push(session)
            yield* Queue.offer(accepted, session)
            yield* Effect.raceFirst(session.left, settings.script?.(session) ?? Effect.never)
          }))
      })
    })

  const signalled = (session: ServerSession, kill: Killed): Effect.Effect<void> =>
    Effect.gen(function*() {
      const code = yield* settings.kill?.(kill) ?? Effect.succeed(0)
      if (code === undefined) return yield* Effect.never
      yield* session.stdout("\n")
      yield* session.status(exitStatus(code))
      yield* session.goodbye()
    })

  const platform = MemoryTransport.platform({
    request: (request, url) =>
      Effect.sync(() => {
        reads.push(`${request.method} ${url.pathname}`)
        return settings.pod?.(url.pathname.split("/").at(-1) ?? "") ?? new Response(null, { status: 500 })
      }),
    upgrade
  })
  const client = yield* KubeClient.make({
    endpoint: { url: new URL(`https://${name}`) },
    credentials: settings.credentials ?? Credentials.make(),
    namespace: "ns"
  }).pipe(Effect.provideService(Transport.Platform, platform))
  return { client, asked, sessions, open: () => open, accepted: Queue.take(accepted), killed, reads }
})

/** What the server says of an exit. */
export const exitStatus = (code: number): object =>
  code === 0
    ? { metadata: {}, status: "Success" }
    : {
      metadata: {},
      status: "Failure",
      message: `command terminated with non-zero exit code: command terminated with exit code ${code}`,
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: String(code) }] }
    }

/** What it says when it could not run the command. */
export const internalError = (text: string): object => ({
  metadata: {},
  status: "Failure",
  message: `Internal error occurred: ${text}`,
  reason: "InternalError",
  details: { causes: [{ message: text }] },
  code: 500
})

/** A latch for scripts: what it opens, and what waits for it. */
export const gate: Effect.Effect<{ readonly open: Effect.Effect<void>; readonly opened: Effect.Effect<void> }> = Effect
  .map(Deferred.make<void>(), (deferred) => ({
    open: Effect.asVoid(Deferred.succeed(deferred, undefined)),
    opened: Deferred.await(deferred)
  }))
