/**
 * How often a command is started, on whatever server: it leaves a file behind each time, and needs no shell for it.
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExitedNonZero } from "@effect-k8s/channels/ExitedNonZero"
import type { Target } from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Lab } from "./Lab.ts"
import * as Remote from "./Remote.ts"
import { same, type Unmet } from "./Row.ts"
import * as Scripted from "./Scripted.ts"

/** A command whose starts are counted. */
export interface Counted {
  /** A word of it that no other command has. */
  readonly word: string
  readonly argv: ReadonlyArray<string>
  /** How often it was started. Fails where a test cluster has counted otherwise. */
  readonly starts: Effect.Effect<number, KubeError | ChannelError | ExitedNonZero | Unmet, KubeClient>
}

/** A command for a container, whose files the scope removes. */
export const counted = Effect.fnUntraced(function*(
  target: Target
): Effect.fn.Return<Counted, never, KubeClient | Lab | Scope.Scope> {
  const { server } = yield* Lab
  const word = Remote.makeFile()
  const bare = Exec.on(target, { supervise: "never" })
  const files = Effect.map(
    Exec.lines(Exec.check(bare(["ls"]))),
    (names) => names.filter((name) => name.startsWith(word))
  )
  yield* Effect.addFinalizer(() =>
    Effect.ignore(Effect.flatMap(files, (names) => Exec.exitCode(bare(["rm", "-f", ...names]))))
  )
  return {
    word,
    argv: ["mktemp", `${word}.XXXXXX`],
    starts: Effect.gen(function*() {
      const { length } = yield* files
      if (server._tag === "TestCluster") {
        yield* same(
          yield* server.cluster.pods.starts(Scripted.withWord(word)),
          length,
          "starts of the server, by files"
        )
      }
      return length
    })
  }
})
