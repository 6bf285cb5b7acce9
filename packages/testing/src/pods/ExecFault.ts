/**
 * What can go wrong with an exec, told per test: instead of the 101, on the connection after it, or in what runs.
 *
 * ```ts
 * yield* cluster.pods.inject({ pod: "db-0", command: /^pg_dump/ }, ExecFault.cut(100_000, "reset"))
 * yield* cluster.pods.inject({}, ExecFault.all(ExecFault.withholdPongs, ExecFault.stall(0)), { times: Infinity })
 * ```
 */
import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { ServerConnection, ServerResponse } from "../server/Exchange.ts"
import type { Failure } from "../store/Failure.ts"
import * as Bandwidth from "./Bandwidth.ts"
import type { End, ExecPipes } from "./ExecPipes.ts"
import type { Act, ExecWire } from "./ExecWire.ts"
import type { Peer } from "./Peer.ts"

/** The answer to a request for an exec. */
export type Answer = Effect.Effect<ServerResponse, Failure, Scope.Scope>

/** What runs in an exec. */
export type Run = (pipes: ExecPipes) => Effect.Effect<End>

/** Something that goes wrong. Each part that is there changes what the server does. */
export interface ExecFault {
  /** Changes the answer to the request, or replaces it: then nothing is started. */
  readonly answer?: ((next: Answer, transport: "websocket" | "spdy") => Answer) | undefined
  /** Changes the connection itself, for whatever serves it. */
  readonly connection?: ((next: ServerConnection) => ServerConnection) | undefined
  /** Changes what the server does on the connection. It is called once for each exec. */
  readonly wire?: ((next: ExecWire) => ExecWire) | undefined
  /** Changes what runs, or replaces it. */
  readonly run?: ((next: Run) => Run) | undefined
  /** Replaces everything after the 101. Nothing is started. The connection ends when it returns. */
  readonly serve?: ((peer: Peer) => Effect.Effect<void, TransportError | Cause.Done, Scope.Scope>) | undefined
  /** The connection is not read. */
  readonly ignoresClient?: boolean | undefined
}

const compose = <A>(
  functions: ReadonlyArray<((next: A) => A) | undefined>
): (next: A) => A =>
(next) => functions.reduce((result, change) => change?.(result) ?? result, next)

/** Several faults at once; of changes to the same part, the later ones are around the earlier. */
export const all = (...faults: ReadonlyArray<ExecFault>): ExecFault => ({
  answer: (next, transport) => faults.reduce((result, { answer }) => answer?.(result, transport) ?? result, next),
  connection: compose(faults.map(({ connection }) => connection)),
  wire: compose(faults.map(({ wire }) => wire)),
  run: compose(faults.map(({ run }) => run)),
  serve: faults.findLast(({ serve }) => serve !== undefined)?.serve,
  ignoresClient: faults.some(({ ignoresClient }) => ignoresClient === true)
})

// ---------------------------------------------------------------------------------------------------------------------
// Instead of the 101
// ---------------------------------------------------------------------------------------------------------------------

/** Answers this instead. Nothing is started. */
export const respond = (response: ServerResponse): ExecFault => ({ answer: () => Effect.succeed(response) })

/** Answers with an HTTP status and a body, which is no `Status` unless it is written as one. */
export const refuse = (status: number, body = "", headers: Readonly<Record<string, string>> = {}): ExecFault =>
  respond({ _tag: "Body", status, headers: { "Content-Type": "text/plain; charset=utf-8", ...headers }, body })

const notImplemented: ServerResponse = {
  _tag: "Body",
  status: 501,
  headers: { "Content-Type": "text/plain; charset=utf-8" },
  body: "upgrade not supported"
}

/** Exactly these bytes instead of an answer, and then the end of the connection. */
export const raw = (bytes: string, end: "fin" | "reset" | "hold" = "fin"): ExecFault =>
  respond({ _tag: "Raw", bytes: new TextEncoder().encode(bytes), end })

/** How servers refuse a subprotocol. */
export const bareForbidden = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n"

/** Refuses the subprotocol: 403 without a body. */
export const refuseSubprotocol: ExecFault = raw(bareForbidden)

