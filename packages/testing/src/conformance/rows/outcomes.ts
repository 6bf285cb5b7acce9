/**
 * Outcomes that can be trusted: what real servers get wrong, and we must not.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Lab, minorVersion, type PodKind } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, reasonOf, type Row, row, same } from "../Row.ts"
import * as Starts from "../Starts.ts"
import * as Used from "../Used.ts"

const MiB = 1024 * 1024

/** 16 MiB and exit code 7, read in a way that makes real servers cut it short. */
const completeWhenReadBy = (
  options: ExecOptions,
  read: (stream: ExecHandle["stdout"]) => ExecHandle["stdout"]
) =>
  Effect.gen(function*() {
    const lab = yield* Lab
    const command = Exec.on(lab.target(), options)(["sh", "-c", "head -c 16777216 /dev/zero; exit 7"])
    const handle = yield* command
    const bytes = yield* Remote.countBytes(read(handle.stdout))
    yield* same(bytes, 16 * MiB, `bytes of stdout over ${handle.info.protocol}`)
    yield* same(yield* handle.exitCode, 7, `exit code over ${handle.info.protocol}`)
    yield* same(yield* handle.verified, { stdout: true, stderr: true }, "verified")
  })

/** v5 where the server knows it, v4, and SPDY. */
const everyProtocol = [
  { protocols: [RemoteCommand.v5, RemoteCommand.v4] },
  { protocols: [RemoteCommand.v4] },
  { transport: "spdy" }
] as const

const overAll = (read: (stream: ExecHandle["stdout"]) => ExecHandle["stdout"]) =>
  Effect.forEach(everyProtocol, (options) => completeWhenReadBy(options, read), {
    concurrency: "unbounded",
    discard: true
  })

/** A command that writes all of its stdin to a file, but gives up an output of its own. */
const storedWhole = (size: number, command: (file: string) => ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const lab = yield* Lab
    const target = lab.target()
    const file = Remote.makeFile()
    const data = RandomData.make(size, size)
    const argv = command(file)
    yield* Used.stages(yield* Exec.run(Exec.feed(Exec.on(target)(argv), data.stream)))
    yield* same(yield* Remote.hashOf(target, file), data.hash, `the hash of what ${argv.join(" ")} has stored`)
    yield* Remote.remove(target, file)
  })

/** 8 MiB and exit code 5, read slowly while stdin trickles, which makes real servers drop what is not read yet. */
const trickling = (kind: PodKind) =>
  Effect.gen(function*() {
    const lab = yield* Lab
    const command = Exec.on(lab.target(kind), { stdin: "pipe" })
    const handle = yield* command(["sh", "-c", "head -c 8388608 /dev/zero; exit 5"])
    const trickle = Stream.tick("20 millis").pipe(Stream.map(() => Uint8Array.of(1)))
    const writing = yield* Effect.forkScoped(Stream.run(trickle, handle.stdin))
    const bytes = yield* Remote.countBytes(Remote.throttle(2_000_000)(handle.stdout))
    yield* same(bytes, 8 * MiB, "bytes of stdout")
    yield* same(yield* handle.exitCode, 5, "exit code")
    yield* same(yield* handle.verified, { stdout: true, stderr: true }, "verified")
    yield* Fiber.join(writing)
  })

const giveUpOutputs: ReadonlyArray<(file: string) => ReadonlyArray<string>> = [
  (file) => ["sh", "-c", `cat > ${file}`],
  (file) => ["dd", `of=${file}`],
  (file) => ["sh", "-c", `tee ${file} 2>/dev/null`]
]

const endless = (marker: string): ReadonlyArray<string> => ["sh", "-c", `yes ${marker}`, marker]

