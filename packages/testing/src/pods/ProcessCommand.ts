/**
 * A command of an exec as a process of this machine, at the far end of the exec's pipes.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as AttachProcess from "./AttachProcess.ts"
import type { ExecCall } from "./ExecCall.ts"
import type { End, ExecPipes } from "./ExecPipes.ts"
import type { Harm } from "./Harm.ts"
import * as LocalProcess from "./LocalProcess.ts"
import * as Programs from "./Programs.ts"
import * as Pty from "./Pty.ts"
import * as Runtime from "./Runtime.ts"

/** What to run, where, and who wants to know. */
export interface Options {
  readonly runtime: Runtime.Runtime
  readonly container: Runtime.RunningContainer
  readonly call: ExecCall
  /** The exec's own name, in the list of processes. */
  readonly exec: string
  readonly harm: Harm
  /** How the runtime ends its words about a command that it could not start. */
  readonly startFailureEnd: string
  readonly onStart: (pid: number) => void
  readonly onExit: (code: number) => void
  /** It has ended, and nothing will be said of it. */
  readonly onHang: () => void
}

// What the runtime's helper makes of a file that the kernel will not run.
const kernelWords: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  ENOEXEC: "exec format error",
  E2BIG: "argument list too long"
}

/** Runs the command, until it has ended and everybody has let go of its outputs. */
export const run = Effect.fnUntraced(
  function*(pipes: ExecPipes, options: Options): Effect.fn.Return<End, never, Scope.Scope> {
    const { call, container, runtime } = options
    const failed = (why: string): End => ({
      _tag: "Failed",
      message: "error executing command in container: failed to exec in container: failed to start exec " +
        `"${Runtime.randomId()}": ${why}`
    })
    const pty = call.tty ? yield* runtime.pty : undefined
    if (call.tty && pty === undefined) {
      return failed(`this test cluster has no terminals on this machine: ask without tty (-t), or ${Pty.advice}`)
    }
    const [name, ...args] = call.command
    const ociFailed = (why: string): End =>
      failed(`OCI runtime exec failed: exec failed: ${why}${options.startFailureEnd}`)
    if (name === undefined) return ociFailed("args must not be empty")
    const resolved = Programs.resolve(name, {
      path: container.env["PATH"] ?? "",
      cwd: container.cwd,
      home: container.home,
      programs: container.programs
    })
    if (resolved._tag === "Unusable") return ociFailed(`unable to start container process: ${resolved.why}`)
    if (resolved._tag === "NotRunnable") return refused(pipes, call, resolved.why)

    const start = pty?.start ?? LocalProcess.start
    const started = yield* start({
      file: resolved.file,
      argv: [name, ...args],
      cwd: container.cwd,
      env: container.env,
      stdin: call.stdin,
      stdout: call.stdout,
      stderr: call.stderr
    }, runtime.fifos)
    if (started._tag === "NotStarted") {
      return refused(pipes, call, `exec ${name}: ${kernelWords[started.code] ?? started.code}`)
    }
    options.onStart(started.pid)
    const { namespace, pod } = container
    runtime.table.add({
      pid: started.pid,
      owner: { namespace, pod, container: container.name, exec: options.exec },
      home: container.home,
      argv: call.command,
      hasEnded: started.hasEnded
    })
    // The container may have ended while the process was started, and the processes in it been killed before.
    if (!container.isRunning()) started.killGroup()
    yield* Effect.forkChild(connect(pipes, started, options))
    if (pty !== undefined) yield* Effect.forkChild(AttachProcess.follow(pipes, { process: started }))
    const outputs = yield* Effect.forkChild(readOutputs(pipes, started, options))
    const code = yield* started.exitCode
    options.onExit(code)
    const isAbandoned = (): boolean => pipes.departure()?.output === "block"
    yield* Effect.raceFirst(Fiber.join(outputs), pipes.notice.until(isAbandoned))
    if (options.harm.hangsOnUnreadStdin && pipes.stdin.isBlocked()) {
      options.onHang()
      pipes.stdin.discard()
      pipes.notice.notify()
      yield* pipes.notice.until(() => pipes.departure() !== undefined)
    }
    return { _tag: "Exited", code }
  },
  Effect.scoped
)

const refused = (pipes: ExecPipes, call: ExecCall, why: string): End => {
  if (call.stderr) pipes.output.offer({ channel: 2, bytes: new TextEncoder().encode(`${why}\n`) })
  pipes.notice.notify()
  return { _tag: "Exited", code: 1 }
}

// Feeds stdin, and ends the command when its client's leaving means that.
const connect = (
  pipes: ExecPipes,
  started: LocalProcess.LocalProcess,
  { harm }: Options
): Effect.Effect<void> => {
  // Stdin is also given up where stdout was never asked for.
  if (harm.cutsStdin && started.stdout === undefined) pipes.stdin.cut()
  const watch = Effect.andThen(
    pipes.notice.until(() => pipes.departure()?.killsCommand === true),
    Effect.sync(started.killGroup)
  )
  const { stdin } = started
  return stdin === undefined
    ? watch
    : Effect.asVoid(Effect.all([feed(pipes, stdin), watch], { concurrency: "unbounded", discard: true }))
}

const feed = Effect.fnUntraced(function*(
  { notice, stdin }: ExecPipes,
  sink: LocalProcess.Sink
): Effect.fn.Return<void> {
  while (true) {
    const bytes = stdin.peek()
    if (bytes.length > 0) {
      if (!(yield* sink.write(bytes))) {
        stdin.break()
        return
      }
      stdin.advance(bytes.length)
      notice.notify()
    } else if (stdin.isFinished()) {
      return yield* sink.end
    } else {
      yield* notice.until(() => stdin.peek().length > 0 || stdin.isFinished())
    }
  }
})

const readOutputs = (
  pipes: ExecPipes,
  started: LocalProcess.LocalProcess,
  { harm }: Options
): Effect.Effect<void> => {
  const read = Effect.fnUntraced(function*(
    channel: 1 | 2,
    source: LocalProcess.Source | undefined
  ): Effect.fn.Return<void> {
    if (source === undefined) return
    while (true) {
      yield* pipes.notice.until(pipes.output.hasRoom)
      const bytes = yield* source.pull
      if (bytes === undefined) break
      pipes.output.offer({ channel, bytes })
      pipes.notice.notify()
    }
    if (harm.cutsStdin) pipes.stdin.cut()
    pipes.notice.notify()
  })
  return Effect.all([read(1, started.stdout), read(2, started.stderr)], { concurrency: "unbounded", discard: true })
}
