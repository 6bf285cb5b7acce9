/**
 * A container's own process at the far end of an attach's pipes.
 */
import * as Effect from "effect/Effect"
import type { ExecCall } from "./ExecCall.ts"
import type { End, ExecPipes } from "./ExecPipes.ts"
import type * as LocalProcess from "./LocalProcess.ts"

/** Somebody who is shown what a process writes. */
export interface Tap {
  /** Takes output, when there is room for it: the process waits for the slowest. */
  readonly offer: (channel: 1 | 2, bytes: Uint8Array) => Effect.Effect<void>
}

/** The process of a container that runs. */
export interface MainProcess {
  readonly process: LocalProcess.LocalProcess
  /** Whether the end of a client's stdin is the end of the container's. */
  readonly stdinOnce: boolean
  readonly tty: boolean
  /** Shows output from now on. */
  readonly tap: (tap: Tap) => void
  readonly untap: (tap: Tap) => void
  /** Waits until it has ended, and all of its output was shown. */
  readonly over: Effect.Effect<void>
}

/** Who attaches, and to what. */
export interface Options {
  readonly call: ExecCall
  readonly main: MainProcess
  /** Whether the translator is between. */
  readonly isTranslated: boolean
  /** Whether a stdin that is not attached is one that has ended: the runtime's own WebSockets always have a stdin. */
  readonly impliesStdin: boolean
}

/** Shows output and feeds stdin until the process ends or the client leaves. Nobody is told an exit code. */
export const run = Effect.fnUntraced(function*(
  pipes: ExecPipes,
  { call, impliesStdin, isTranslated, main }: Options
): Effect.fn.Return<End> {
  const { notice, output } = pipes
  const hasLeft = (): boolean => pipes.departure() !== undefined
  // The translator waits for a terminal, and the runtime has none to show.
  const isBlind = call.tty && !main.tty && isTranslated
  const tap: Tap = {
    offer: (channel, bytes) =>
      !(channel === 1 ? call.stdout : call.stderr) || isBlind
        ? Effect.void
        : Effect.map(notice.until(() => output.hasRoom() || hasLeft()), () => {
          if (hasLeft()) return
          output.offer({ channel, bytes })
          notice.notify()
        })
  }
  const ended: End = { _tag: "Exited", code: 0 }
  return yield* Effect.acquireUseRelease(
    Effect.sync(() => main.tap(tap)),
    () =>
      Effect.raceAllFirst([
        main.over,
        // What was written before its writer left still arrives.
        call.stdin
          ? feed(pipes, main)
          : impliesStdin && main.process.stdin !== undefined
          ? endStdin(pipes, main)
          : notice.until(hasLeft),
        main.tty ? follow(pipes, main) : Effect.never
      ]),
    () => Effect.sync(() => main.untap(tap))
  ).pipe(Effect.as(ended))
})

// Returns when the end of stdin ends the session. What a container without stdin is sent is dropped.
const feed = Effect.fnUntraced(function*(
  pipes: ExecPipes,
  main: MainProcess
): Effect.fn.Return<void> {
  const { notice, stdin } = pipes
  const sink = main.process.stdin
  while (true) {
    const bytes = stdin.peek()
    if (bytes.length > 0) {
      if (sink !== undefined && !(yield* sink.write(bytes))) {
        stdin.break()
        return yield* notice.until(() => pipes.departure() !== undefined)
      }
      stdin.advance(bytes.length)
      notice.notify()
    } else if (stdin.isFinished()) {
      return yield* endStdin(pipes, main)
    } else {
      yield* notice.until(() => stdin.peek().length > 0 || stdin.isFinished())
    }
  }
})

// The end of stdin is that of the session, unless the container heeds it.
const endStdin = Effect.fnUntraced(function*(
  { departure, notice }: ExecPipes,
  main: MainProcess
): Effect.fn.Return<void> {
  if (!main.stdinOnce || main.tty) return
  if (main.process.stdin !== undefined) yield* main.process.stdin.end
  return yield* notice.until(() => departure() !== undefined)
})

/** Gives a terminal the sizes that its client has. */
export const follow = Effect.fnUntraced(function*(
  pipes: ExecPipes,
  { process }: Pick<MainProcess, "process">
): Effect.fn.Return<never> {
  let last = pipes.size()
  if (last !== undefined) yield* process.resize(last)
  while (true) {
    yield* pipes.notice.until(() => pipes.size() !== last)
    last = pipes.size()
    if (last !== undefined) yield* process.resize(last)
  }
})
