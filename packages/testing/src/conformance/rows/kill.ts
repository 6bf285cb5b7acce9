/**
 * The end of commands: by signals of every kind, and with their scope.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as KillScript from "@effect-k8s/channels/protocol/KillScript"
import type { Target } from "@effect-k8s/channels/Target"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { KillOptions } from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { Lab } from "../Lab.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same } from "../Row.ts"

/** Waits until a command that writes `ready` has done so, and reads on in the background. */
const ready = Effect.fnUntraced(function*(handle: ExecHandle) {
  const output = yield* Stream.toPull(Stream.splitLines(Stream.decodeText(handle.stdout)))
  yield* same((yield* output)[0], "ready", "the first line")
  yield* Effect.forkScoped(Effect.exit(Effect.forever(output)))
})

// A child that has another process of its own, and neither reads stdin.
const family = "sleep 100000 & echo ready; exec sleep 100000"
// Neither heeds anything that can be ignored.
const stubborn = "trap '' HUP INT QUIT TERM; sleep 100000 & echo ready; while :; do sleep 1; done"

const start = Effect.fnUntraced(function*(target: Target, options: ExecOptions, script: string) {
  const marker = Remote.makeMarker()
  const handle = yield* Exec.on(target, options)(["sh", "-c", `${script}; :`, marker])
  yield* ready(handle)
  return { handle, marker }
})

/** Processes that lead or follow in a process group, besides the one that looks. */
const inGroup = (target: Target, group: number) =>
  Effect.map(
    Exec.string(Exec.check(
      Exec.on(target)([
        "sh",
        "-c",
        "n=0; for d in /proc/[0-9]*; do s=$(cat \"$d/stat\" 2>/dev/null); set -- \"$1\" ${s##*)}; " +
        "[ \"$4\" = \"$1\" ] && [ \"$2\" != Z ] && n=$((n + 1)); done; echo $n",
        "sh",
        String(group)
      ])
    )),
    (text) => Number(text.trim())
  )

