/**
 * A command on a terminal that shows its size and what it reads, for rows about resizing.
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import type { Target } from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { check, same, type Unmet } from "./Row.ts"

/** An open terminal. */
export interface Terminal {
  readonly handle: ExecHandle
  readonly resize: (size: RemoteCommand.TerminalSize) => Effect.Effect<void>
  /** Types a line. The command answers with `read` and the line. */
  readonly write: (line: string) => Effect.Effect<void>
  /** Reads until this line is shown. Only sizes may be shown before it. */
  readonly shows: (line: string) => Effect.Effect<void, ChannelError | Unmet>
  /** Types ^D, and waits for the end of the command. */
  readonly end: Effect.Effect<void, ChannelError | Unmet>
}

// In the background stdin is /dev/null, hence the copy. The sizes are shown again and again, because a resize and the
// start of the process are not in any order: at first there may be no size, which stty calls an error.
const script = "stty -echo; exec 3<&0; (while :; do stty size <&3 2>/dev/null; sleep 0.05; done) & " +
  "while read -r line; do echo \"read $line\"; done; kill $!"

/** Opens a terminal of a size. */
export const open = Effect.fnUntraced(function*(
  target: Target,
  size: RemoteCommand.TerminalSize
): Effect.fn.Return<Terminal, KubeError, KubeClient | Scope.Scope> {
  const typed = yield* Queue.unbounded<Uint8Array, Cause.Done>()
  const handle = yield* Exec.on(target, { tty: true, stdin: "pipe", size })(["sh", "-c", script])
  yield* Effect.forkScoped(Effect.ignore(Stream.run(Stream.fromQueue(typed), handle.stdin)))
  const shown = yield* Stream.toPull(Stream.splitLines(Stream.decodeText(handle.stdout)))

  let waiting: Array<string> = []
  const next: Effect.Effect<string | undefined, ChannelError> = Effect.suspend(() => {
    const line = waiting.shift()
    return line === undefined
      ? Pull.catchDone(
        Effect.flatMap(shown, (lines) => {
          waiting = [...lines]
          return next
        }),
        () => Effect.undefined
      )
      : Effect.succeed(line)
  })
  const isSize = (line: string): boolean => /^\d+ \d+$/.test(line)
  return {
    handle,
    resize: handle.resize,
    write: (line) => Effect.asVoid(Queue.offer(typed, new TextEncoder().encode(`${line}\n`))),
    shows: Effect.fnUntraced(function*(expected) {
      while (true) {
        const line = yield* next
        if (line === expected) return
        yield* check(
          line !== undefined && isSize(line),
          `the terminal shows ${JSON.stringify(line)} where ${JSON.stringify(expected)} should be`
        )
      }
    }),
    end: Effect.gen(function*() {
      yield* Queue.end(typed)
      yield* same(yield* handle.exitCode, 0, "exit code")
    })
  }
})