/** Refuses SPDY, as a proxy does that passes WebSocket alone; a WebSocket is answered as usual. */
export const refuseSpdy: ExecFault = {
  answer: (next, transport) => transport === "spdy" ? Effect.succeed(notImplemented) : next
}

/** Refuses WebSocket, as a proxy does that passes SPDY alone; SPDY is answered as usual. */
export const refuseWebSocket: ExecFault = {
  answer: (next, transport) => transport === "websocket" ? Effect.succeed(notImplemented) : next
}

/** Something that is not HTTP. */
export const garbledAnswer: ExecFault = raw("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")

/** Closes the connection without an answer. */
export const closeBeforeAnswer: ExecFault = raw("")

/** Never answers. */
export const hang: ExecFault = { answer: () => Effect.never }

/** Answers later. */
export const delayAnswer = (duration: Duration.Input): ExecFault => ({ answer: (next) => Effect.delay(next, duration) })

/** Does what was asked, and loses the answer: the command runs, and the client cannot know. */
export const loseAnswer: ExecFault = {
  answer: (next) =>
    Effect.flatMap(next, (response) =>
      Effect.as(
        response._tag === "Upgrade" ? response.serve(gone) : Effect.void,
        { _tag: "Raw", bytes: new Uint8Array(0), end: "reset" }
      ))
}

const lost = Effect.fail(
  new TransportError({ reason: new ConnectionLost({ address: { host: "nowhere", port: 0 } }) })
)

// A connection whose client has left already, which nobody has noticed.
const gone: ServerConnection = { pull: lost, write: () => Effect.void, end: Effect.void, reset: Effect.void }

/** Changes headers of the 101; `undefined` leaves one off. */
export const headers = (changes: Readonly<Record<string, string | undefined>>): ExecFault => ({
  answer: (next) =>
    Effect.map(next, (response) =>
      response._tag === "Upgrade"
        ? { ...response, headers: present({ ...response.headers, ...changes }) }
        : response)
})

const present = (all: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined))

/** A `Sec-WebSocket-Accept` that belongs to another key. */
export const wrongAccept: ExecFault = headers({ "Sec-WebSocket-Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" })

/** A subprotocol that the client may not have offered. */
export const wrongSubprotocol = (name = "v3.channel.k8s.io"): ExecFault => headers({ "Sec-WebSocket-Protocol": name })

// ---------------------------------------------------------------------------------------------------------------------
// On the connection
// ---------------------------------------------------------------------------------------------------------------------

const onWire = (change: (wire: ExecWire) => Partial<ExecWire>): ExecFault => ({
  wire: (wire) => ({ ...wire, ...change(wire) })
})

/** Ends as usual, but without a Status. */
export const withoutStatus: ExecFault = onWire(() => ({ status: () => Effect.void }))

/** At the end neither a Status nor a close comes, ever. */
export const withholdStatus: ExecFault = onWire(() => ({ status: () => Effect.never }))

/** Closes with another code: 1001, 1011, or none, which the client sees as 1005. */
export const closeCode = (code: number | undefined): ExecFault => onWire((wire) => ({ close: () => wire.close(code) }))

/** Ends the connection without a close frame: by FIN or by RST. */
export const withoutClose = (end: "fin" | "reset" = "fin"): ExecFault =>
  // The TLS of Node 22 tells of a reset that comes with the last bytes as of an orderly end.
  onWire((wire) => ({ close: () => (end === "fin" ? Effect.void : Effect.delay(wire.reset, "5 millis")) }))

/** Stops after so many bytes of output; where there are to be none, at the first one or at the Status. */
const after = (wire: ExecWire, bytes: number, stop: Act): Partial<ExecWire> => {
  let left = bytes
  return {
    output: (output) =>
      Effect.suspend(() => {
        const some = output.bytes.subarray(0, left)
        left -= some.length
        const sent = some.length === 0 ? Effect.void : wire.output({ ...output, bytes: some })
        return left > 0 ? sent : Effect.andThen(sent, stop)
      }),
    status: (status) => (bytes === 0 ? stop : wire.status(status))
  }
}

/** Cuts the connection after so many bytes of output: by FIN or RST, without a close frame; or it stands still. */
export const cut = (bytes: number, how: "fin" | "reset" | "stall" = "reset"): ExecFault =>
  onWire((wire) => {
    const stop: Act = how === "stall"
      ? Effect.never
      : Effect.andThen(how === "fin" ? wire.end : wire.reset, Effect.never)
    return after(wire, bytes, stop)
  })

