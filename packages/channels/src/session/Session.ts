/**
 * A running remote command: reads the connection into bounded buffers, keeps it alive, and knows the outcome once.
 *
 * One fiber reads, one watches over liveness; both end with the scope. What the bytes mean is decided by pure modules:
 * `SupervisorOutput`, `ExitStatus`, `Outcome`, `Liveness`, `WriterGate`.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Bytes from "effect/Bytes"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as ChannelError from "../ChannelError.ts"
import type { Connection, Inbound } from "../connection/Connection.ts"
import * as ExitStatus from "../protocol/ExitStatus.ts"
import type { TerminalSize } from "../protocol/RemoteCommand.ts"
import * as SupervisorOutput from "../protocol/SupervisorOutput.ts"
import type { Concealment } from "./Concealment.ts"
import * as LetGo from "./LetGo.ts"
import * as Liveness from "./Liveness.ts"
import * as Outcome from "./Outcome.ts"
import { outcomeReason } from "./outcomeReason.ts"
import * as OutputBuffer from "./OutputBuffer.ts"
import * as WriterGate from "./WriterGate.ts"

/** What a session is made from. */
export interface Options {
  readonly connection: Connection
  readonly info: ChannelError.ChannelInfo
  /** The program, the directory and the names of the variables, for errors that name them. */
  readonly program: string
  readonly cwd: string | undefined
  readonly variables: ReadonlyArray<string>
  /** The nonce of the supervisor's records; none for a bare command. */
  readonly nonce: string | undefined
  readonly tty: boolean
  /** The limit of each output's buffer. */
  readonly bufferBytes: number
  /** How long an unread output may hold up others. */
  readonly unreadGrace: Duration.Duration
  readonly liveness: Liveness.Settings
  /** Takes secrets out of what the server says. */
  readonly concealment: Concealment
}

/** How the command began. */
export type Start =
  /** It runs, as far as is known. */
  | { readonly _tag: "Started"; readonly processGroup: number | undefined }
  /** The server reported a failure before the supervisor said a word: it, and so the command, did not start. */
  | {
    readonly _tag: "NotStarted"
    readonly status: ExitStatus.Failed | ExitStatus.Exited
    /** What came on stderr: some runtimes explain themselves there. */
    readonly stderr: string
  }

/** An exit, and whether the outputs are known to be complete. */
export interface Exited {
  readonly code: number
  readonly verified: Outcome.Verified
}

/** Counts so far, in bytes of the command's own data. */
export interface Counts {
  readonly stdin: number
  readonly stdout: number
  readonly stderr: number
}

/** A running session. */
export interface Session {
  readonly start: Effect.Effect<Start>
  readonly stdout: Stream.Stream<Uint8Array, ChannelError.ChannelError>
  readonly stderr: Stream.Stream<Uint8Array, ChannelError.ChannelError>
  /** Waits for the outcome. */
  readonly exited: Effect.Effect<Exited, ChannelError.ChannelError>
  readonly isRunning: Effect.Effect<boolean>
  /** The server's Status, when the session has ended in order. */
  readonly status: Effect.Effect<ExitStatus.Outcome, ChannelError.ChannelError>
  /** Sends stdin. `false`: the command takes no more. What is not the command's own is not counted. */
  readonly write: (
    chunks: NonEmptyReadonlyArray<Uint8Array>,
    options?: { readonly counted: boolean }
  ) => Effect.Effect<boolean, ChannelError.ChannelError>
  readonly endStdin: Effect.Effect<void, ChannelError.ChannelError>
  /** Ends the session's stdin, the user's or not. */
  readonly hangUp: Effect.Effect<void>
  readonly resize: (size: TerminalSize) => Effect.Effect<void>
  readonly counts: () => Counts
}

const decoder = new TextDecoder()
const endOfTransmission = Uint8Array.of(4)
// How long the goodbye may take at the end of the scope, before the connection is destroyed.
const goodbye = Duration.millis(50)
const lastWordWithin = Duration.seconds(5)
// What CRI-O writes to stderr when it cannot start a command; more is not looked at.
const startStderrBytes = 8 * 1024