const killed = Effect.fnUntraced(function*(
  options: ExecOptions,
  script: string,
  how: KillOptions | undefined,
  code: number
) {
  const { target } = yield* Lab
  const { handle } = yield* start(target(), options, script)
  yield* handle.kill(how)
  const what = `${how?.killSignal ?? "SIGTERM"}, stdin ${options.stdin ?? "ignore"}`
  yield* same(yield* handle.isRunning, false, `running after the kill, ${what}`)
  yield* same(yield* handle.exitCode, code, `exit code, ${what}`)
  yield* same(yield* handle.verified, { stdout: true, stderr: true }, `verified, ${what}`)
  yield* Effect.repeat(inGroup(target(), handle.processGroup ?? 0), { until: (left) => left === 0, times: 50 }).pipe(
    Effect.flatMap((left) => same(left, 0, `processes left in the group, ${what}`))
  )
})

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row("K1", "kill ends a command with stdin and all of its group, and its outcome is verified", function*() {
    yield* killed({ stdin: "pipe" }, family, undefined, 143)
  }),
  row("K2", "a command can be sent any signal, with stdin and without", function*() {
    for (const stdin of ["pipe", "ignore"] as const) {
      yield* killed({ stdin }, "echo ready; exec sleep 100000", { killSignal: "SIGINT" }, 130)
      yield* killed({ stdin }, family, { killSignal: "SIGUSR1" }, 138)
      yield* killed({ stdin }, stubborn, { killSignal: "SIGKILL" }, 137)
    }
  }),
  row("K3", "kill without a second exec ends a command without stdin", function*() {
    yield* killed({}, family, undefined, 143)
    // It is killed after the grace, and its supervisor tells: over v5 and SPDY by its watcher, over v4 by a second exec.
    yield* killed({}, stubborn, undefined, 137)
  }),
  row("K4", "what does not heed a signal is killed after the time it is given", function*() {
    for (const stdin of ["pipe", "ignore"] as const) {
      yield* killed({ stdin }, stubborn, { forceKillAfter: "500 millis" }, 137)
    }
  }),
  row("K5", "a signal that a command handles is the command's affair", function*() {
    const { target } = yield* Lab
    const script = "trap 'echo heeded; exit 3' USR1; echo ready; while :; do sleep 0.1; done"
    const { handle } = yield* start(target(), { stdin: "pipe" }, script)
    yield* handle.kill({ killSignal: "SIGUSR1" })
    yield* same(yield* handle.exitCode, 3, "exit code")
  }),
  row("K6", "a number that belongs to another command by now is not signalled", function*() {
    const { target } = yield* Lab
    const { handle } = yield* start(target(), {}, family)
    const group = { processGroup: handle.processGroup ?? 0, nonce: crypto.randomUUID().replaceAll("-", "") }
    for (const argv of [KillScript.signal(group, "SIGKILL"), KillScript.terminate(group)]) {
      yield* same(Number(yield* Exec.exitCode(Exec.on(target())(argv))), KillScript.Code.Gone, "what the script says")
    }
    yield* same(yield* handle.isRunning, true, "running")
    yield* check((yield* inGroup(target(), group.processGroup)) >= 3, "the other command has been signalled")
    yield* handle.kill()
    yield* same(yield* handle.exitCode, 143, "exit code of the other command")
  }),
  row("K7", "a command with stdin that does not read it ends with its scope", function*() {
    const { target } = yield* Lab
    for (const script of [family, stubborn]) {
      const marker = yield* Effect.scoped(
        Effect.map(start(target(), { stdin: "pipe" }, script), ({ marker }) => marker)
      )
      yield* Remote.gone(target(), marker)
    }
  }),
  row("K8", "a command with stdin that is interrupted does not take that for the end of its input", function*() {
    const { target } = yield* Lab
    const file = Remote.makeFile()
    yield* Effect.addFinalizer(() => Effect.ignore(Remote.remove(target(), file)))
    const marker = Remote.makeMarker()
    const script = `cat >"$1" && mv "$1" "$1.done"`
    const command = Exec.on(target(), { stdin: "pipe" })(["sh", "-c", script, marker, file])
    const fiber = yield* Effect.forkChild(Exec.exitCode(Exec.feed(
      command,
      Stream.concat(Stream.make(new TextEncoder().encode("half")), Stream.never)
    )))
    yield* Effect.repeat(Exec.exitCode(Exec.on(target())(["test", "-s", file])), {
      until: (code) => Number(code) === 0
    })
    yield* Fiber.interrupt(fiber)
    yield* Remote.gone(target(), marker)
    yield* same(yield* Exec.exitCode(Exec.on(target())(["test", "-e", `${file}.done`])), 1, "whether it was finished")
  }),
  row("K9", "a pipeline that ends early leaves no process of its stages, whether they read or not", function*() {
    const { target } = yield* Lab
    const marker = Remote.makeMarker()
    const results = yield* Exec.on(target())(["sh", "-c", "yes; :", marker]).pipe(
      Exec.pipeTo(Exec.on(target())(["sh", "-c", "trap '' TERM; cat; sleep 100000; :", marker])),
      Exec.pipeTo(Exec.on(target())(["head", "-n", "1"])),
      Exec.run
    )
    yield* same(results.map(({ end }) => end), ["EndedEarly", "EndedEarly", "Completed"], "the stages")
    yield* Remote.gone(target(), marker)
  }),
  row("K10", "a command with stdin that was told to outlive its session does, and can still be killed", function*() {
    const { target } = yield* Lab
    const { handle, marker } = yield* Effect.scoped(start(target(), { stdin: "pipe", onClose: "leave" }, family))
    yield* check((yield* Remote.processes(target(), marker)).length > 0, "the command did not outlive its session")
    yield* handle.kill({ killSignal: "SIGKILL" })
    yield* Remote.gone(target(), marker)
  }),
  row(
    "K11",
    "a supervisor that somebody else has killed leaves an outcome that is not known, with the server's word",
    function*() {
      const { target } = yield* Lab
      for (const stdin of ["pipe", "ignore"] as const) {
        const { handle } = yield* start(target(), { stdin }, family)
        yield* Exec.exitCode(Exec.on(target())(["sh", "-c", "kill -KILL -$1", "sh", String(handle.processGroup)]))
        const { reason } = yield* failureOf(handle.exitCode)
        yield* same(reason._tag, "OutcomeUnknown", `exit code, stdin ${stdin}`)
        yield* same(reason._tag === "OutcomeUnknown" ? reason.reportedExitCode : undefined, 137, "what was reported")
        yield* same(yield* inGroup(target(), handle.processGroup ?? 0), 0, "processes left in the group")
      }
    }
  ),
  row("K12", "a bare command cannot be killed, and says so", function*() {
    const { target } = yield* Lab
    const handle = yield* Exec.on(target(), { supervise: "never" })(["sleep", "1"])
    yield* same(yield* reasonOf(handle.kill()), "KillUnsupported", "kill")
    yield* handle.exitCode
  })
]