/** After so many bytes of output nothing comes any more, not even a pong: the peer is gone, and nobody said so. */
export const stall = (bytes: number): ExecFault =>
  all(cut(bytes, "stall"), onWire(() => ({ pong: () => Effect.never, close: () => Effect.never })))

/**
 * The server loses its backend after so many bytes of output, as when a kubelet or a runtime is started again while the
 * command runs. The translator of v5 takes what it has for all there was, and says Success; others end the connection
 * without a word (protocol reference 2.12).
 */
export const loseBackend = (bytes: number): ExecFault =>
  onWire((wire) => {
    const success = Effect.andThen(wire.status(ExitStatus.encodeExit(0)), wire.close(1000))
    const lose = Effect.andThen(wire.subprotocol === RemoteCommand.v5 ? success : Effect.void, wire.end)
    return after(wire, bytes, Effect.andThen(lose, Effect.never))
  })

/** So many bytes a second pass, each way, as with `--max-connection-bytes-per-sec` (protocol reference 2.11). */
export const bandwidth = (bytesPerSecond: number): ExecFault => ({ connection: Bandwidth.limit(bytesPerSecond) })

/** The Status of an exit code, or these bytes, before any output, instead of at the end. */
export const earlyStatus = (status: Uint8Array | string): ExecFault =>
  onWire((wire) => ({
    ready: (channel) => Effect.andThen(wire.ready(channel), wire.status(bytesOf(status))),
    status: () => Effect.void
  }))

/** These bytes instead of the Status. */
export const replaceStatus = (status: Uint8Array | string): ExecFault =>
  onWire((wire) => ({ status: () => wire.status(bytesOf(status)) }))

/** The Status in messages of so many bytes. */
export const splitStatus = (size: number): ExecFault =>
  onWire((wire) => ({
    status: (status) => Effect.forEach(pieces(status, size), (piece) => wire.status(piece), { discard: true })
  }))

/** The Status twice. */
export const repeatStatus: ExecFault = onWire((wire) => ({
  status: (status) => Effect.andThen(wire.status(status), wire.status(status))
}))

/** More output after the Status. */
export const outputAfterStatus = (text: string, channel: 1 | 2 = 1): ExecFault =>
  onWire((wire) => ({
    status: (status) => Effect.andThen(wire.status(status), wire.output({ channel, bytes: bytesOf(text) }))
  }))

/** Sends something right after the first message. */
export const inject = (act: (wire: ExecWire) => Act): ExecFault =>
  onWire((wire) => ({ ready: (channel) => Effect.andThen(wire.ready(channel), act(wire)) }))

const frame = (frame: WebSocketFrame.Frame, mask?: number) => (wire: ExecWire): Act =>
  wire.bytes(WebSocketFrame.encode(frame, mask))

const { Binary, Continuation, Ping, Text } = WebSocketFrame.Opcode

/** A text message where only binary ones may come. */
export const textMessage: ExecFault = inject(frame({ opcode: Text, prefix: 1, payload: bytesOf("text\n") }))

/** A message without even a channel. */
export const emptyMessage: ExecFault = inject(frame({ opcode: Binary, payload: new Uint8Array(0) }))

/** Bytes on a channel that does not exist. */
export const unknownChannel: ExecFault = inject((wire) => wire.send(7, bytesOf("nobody knows this channel")))

/** The close signal of v5, which servers never send. */
export const closeSignal = (channel = 1): ExecFault => inject((wire) => wire.send(255, Uint8Array.of(channel)))

/** A masked frame, which only clients may send. */
export const maskedFrame: ExecFault = inject(
  frame({ opcode: Binary, prefix: 1, payload: bytesOf("masked\n") }, 0x12345678)
)

/** A frame with a reserved bit, as if compressed. */
export const reservedBits: ExecFault = inject((wire) => wire.bytes(Uint8Array.of(0xc2, 0x02, 0x01, 0x61)))