export const rows: ReadonlyArray<Row> = [
  row(
    "V1",
    "16 MiB and exit code 7 arrive whole at a reader of 1 MB/s, over v5, v4 and SPDY",
    overAll(Remote.throttle(1_000_000))
  ),
  row(
    "V1",
    "16 MiB and exit code 7 arrive whole at a reader that pauses for 12 s, over v5, v4 and SPDY",
    overAll(Remote.pauseAfterFirst(12_000))
  ),
  row(
    "V2",
    "32 MiB of stdin are stored whole by commands that give up an output",
    Effect.forEach(giveUpOutputs, (command) => storedWhole(32 * MiB, command), { discard: true })
  ),
  row(
    "V2",
    "1 MiB of stdin is stored whole by commands that give up an output",
    Effect.forEach(giveUpOutputs, (command) => storedWhole(MiB, command), { discard: true })
  ),
  // Not over v4, which cannot tell the end of a stdin, so that none is ever written over it.
  row("V3", "stdin that trickles while the command ends does not cost a slow reader its output", trickling("plain")),
  row(
    "V4",
    "a command that reads 100 bytes of 64 MiB ends with its output and code, and its feed has ended early",
    function*() {
      const lab = yield* Lab
      const data = RandomData.make(4, 64 * MiB)
      const results = yield* Exec.run(Exec.feed(Exec.on(lab.target())(["sh", "-c", "head -c 100"]), data.stream))
      yield* Used.stages(results)
      yield* same(results.map(({ end }) => end), ["EndedEarly", "Completed"], "ends")
      yield* same(results[1]?.bytesOut, 100, "bytes of stdout")
      yield* check((results[0]?.bytesOut ?? 0) < 64 * MiB, "all of the 64 MiB were read from the feed")
    }
  ),
  row("V5", "output that looks like the supervisor's records passes unchanged", function*() {
    const lab = yield* Lab
    const nonce = "0123456789abcdef0123456789abcdef"
    const texts = [
      "\\036",
      `\\036${nonce}:0\\n`,
      `\\036${nonce}@1\\n`,
      "\\036\\036\\036",
      "a\\036b\\n",
      `\\036${nonce}`
    ]
    for (const text of texts) {
      const output = yield* Exec.stream(Exec.on(lab.target())(["printf", text])).pipe(Stream.mkUint8Array)
      const expected = text.replaceAll("\\036", "\x1e").replaceAll("\\n", "\n")
      yield* same(new TextDecoder().decode(output), expected, "stdout")
    }
  }),
  row("V6", "a line arrives when it is written, not when the next one is", function*() {
    const lab = yield* Lab
    const handle = yield* Exec.on(lab.target())(["sh", "-c", "echo first; sleep 1000"])
    const first = yield* Stream.runHead(Stream.splitLines(Stream.decodeText(handle.stdout)))
    yield* same(first._tag === "Some" ? first.value : undefined, "first", "the first line")
    yield* check(yield* handle.isRunning, "the command has ended")
  }),
  row("V7", "a command that is cancelled before the server has answered leaves nothing", function*() {
    const lab = yield* Lab
    const marker = Remote.makeMarker()
    for (const millis of [0, 1, 2, 5, 10, 20, 40]) {
      const fiber = yield* Effect.forkChild(Effect.scoped(Exec.on(lab.target())(endless(marker))))
      yield* Effect.sleep(millis)
      yield* Fiber.interrupt(fiber)
    }
    yield* Remote.gone(lab.target(), marker)
  }),
  row("V7", "a command that is cancelled before its first byte leaves nothing", function*() {
    const lab = yield* Lab
    const marker = Remote.makeMarker()
    yield* Effect.scoped(Exec.on(lab.target())(["sh", "-c", "sleep 1000; :", marker]))
    yield* Remote.gone(lab.target(), marker)
  }),
  row("V7", "a command that is cancelled in the middle of its output leaves nothing, nor does its group", function*() {
    const lab = yield* Lab
    const marker = Remote.makeMarker()
    const command = Exec.on(lab.target())([
      "sh",
      "-c",
      `sh -c 'trap "" TERM; sleep 1000 & wait; sleep 1000' ${marker} & yes; :`,
      marker
    ])
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* command
      yield* Stream.runDrain(Stream.take(handle.stdout, 10))
    }))
    yield* Remote.gone(lab.target(), marker)
  }),
  row("V7", "a command whose scope ends after its trailer leaves nothing", function*() {
    const lab = yield* Lab
    const marker = Remote.makeMarker()
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* Exec.on(lab.target())(["sh", "-c", "exit 3", marker])
      yield* same(yield* handle.exitCode, 3, "exit code")
    }))
    yield* Remote.gone(lab.target(), marker)
  }),
  row("V8", "a command without stdin ends when the process of its client dies, over v5, v4 and SPDY", function*() {
    const lab = yield* Lab
    // containerd 2, of the 1.36, kills the supervisor's own shell when a client is gone and closes its pipes, by which
    // the watcher hears of it, ten seconds later. Others close the pipes at once.
    const serverSeconds = minorVersion(lab.server) >= 36 ? 10 : 0
    for (const options of everyProtocol) {
      const marker = Remote.makeMarker()
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* lab.client(lab.target(), { _tag: "Copy", argv: endless(marker), options })
        yield* Stream.runHead(client.stdout)
        yield* client.kill({ killSignal: "SIGKILL" })
      }))
      yield* Remote.gone(lab.target(), marker, serverSeconds)
    }
  }),
  row(
    "V9",
    "without sh in the image a command that requires the supervisor fails before anything has run",
    function*() {
      const lab = yield* Lab
      const target = lab.target("shell-less")
      const command = yield* Starts.counted(target)
      const run = (supervise: ExecOptions["supervise"]) =>
        reasonOf(Exec.exitCode(Exec.on(target, { supervise })(command.argv)))
      yield* same(yield* run("required"), "SupervisorUnavailable", "reason")
      yield* same(yield* command.starts, 0, "starts")
      yield* same(yield* run("preferred"), "success: 0", "without a supervisor")
      yield* same(yield* command.starts, 1, "starts of one that need not be supervised")
    }
  ),
  row("V9", "without sh in the image a command that prefers the supervisor runs without, and says so", function*() {
    const lab = yield* Lab
    const handle = yield* Exec.on(lab.target("shell-less"))(["echo", "hello"])
    const output = yield* Stream.mkString(Stream.decodeText(handle.stdout))
    yield* same(output, "hello\n", "stdout")
    yield* same(yield* handle.exitCode, 0, "exit code")
    yield* same(yield* handle.verified, { stdout: false, stderr: false }, "verified")
  }),
  row("V9", "without cat in the image the outcome is right all the same", function*() {
    const lab = yield* Lab
    const target = lab.target("cat-less")
    const cat = Exec.on(target, { supervise: "never" })(["sh", "-c", "cat </dev/null"])
    yield* same(yield* Exec.exitCode(cat), 127, "the exit code of a shell that finds no cat")
    yield* same(yield* Exec.string(Exec.on(target)(["echo", "hello"])), "hello\n", "stdout")
    // More than all buffers on the way hold, or the feed could end before the command does.
    const data = RandomData.make(9, 64 * MiB)
    const results = yield* Exec.run(Exec.feed(Exec.on(target)(["head", "-c", "100"]), data.stream))
    yield* Used.stages(results)
    yield* same(results.map(({ end }) => end), ["EndedEarly", "Completed"], "ends")
    // This is what is lost on every server when a supervisor that finds no cat does not read stdin to its end.
    yield* trickling("cat-less")
  }),
  row(
    "V10",
    "not found, not executable, no such directory, killed by a signal, and exit code 255 are told apart",
    function*() {
      const lab = yield* Lab
      const target = lab.target()
      const code = (argv: ReadonlyArray<string>, options: ExecOptions = {}) =>
        reasonOf(Exec.exitCode(Exec.on(target, options)(argv)))
      for (const supervise of ["preferred", "never"] as const) {
        const options: ExecOptions = { supervise }
        yield* same(yield* code(["no-such-program"], options), "CommandNotFound", `no such program, ${supervise}`)
        yield* same(yield* code(["/no/such/program"], options), "CommandNotFound", `no such path, ${supervise}`)
        yield* same(yield* code(["/etc/passwd"], options), "CommandNotExecutable", `not executable, ${supervise}`)
        yield* same(yield* code(["sh", "-c", "kill -9 $$"], options), "success: 137", `killed, ${supervise}`)
        yield* same(yield* code(["sh", "-c", "exit 255"], options), "success: 255", `exit 255, ${supervise}`)
      }
      yield* same(yield* code(["true"], { cwd: "/no/such/directory" }), "NoWorkingDirectory", "no such directory")
      yield* same(yield* code(["exit", "3"]), "CommandNotFound", "a builtin of the shell is no program")
    }
  ),
  row("V11", "an unread stdout that holds up the exit code is UnreadOutput, not a hang", function*() {
    const lab = yield* Lab
    const handle = yield* Exec.on(lab.target(), { unreadGrace: "300 millis" })(["head", "-c", "67108864", "/dev/zero"])
    yield* same(yield* reasonOf(handle.exitCode), "UnreadOutput", "reason")
  }),
  row("V11", "an output that nobody reads and nobody waits for holds up nothing", function*() {
    const lab = yield* Lab
    const handle = yield* Exec.on(lab.target(), { unreadGrace: "100 millis" })(["head", "-c", "67108864", "/dev/zero"])
    yield* Effect.sleep("500 millis")
    const bytes = yield* Remote.countBytes(handle.stdout)
    yield* same(bytes, 64 * MiB, "bytes of stdout")
    yield* check(Exit.isSuccess(yield* Effect.exit(handle.exitCode)), "the exit code is lost")
  })
]
