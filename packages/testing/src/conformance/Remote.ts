/**
 * What rows ask of a container: small programs that a shell and busybox have.
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExitedNonZero } from "@effect-k8s/channels/ExitedNonZero"
import type { Target } from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { check, type Unmet } from "./Row.ts"

type Remote<A> = Effect.Effect<A, KubeError | ChannelError | ExitedNonZero, KubeClient>

/** A word that no other row and no other process has on its command line. */
export const makeMarker = (): string => `marker-${crypto.randomUUID()}`

/** A file name of this call's own, in the container's working directory. */
export const makeFile = (): string => `conformance-${crypto.randomUUID()}`

/** SHA-256 of a file in the container, in hexadecimal digits. */
export const hashOf = (target: Target, file: string): Remote<string> =>
  Effect.map(
    Exec.string(Exec.check(Exec.on(target)(["sha256sum", file]))),
    (text) => text.trim().split(" ")[0] ?? ""
  )

/** Removes a file in the container at the end of the scope. */
export const remove = (target: Target, file: string): Remote<void> =>
  Effect.asVoid(Exec.exitCode(Exec.on(target)(["rm", "-f", file])))

// The pattern matches the marker, and not itself. Behind the name, which may have spaces and parentheses, the fields of a `stat`
// are the state, the parent, and as the 20th the start, in hundredths of a second since the machine's.
const processesScript = `read -r up idle </proc/uptime
pattern=$1
for p in /proc/[0-9]*; do
tr '\\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q -- "$pattern" || continue
read -r stat 2>/dev/null <"$p/stat" || continue
name=\${stat#*\\(}
set -- \${stat##*\\) }
echo "\${p#/proc/} (\${name%\\)*}, $1, child of $2, $((\${up%%.*} - \${20} / 100)) s old)"
done`

/** Processes in the container that have the marker on their command line, each as a few words. */
export const processes = (target: Target, marker: string): Remote<ReadonlyArray<string>> =>
  Effect.map(
    Exec.string(Exec.check(Exec.on(target)(["sh", "-c", processesScript, "processes", `[m]${marker.slice(1)}`]))),
    (text) => text.split("\n").filter((line) => line !== "")
  )

/** Fails unless the processes with the marker are gone soon: within some ten seconds, and those that the server is known to take. */
export const gone = (
  target: Target,
  marker: string,
  serverSeconds = 0
): Effect.Effect<void, KubeError | ChannelError | ExitedNonZero | Unmet, KubeClient> =>
  processes(target, marker).pipe(
    Effect.flatMap((left) =>
      check(left.length === 0, `${left.length} processes of the command are left in the container: ${left.join(", ")}`)
    ),
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 60 + 10 * serverSeconds })
  )

/** Reads at most so many bytes a second. */
export const throttle =
  (bytesPerSecond: number) => <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    Stream.mapArrayEffect(stream, (chunks) => {
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      return Effect.as(Effect.sleep(bytes / bytesPerSecond * 1000), chunks)
    })

/** Reads nothing for a while after the first chunk. */
export const pauseAfterFirst =
  (millis: number) => <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    Stream.suspend(() => {
      let first = true
      return Stream.mapArrayEffect(stream, (chunks) => {
        if (!first) return Effect.succeed(chunks)
        first = false
        return Effect.as(Effect.sleep(millis), chunks)
      })
    })

/** Reads nothing for a while after each so many bytes. */
export const pauseAfterEach =
  (bytes: number, millis: number) => <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    Stream.suspend(() => {
      let left = bytes
      return Stream.mapArrayEffect(stream, (chunks) => {
        for (const chunk of chunks) left -= chunk.length
        if (left > 0) return Effect.succeed(chunks)
        left = bytes
        return Effect.as(Effect.sleep(millis), chunks)
      })
    })

/** Counts bytes. */
export const countBytes = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<number, E, R> =>
  Stream.runFold(stream, () => 0, (sum, chunk) => sum + chunk.length)