/** Messages of output in fragments of so many bytes, with a ping between them if so asked. */
export const fragmentOutput = (size: number, pings = false): ExecFault =>
  onWire((wire) => ({
    output: ({ bytes, channel }) => {
      const parts = pieces(Buffer.concat([Uint8Array.of(channel), bytes]), size)
      return Effect.forEach(parts, (payload, i) => {
        const fragment = frame({ opcode: i === 0 ? Binary : Continuation, fin: i === parts.length - 1, payload })(wire)
        return pings && i > 0
          ? Effect.andThen(frame({ opcode: Ping, payload: bytesOf("between") })(wire), fragment)
          : fragment
      }, { discard: true })
    }
  }))

/** Answers no ping. */
export const withholdPongs: ExecFault = onWire(() => ({ pong: () => Effect.void }))

/** Answers a ping with other bytes than it came with. */
export const wrongPongs: ExecFault = onWire((wire) => ({ pong: () => wire.pong(bytesOf("something else")) }))

/** Pings the client, which real servers do not. Its pongs are in the exec's record. */
export const ping = (payload = "are you there?"): ExecFault =>
  inject(frame({ opcode: Ping, payload: bytesOf(payload) }))

/** Does not read the connection: no pong, no stdin, no word of the client's leaving. */
export const neverRead: ExecFault = { ignoresClient: true }

// ---------------------------------------------------------------------------------------------------------------------
// In what runs
// ---------------------------------------------------------------------------------------------------------------------

/** Starts the command later. The first message comes before. */
export const delayStart = (duration: Duration.Input): ExecFault => ({
  run: (next) => (pipes) => Effect.delay(next(pipes), duration)
})

/** Starts the command when the latch opens. */
export const startAfter = (latch: Latch.Latch): ExecFault => ({
  run: (next) => (pipes) => Effect.andThen(latch.await, next(pipes))
})

/** An InternalError in these words on channel 3, after the 101. Nothing is started. */
export const failStart = (message: string): ExecFault => ({
  run: () => () => Effect.succeed<End>({ _tag: "Refused", message })
})

/** What a function that runs in place of a command has. */
export interface ProgramIo {
  readonly stdout: (bytes: Uint8Array | string) => Effect.Effect<void>
  readonly stderr: (bytes: Uint8Array | string) => Effect.Effect<void>
  /** The next bytes of stdin; nothing at its end. */
  readonly stdin: Effect.Effect<Uint8Array | undefined>
  /** Waits for the client to leave. */
  readonly departure: Effect.Effect<void>
}

/** A function in place of the command, which needs no process and runs on any clock. It gives the exit code. */
export const program = (main: (io: ProgramIo) => Effect.Effect<number>): ExecFault => ({
  run: () => (pipes) => Effect.map(main(ioOf(pipes)), (code): End => ({ _tag: "Exited", code }))
})

// What a pipe holds, and so the most that is written at once.
const pipeBytes = 64 * 1024

const ioOf = ({ departure, notice, output, stdin }: ExecPipes): ProgramIo => {
  const write = (channel: 1 | 2) => (bytes: Uint8Array | string): Effect.Effect<void> =>
    Effect.forEach(pieces(bytesOf(bytes), pipeBytes), (piece) =>
      Effect.map(notice.until(output.hasRoom), () => {
        output.offer({ channel, bytes: piece })
        notice.notify()
      }), { discard: true })
  return {
    stdout: write(1),
    stderr: write(2),
    stdin: Effect.map(notice.until(() => stdin.peek().length > 0 || stdin.isFinished()), () => {
      const bytes = stdin.peek()
      if (bytes.length === 0) return undefined
      stdin.advance(bytes.length)
      notice.notify()
      return bytes
    }),
    departure: notice.until(() => departure() !== undefined)
  }
}

/** A test's own server in place of everything after the 101. */
export const script = (
  serve: (peer: Peer) => Effect.Effect<void, TransportError | Cause.Done, Scope.Scope>
): ExecFault => ({ serve })

function bytesOf(bytes: Uint8Array | string): Uint8Array {
  return typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes
}

const pieces = (bytes: Uint8Array, size: number): ReadonlyArray<Uint8Array> =>
  Array.from(
    { length: Math.max(1, Math.ceil(bytes.length / size)) },
    (_, i) => bytes.subarray(i * size, (i + 1) * size)
  )