/** Starts to read. */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Session, never, Scope.Scope> {
  const { connection, nonce } = options
  const supervised = nonce !== undefined
  const clock = yield* Effect.clockWith(Effect.succeed)
  const scope = yield* Effect.scope
  const now = (): number => clock.currentTimeMillisUnsafe()

  const outputs = {
    stdout: OutputBuffer.make(options.bufferBytes),
    stderr: OutputBuffer.make(options.bufferBytes)
  }
  const parsers = nonce === undefined
    ? undefined
    : { stdout: SupervisorOutput.makeParser(nonce), stderr: SupervisorOutput.makeParser(nonce) }
  const trailers: { stdout: SupervisorOutput.Trailer | undefined; stderr: SupervisorOutput.Trailer | undefined } = {
    stdout: undefined,
    stderr: undefined
  }
  const status = ExitStatus.makeAccumulator()
  let statusSeen: ExitStatus.Outcome | undefined
  let outputsEnded = false
  let early: Array<Uint8Array> = []
  let isEarlyCut = false

  const counts = { stdin: 0, stdout: 0, stderr: 0 }
  let live = Liveness.initial(now())
  let outputAt = 0
  let stdinEnded = false
  let waitingForExit = 0
  let blockedWrites = 0

  const started = Deferred.makeUnsafe<Start>()
  const done = Deferred.makeUnsafe<Exited, ChannelError.ChannelError>()
  const closed = Deferred.makeUnsafe<ExitStatus.Outcome, ChannelError.ChannelError>()
  // Ends when stdin can take nothing more: the command has ended, or the session has.
  const stdinOver = LetGo.make()
  const resumed = Latch.makeUnsafe(true)

  const fail = (reason: ChannelError.ChannelErrorReason): ChannelError.ChannelError =>
    new ChannelError.ChannelError({ reason, channel: options.info })
  const received = (): number => counts.stdout + counts.stderr
  const advance = (event: Liveness.Event): void => {
    live = Liveness.step(live, now(), event)
  }

  /** The outcome is known. What has arrived can still be read. */
  const finish = (exit: Exit.Exit<Exited, ChannelError.ChannelError>): void => {
    if (Deferred.isDoneUnsafe(done)) return
    const end = Exit.isSuccess(exit) ? Cause.done() : Effect.failCause(exit.cause)
    // First of all, because whoever waits for an end goes on at once, and may close the scope.
    Deferred.doneUnsafe(done, exit)
    outputs.stdout.end(end)
    outputs.stderr.end(end)
    stdinOver.end()
    Deferred.doneUnsafe(started, Effect.succeed({ _tag: "Started", processGroup: undefined }))
  }

  const toExit = (
    outcome: Outcome.Outcome,
    closeCode: number | undefined
  ): Exit.Exit<Exited, ChannelError.ChannelError> => {
    if (outcome._tag === "Exited") return Exit.succeed({ code: outcome.code, verified: outcome.verified })
    const { cwd, program, variables } = options
    return Exit.fail(fail(outcomeReason(outcome, { program, cwd, variables, bytesReceived: received(), closeCode })))
  }

  /** The connection has ended. */
  const conclude = (end: Outcome.End): void => {
    const outcome = options.concealment.outcome(status.end())
    if (outcome._tag === "Failed" || (outcome._tag === "Exited" && outcome.code !== 0)) {
      const conceal = isEarlyCut ? options.concealment.cut : options.concealment.text
      const stderr = conceal(decoder.decode(Bytes.concat(early)))
      Deferred.doneUnsafe(started, Effect.succeed({ _tag: "NotStarted", status: outcome, stderr }))
    }
    // What is held back where a connection broke is mostly the beginning of a record: so what was read is always the
    // beginning of the output, and whoever goes on from there does so at the right byte.
    if (parsers !== undefined && end._tag !== "Lost") {
      for (const bytes of parsers.stdout.end()) outputs.stdout.offer(bytes)
      for (const bytes of parsers.stderr.end()) outputs.stderr.offer(bytes)
    }
    const closeCode = end._tag === "Closed" ? end.code : undefined
    finish(toExit(Outcome.decide({ supervised, trailers, status: outcome, end }, ExitStatus.classify), closeCode))
    Deferred.doneUnsafe(closed, Effect.succeed(outcome))
    advance({ _tag: "Silenced" })
  }

  const onOutput = (name: "stdout" | "stderr", bytes: Uint8Array): void => {
    if (Deferred.isDoneUnsafe(done)) return
    if (parsers === undefined) {
      counts[name] += bytes.length
      outputs[name].offer(bytes)
      return
    }
    const parsed = parsers[name].push(bytes)
    if (parsed.processGroup !== undefined) {
      early = []
      Deferred.doneUnsafe(started, Effect.succeed({ _tag: "Started", processGroup: parsed.processGroup }))
    }
    for (const chunk of parsed.output) {
      counts[name] += chunk.length
      outputs[name].offer(chunk)
      if (Deferred.isDoneUnsafe(started)) continue
      if (counts.stdout + counts.stderr < startStderrBytes) early.push(chunk)
      else isEarlyCut = true
    }
    if (parsed.trailer === undefined) return
    trailers[name] = parsed.trailer
    if (parsed.trailer._tag === "Exited") outputs[name].end(Cause.done())
    advance({ _tag: "HalfTold" })
  }

  const onEvent = (event: Inbound): void => {
    switch (event._tag) {
      case "Output":
        outputAt = now()
        return onOutput(event.channel === 1 ? "stdout" : "stderr", event.bytes)
      case "Status":
        if (statusSeen !== undefined) return
        statusSeen = status.push(event.bytes)
        if (statusSeen !== undefined && !supervised) advance({ _tag: "Silenced" })
        return
      case "OutputsEnded":
        outputsEnded = true
        return
      case "Pong":
        return
      case "Closed":
        return conclude({ _tag: "Closed", code: event.code })
      case "Violation":
        finish(Exit.fail(fail(new ChannelError.ProtocolViolation({ description: event.description }))))
        return conclude({ _tag: "Lost", cause: undefined })
    }
  }

  /** The session is over but for what the server has to say. One that says nothing is not waited for. */
  const expect = (end: Outcome.End) =>
    Effect.gen(function*() {
      do yield* Effect.sleep(lastWordWithin)
      while (live.paused)
      conclude(end)
      yield* connection.close
    })
  /** Servers close right after the status: it is their last word. */
  const expectClose = expect({ _tag: "Closed", code: undefined })
  /** The status comes right after the outputs, or, when stdin was left unread, never. */
  const expectStatus = expect({ _tag: "Silent" })

  /** Both trailers are here: everything was received, and the supervisor may go. */
  const acknowledge: Effect.Effect<void> = Effect.suspend(() => {
    const end: Outcome.End = { _tag: "Closed", code: undefined }
    const evidence: Outcome.Evidence = { supervised, trailers, status: { _tag: "Missing" }, end }
    finish(toExit(Outcome.decide(evidence, ExitStatus.classify), undefined))
    // In the background, because a write of stdin may be under way that ends only when we go on reading.
    return Effect.asVoid(Effect.forkIn(Effect.andThen(hangUp, expectClose), scope))
  })

  const unread = (full: ReadonlyArray<"stdout" | "stderr">) =>
    full.find((name) => outputs[name].isFull() && !outputs[name].hasReader())
  // Also for one that was full: its reader has emptied it since.
  const somebodyWaits = (): boolean =>
    waitingForExit > 0 || blockedWrites > 0 || outputs.stdout.isAwaited() || outputs.stderr.isAwaited()

  /** Reads no more until there is room; fails the session when nobody will make any. */
  const pause = Effect.fnUntraced(function*(full: ReadonlyArray<"stdout" | "stderr">) {
    advance({ _tag: "Paused" })
    resumed.closeUnsafe()
    const room = Effect.forEach(full, (name) => outputs[name].room, { discard: true })
    const guard = Effect.gen(function*() {
      while (true) {
        yield* Effect.sleep(options.unreadGrace)
        const name = unread(full)
        if (name !== undefined && somebodyWaits()) return name
      }
    })
    const name = yield* Effect.raceFirst(Effect.as(room, undefined), guard)
    advance({ _tag: "Resumed" })
    // What the server has kept for us meanwhile is on its way.
    outputAt = now()
    resumed.openUnsafe()
    if (name === undefined) return
    finish(Exit.fail(fail(
      new ChannelError.UnreadOutput({ stream: name, bufferedBytes: outputs[name].size() })
    )))
    conclude({ _tag: "Lost", cause: undefined })
    yield* connection.close
  })

  const onBatch = (batch: NonEmptyReadonlyArray<Inbound>): Effect.Effect<void> => {
    const hadStatus = statusSeen !== undefined
    const hadOutputs = !outputsEnded
    let data = false
    let pong = false
    for (const event of batch) {
      if (event._tag === "Pong") pong = true
      else data = true
      onEvent(event)
    }
    advance({ _tag: "Received", data, pong })
    if (Deferred.isDoneUnsafe(done)) return Effect.void
    if (!hadStatus && statusSeen !== undefined) return Effect.asVoid(Effect.forkIn(expectClose, scope))
    if (trailers.stdout !== undefined && trailers.stderr !== undefined) return acknowledge
    if (hadOutputs && outputsEnded) return Effect.asVoid(Effect.forkIn(expectStatus, scope))
    const full = (["stdout", "stderr"] as const).filter((name) => outputs[name].isFull())
    return full.length === 0 ? Effect.void : pause(full)
  }

  // Not `repeat`, whose schedule gives way to others after each read.
  const readOne = Effect.flatMap(connection.receive, onBatch)
  const reading = yield* Effect.whileLoop({
    while: () => !Deferred.isDoneUnsafe(closed),
    body: () => readOne,
    step: () => {}
  }).pipe(
    Effect.catchCause((cause) =>
      Effect.sync(() => {
        // The bytes ended. After the outcome that is how sessions end; before it, it is a loss.
        const known = statusSeen !== undefined || Deferred.isDoneUnsafe(done)
        conclude(
          known ? { _tag: "Closed", code: undefined } : { _tag: "Lost", cause: Cause.squash(cause) }
        )
      })
    ),
    Effect.forkScoped
  )

  const watching = Effect.gen(function*() {
    while (!Deferred.isDoneUnsafe(closed)) {
      const action = Liveness.decide(options.liveness, live, now())
      switch (action._tag) {
        case "Wait":
          yield* Effect.sleep(Math.max(action.millis, 1))
          break
        case "Ping":
          advance({ _tag: "Pinged" })
          yield* Effect.ignore(connection.ping)
          break
        case "KeepAlive":
          advance({ _tag: "KeptAlive" })
          yield* Effect.ignore(connection.keepAlive)
          break
        case "Dead":
          finish(Exit.fail(fail(new ChannelError.PeerStalled({ silentMillis: action.silentMillis }))))
          return conclude({ _tag: "Lost", cause: undefined })
        case "HalfTold":
          conclude({ _tag: "HalfTold", quietMillis: action.quietMillis })
          // The supervisor waits for it.
          return yield* connection.close
      }
    }
  })
  yield* Effect.forkScoped(watching)

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      finish(Exit.fail(fail(new ChannelError.ConnectionLost({ bytesReceived: received(), cause: "the scope ended" }))))
      return Deferred.isDoneUnsafe(closed)
        ? connection.close
        : Effect.asVoid(Effect.timeoutOption(Effect.andThen(connection.close, Fiber.await(reading)), goodbye))
    }).pipe(
      Effect.timeoutOption(goodbye),
      Effect.andThen(Effect.sync(() => {
        // Nothing more will be read, and somebody may still wait for what it would have been.
        if (!Deferred.isDoneUnsafe(closed)) conclude({ _tag: "Lost", cause: undefined })
      }))
    )
  )

  /** Waits until a bare command may be written to. `false`: never again. */
  const gate = Effect.gen(function*() {
    if (supervised || options.tty) return true
    let since = now()
    while (true) {
      const verdict = WriterGate.decide(
        { paused: live.paused, outputAt, ended: statusSeen !== undefined || Deferred.isDoneUnsafe(done) },
        now(),
        since
      )
      if (verdict._tag === "Open") return true
      if (verdict._tag === "Never") return false
      if (verdict.millis === undefined) {
        yield* resumed.await
        since = now()
      } else {
        yield* Effect.sleep(verdict.millis)
      }
    }
  })

  /** What a write comes to once the session is over: the session's failure, or that nothing more is taken. */
  const over: Effect.Effect<false, ChannelError.ChannelError> = Effect.as(Deferred.await(done), false as const)

  const write: Session["write"] = Effect.fnUntraced(function*(chunks, { counted } = { counted: true }) {
    if (stdinEnded || stdinOver.isOver()) return yield* over
    blockedWrites++
    const sent = yield* Effect.flatMap(
      gate,
      (open) => open ? Effect.as(connection.sendStdin(chunks), true) : Effect.succeed(false)
    ).pipe(
      // The reading side knows better why the connection failed.
      Effect.catchCause((cause) =>
        Cause.hasDies(cause) ? Effect.die(Cause.squash(cause)) : Effect.as(Deferred.await(closed), false)
      ),
      stdinOver.unlessOver,
      Effect.ensuring(Effect.sync(() => {
        blockedWrites--
      }))
    )
    if (!sent) return yield* over
    if (counted) { for (const chunk of chunks) counts.stdin += chunk.length }
    advance({ _tag: "SentStdin" })
    return true
  })

  /** Whether it arrives, the reading side will tell. A connection that is being closed interrupts its writes. */
  const quietly = (write: Effect.Effect<void, TransportError>): Effect.Effect<void> =>
    Effect.catchCause(write, (cause) => Cause.hasDies(cause) ? Effect.die(Cause.squash(cause)) : Effect.void)

  const hangUp: Effect.Effect<void> = Effect.uninterruptibleMask((restore) => {
    if (stdinEnded) return Effect.void
    stdinEnded = true
    if (!supervised) advance({ _tag: "Silenced" })
    // On v4 closing is the only way to say it. Whoever is interrupted meanwhile has said it all the same.
    const end = connection.halfClose ? connection.endStdin : connection.close
    const saying = Effect.forkIn(end, scope, { startImmediately: true })
    return Effect.flatMap(saying, (fiber) => restore(quietly(Fiber.join(fiber))))
  })

  const endStdin: Effect.Effect<void, ChannelError.ChannelError> = Effect.gen(function*() {
    if (stdinEnded || stdinOver.isOver()) return
    if (options.tty) return yield* Effect.asVoid(write([endOfTransmission]))
    if (yield* gate) yield* hangUp
  })

  if (!supervised) Deferred.doneUnsafe(started, Effect.succeed({ _tag: "Started", processGroup: undefined }))

  return {
    start: Deferred.await(started),
    stdout: outputs.stdout.stream,
    stderr: outputs.stderr.stream,
    exited: Effect.suspend(() => {
      waitingForExit++
      return Effect.ensuring(
        Deferred.await(done),
        Effect.sync(() => {
          waitingForExit--
        })
      )
    }),
    isRunning: Effect.sync(() => !Deferred.isDoneUnsafe(done)),
    status: Deferred.await(closed),
    write,
    endStdin,
    hangUp,
    resize: (size) => quietly(connection.resize(size)),
    counts: () => ({ ...counts })
  }
})
