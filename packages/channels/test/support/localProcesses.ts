/**
 * Processes of this machine, in memory: the same programs as those of the containers.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PlatformError from "effect/PlatformError"
import type * as ChildProcess from "effect/process/ChildProcess"
import * as Spawner from "effect/process/ChildProcessSpawner"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { bytesOf } from "./execServer.ts"
import type { Programs } from "./programs.ts"

/** A spawner of programs, and what runs of it. */
export interface Processes {
  readonly spawner: Spawner.ChildProcessSpawner["Service"]
  /** The commands that were spawned. */
  readonly spawned: Array<ChildProcess.StandardCommand>
  /** How many run. */
  readonly running: () => number
}

/** How processes behave. */
export interface Settings {
  /** How long a process lives on after it was told to end; not at all unless told. */
  readonly lingers?: Duration.Input | undefined
}

type Pipe = Queue.Queue<Uint8Array, Cause.Done>

const pipe: Effect.Effect<Pipe> = Queue.bounded<Uint8Array, Cause.Done>(4)
// A pipe that nobody reads any more ends the program, unless that looks at how its write has ended.
const write = (into: Pipe) => (data: string | Uint8Array): Effect.Effect<void> =>
  Effect.flatMap(Queue.offer(into, bytesOf(data)), (taken) => taken ? Effect.void : Effect.interrupt)
const brokenPipe = 141
const killed = 143

/**
 * Processes that run these programs. As of those of the system, a writer of stdin that is interrupted closes it, and so does
 * a reader of an output that leaves.
 */
export const make = (programs: Programs, { lingers = 0 }: Settings = {}): Processes => {
  const spawned: Array<ChildProcess.StandardCommand> = []
  let count = 0
  let pids = 0
  const spawn: Spawner.ChildProcessSpawner["Service"]["spawn"] = Effect.fnUntraced(function*(command) {
    if (command._tag !== "StandardCommand") return yield* Effect.die("a pipeline has been flattened")
    spawned.push(command)
    const program = programs[command.command]
    if (program === undefined) {
      return yield* PlatformError.systemError({
        _tag: "NotFound",
        module: "ChildProcess",
        method: "spawn",
        pathOrDescriptor: command.command
      })
    }
    const stdin = yield* pipe
    const stdout = yield* pipe
    const stderr = yield* pipe
    const exit = yield* Deferred.make<Spawner.ExitCode>()
    const end = (code: number): Effect.Effect<void> =>
      Effect.uninterruptible(Effect.gen(function*() {
        if (!(yield* Deferred.succeed(exit, Spawner.ExitCode(code)))) return
        count--
        yield* Queue.shutdown(stdin)
        yield* Queue.end(stdout)
        yield* Queue.end(stderr)
      }))
    if (command.options.stdin !== "pipe") yield* Queue.end(stdin)
    const main = program({
      argv: [command.command, ...command.args].map((word) => Redacted.isRedacted(word) ? Redacted.value(word) : word),
      env: {},
      cwd: undefined,
      read: Pull.catchDone(Queue.take(stdin), () => Effect.undefined),
      stdout: write(stdout),
      stderr: write(stderr)
    }).pipe(
      Effect.onInterrupt(() => end(brokenPipe)),
      Effect.flatMap(end)
    )
    const kill = (fiber: Fiber.Fiber<void>): Effect.Effect<void> =>
      Effect.timeoutOption(Fiber.await(fiber), lingers).pipe(
        Effect.andThen(Effect.andThen(end(killed), Fiber.interrupt(fiber)))
      )
    const output = (from: Pipe) => Stream.ensuring(Stream.fromQueue(from), Queue.shutdown(from))
    const running = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        count++
        return Effect.forkDetach(main)
      }),
      kill
    )
    return Spawner.makeHandle({
      pid: Spawner.ProcessId(++pids),
      exitCode: Deferred.await(exit),
      isRunning: Effect.map(Deferred.isDone(exit), (done) => !done),
      kill: () => kill(running),
      stdin: Sink.fromTransform((upstream) =>
        Effect.gen(function*() {
          while (true) {
            const chunks = yield* Effect.onInterrupt(
              Pull.catchDone(upstream, () => Effect.undefined),
              () => Queue.end(stdin)
            )
            if (chunks === undefined) {
              yield* Queue.end(stdin)
              return [undefined] as const
            }
            const rest = yield* Effect.onInterrupt(Queue.offerAll(stdin, chunks), () => Queue.end(stdin))
            if (rest.length > 0) {
              return yield* PlatformError.systemError({ _tag: "WriteZero", module: "ChildProcess", method: "stdin" })
            }
          }
        })
      ),
      stdout: output(stdout),
      stderr: output(stderr),
      all: Stream.merge(output(stdout), output(stderr)),
      getInputFd: () => Sink.drain,
      getOutputFd: () => Stream.empty,
      unref: Effect.succeed(Effect.void)
    })
  })
  return { spawner: Spawner.make(spawn), spawned, running: () => count }
}
