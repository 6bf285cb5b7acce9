import * as Fifos from "@effect-k8s/testing/pods/Fifos"
import * as LocalProcess from "@effect-k8s/testing/pods/LocalProcess"
import * as Pty from "@effect-k8s/testing/pods/Pty"
import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { eventually } from "../support/Eventually.ts"
import { ways } from "../support/Terminals.ts"

const hostPath = process.env["PATH"] ?? ""
const isLinux = process.platform === "linux"

const makeDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Fs.realpathSync(Os.tmpdir()), "pty-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

interface Host {
  readonly directory: string
  readonly start: (
    argv: readonly [string, ...ReadonlyArray<string>],
    more?: Partial<LocalProcess.Command>
  ) => Effect.Effect<LocalProcess.LocalProcess | LocalProcess.NotStarted, never, Scope.Scope>
}

/** Starts commands on terminals, or on pipes, in a directory of their own. */
const makeHost = Effect.fnUntraced(function*(way: Pty.Way | "pipes"): Effect.fn.Return<Host, never, Scope.Scope> {
  const directory = yield* makeDirectory
  const fifos = Fifos.make(directory)
  const pty = way === "pipes" ? LocalProcess : yield* Pty.find(hostPath, way)
  assert(pty !== undefined)
  return {
    directory,
    start: (argv, more) =>
      pty.start({
        file: argv[0],
        argv,
        cwd: directory,
        env: { PATH: hostPath },
        stdin: true,
        stdout: true,
        stderr: way === "pipes",
        ...more
      }, fifos)
  }
})

const sh = Effect.fnUntraced(function*({ start }: Host, script: string, more?: Partial<LocalProcess.Command>) {
  const started = yield* start(["/bin/sh", "-c", script], more)
  assert(started._tag === "Started")
  return started
})

/** What a process has written from now to its end. */
const rest = Effect.fnUntraced(function*({ stdout }: LocalProcess.LocalProcess) {
  assert(stdout !== undefined)
  const chunks: Array<Uint8Array> = []
  while (true) {
    const bytes = yield* stdout.pull
    if (bytes === undefined) return Buffer.concat(chunks)
    chunks.push(bytes)
  }
})

/** Reads until this was written, and gives what was. */
const until = Effect.fnUntraced(function*({ stdout }: LocalProcess.LocalProcess, text: string) {
  assert(stdout !== undefined)
  let all = ""
  while (!all.includes(text)) {
    const bytes = yield* stdout.pull
    assert(bytes !== undefined, `it has ended after ${JSON.stringify(all)}`)
    all += Buffer.from(bytes).toString()
  }
  return all
})

const output = Effect.fnUntraced(function*(host: Host, script: string, more?: Partial<LocalProcess.Command>) {
  const started = yield* sh(host, script, more)
  const all = (yield* rest(started)).toString()
  return [all, yield* started.exitCode] as const
}, Effect.scoped)

const type = (started: LocalProcess.LocalProcess, bytes: Uint8Array | string) =>
  started.stdin?.write(Buffer.from(bytes)) ?? Effect.succeed(false)

const lines = (count: number): string => Array.from({ length: count }, (_, i) => `${i + 1}\r\n`).join("")

const fileText = (path: string) => Effect.sync(() => Fs.existsSync(path) ? Fs.readFileSync(path, "utf8") : "")

const descriptors = (): ReadonlyArray<string> =>
  Fs.readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      return [Fs.readlinkSync(`/proc/self/fd/${name}`)]
    } catch {
      return []
    }
  }).filter((target) => /ptmx|pts|pipe-|fifo/.test(target))

const lives = (pid: number): boolean => {
  try {
    return !/^State:\tZ/m.test(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

describe.each(ways)("a terminal by the %s", (way) => {
  it.live("is the command's own: all its streams, of its session, with its group in front", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const [shown, code] = yield* output(
        host,
        "tty <&0; tty <&1; tty <&2; echo direct >/dev/tty; echo $$ $(ps -o pid=,sid=,pgid=,tpgid= -p $$)"
      )
      const [one, two, three, direct, ids = ""] = shown.split("\r\n")
      assert.match(one ?? "", /^\/dev\//)
      assert.deepStrictEqual([two, three, direct, code], [one, one, "direct", 0])
      assert.strictEqual(new Set(ids.split(" ")).size, 1, ids)
    }))

  it.live("has no other environment and directory than the command was given", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const of = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>) {
        const started = yield* host.start(["/usr/bin/env"], { env })
        assert(started._tag === "Started")
        return (yield* rest(started)).toString().split("\r\n").filter((line) => line !== "").sort()
      }, Effect.scoped)
      assert.deepStrictEqual(yield* of({ A: "b c", B: "'\"$A\\" }), ["A=b c", "B='\"$A\\"])
      assert.deepStrictEqual(yield* of({ PWD: "/x", SHLVL: "7", TERM: "dumb", _: "y" }), [
        "PWD=/x",
        "SHLVL=7",
        "TERM=dumb",
        "_=y"
      ])
      assert.deepStrictEqual(yield* output(host, "/bin/pwd"), [`${host.directory}\r\n`, 0])
    }))

  it.live("passes arguments as they are", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const words = ["", "a b", "-c", "A=b", "it's", "\"$HOME\" `id` \\n", "é 漢 🙂", "two\nlines"]
      const started = yield* host.start(["/usr/bin/printf", "[%s]", ...words])
      assert(started._tag === "Started")
      assert.strictEqual(
        (yield* rest(started)).toString(),
        words.map((word) => `[${word}]`).join("").replaceAll("\n", "\r\n")
      )
    }))

  it.live("tells exit codes, and signals as 128 and their number", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      assert.strictEqual((yield* output(host, "exit 7"))[1], 7)
      assert.strictEqual((yield* output(host, "kill -KILL $$"))[1], 137)
      const started = yield* sh(host, "echo on; exec sleep 1000")
      yield* until(started, "on\r\n")
      started.signal("SIGTERM")
      assert.strictEqual(yield* started.exitCode, 143)
      assert.isTrue(started.hasEnded())
    }))

  it.live("says by a code why a command was not started", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const file = Path.join(host.directory, "file")
      Fs.writeFileSync(file, "#!/bin/sh\n", { mode: 0o600 })
      const code = (argv: string, more = {}) =>
        Effect.map(host.start([argv], more), (outcome) => outcome._tag === "NotStarted" ? outcome.code : outcome._tag)
      assert.strictEqual(yield* code(`${file}s`), "ENOENT")
      assert.strictEqual(yield* code(file), "EACCES")
      assert.strictEqual(yield* code(host.directory), "EACCES")
      assert.strictEqual(yield* code("/bin/sh", { cwd: `${file}s` }), "ENOENT")
      const tooLong = yield* host.start(["/bin/echo", "x".repeat(4 * 1024 * 1024)])
      assert.deepStrictEqual(tooLong, { _tag: "NotStarted", code: "E2BIG" })
    }))

  it.live("has no size until one is given, and tells its processes of each", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const started = yield* sh(
        host,
        "stty -echo; trap 'stty size' WINCH; stty size; while [ \"$l\" != end ]; do read -r l; done"
      )
      yield* until(started, "0 0\r\n")
      yield* started.resize({ width: 100, height: 30 })
      yield* until(started, "30 100\r\n")
      yield* started.resize({ width: 65_535, height: 1 })
      yield* until(started, "1 65535\r\n")
      yield* started.resize({ width: 0, height: 0 })
      yield* until(started, "0 0\r\n")
      yield* type(started, "end\n")
      assert.strictEqual(yield* started.exitCode, 0)
      yield* started.resize({ width: 80, height: 24 })
    }))

  it.live("echoes, and carries bytes unchanged once it is raw", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const started = yield* sh(host, "read -r l; stty raw -echo; echo raw; exec head -c 65536")
      yield* type(started, "go\n")
      yield* until(started, "go\r\nraw\n")
      const bytes = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 7 + (i >> 8)) & 255))
      yield* Effect.forkChild(type(started, bytes))
      assert.isTrue((yield* rest(started)).equals(bytes))
    }))

  it.live("has no input without stdin, and no end of it", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const [shown] = yield* output(host, "timeout 0.5 cat; echo $?", { stdin: false })
      assert.strictEqual(shown, "124\r\n")
    }))

  it.live("has no output without stdout, and its command is not held up by it", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const started = yield* sh(host, "seq 1 100000; exit 4", { stdout: false })
      assert.isUndefined(started.stdout)
      assert.strictEqual(yield* started.exitCode, 4)
    }))

  it.live("shows all of a long output", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const [shown, code] = yield* output(host, "seq 1 200000")
      assert.strictEqual(code, 0)
      assert.isTrue(shown === lines(200_000), `${shown.length} bytes, at the end ${JSON.stringify(shown.slice(-20))}`)
    }))

  const count = way === "package" ? 1000 : 250
  it.live(`shows the last byte each time, of ${count}`, () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const shown = yield* Effect.forEach(
        Array.from({ length: count }),
        () => Effect.map(output(host, "printf x"), ([all]) => all),
        { concurrency: 4 }
      )
      assert.strictEqual(shown.filter((all) => all !== "x").length, 0)
    }))

  it.live("shows what its command has written before its end to who reads later", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      for (const count of [1, 500, 1000]) {
        const started = yield* sh(host, `seq 1 ${count}`)
        assert.strictEqual(yield* started.exitCode, 0)
        yield* Effect.sleep("500 millis")
        assert.strictEqual((yield* rest(started)).toString(), lines(count))
      }
    }))

  it.live("holds up a command whose output nobody reads, and loses nothing of it", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const file = Path.join(host.directory, "count")
      const started = yield* sh(
        host,
        `i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); echo $i; [ $((i % 100)) != 0 ] || echo $i >${file}; done`
      )
      const count = Effect.map(fileText(file), Number)
      let last = -1
      // The same number a second apart, once it has begun.
      yield* eventually(Effect.delay(count, "1 second"), (now) => {
        const before = last
        last = now
        assert.isAbove(now, 0)
        assert.strictEqual(now, before)
      })
      assert.isBelow(last, 60_000)
      assert.isFalse(started.hasEnded())
      assert.isTrue((yield* rest(started)).toString() === lines(60_000))
      assert.strictEqual(yield* started.exitCode, 0)
    }))

  it.live("takes more input than it holds while its command does not read, and holds up nothing else meanwhile", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const go = Path.join(host.directory, "go")
      const started = yield* sh(
        host,
        `stty -echo; echo ready; while [ ! -e ${go} ]; do sleep 0.05; done; ` +
          "i=0; while read -r l; do [ \"$l\" = $i ] || exit 9; i=$((i + 1)); [ $i != 100000 ] || exit 3; done"
      )
      yield* until(started, "ready\r\n")
      const input = Array.from({ length: 100_000 }, (_, i) => `${i}\n`).join("")
      const typing = yield* Effect.forkChild(type(started, input))
      yield* Effect.sleep("300 millis")
      // `script` takes all there is into its memory.
      if (way === "package") assert.isUndefined(typing.pollUnsafe())
      Fs.writeFileSync(go, "")
      assert.isTrue(yield* Fiber.join(typing))
      assert.strictEqual(yield* started.exitCode, 3)
    }))

  it.live("says of input that nobody will take it", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const started = yield* sh(host, "stty raw -echo; echo on; sleep 0.5")
      yield* until(started, "on")
      // More than a terminal and pipes on the way to it hold.
      const typing = yield* Effect.forkChild(type(started, Buffer.alloc(1024 * 1024)))
      assert.strictEqual(yield* started.exitCode, 0)
      if (way === "package") assert.isFalse(yield* Fiber.join(typing))
      assert.isFalse(yield* type(started, "more"))
    }))

  it.live("ends with its command, whoever else is still on it", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const [shown, code] = yield* output(
        host,
        "setsid sh -c 'echo on; : >on; exec sleep 5' & while [ ! -e on ]; do sleep 0.05; done; exit 3"
      )
      assert.deepStrictEqual([shown, code], ["on\r\n", 3])
    }))

  it.live.skipIf(!isLinux)(
    "ends with its scope, and all its processes, and leaves nothing open",
    () =>
      Effect.gen(function*() {
        const host = yield* makeHost(way)
        yield* output(host, "true")
        const before = descriptors()
        for (let i = 0; i < 5; i++) {
          const scope = yield* Scope.make()
          const start = (script: string) => Scope.provide(sh(host, script), scope)
          const silent = yield* start("sleep 1000 & sleep 1000 & echo $$ $!; exec sleep 1000")
          const pids = (yield* until(silent, "\r\n")).trim().split(" ").map(Number)
          const loud = yield* start("exec yes")
          const deaf = yield* start("stty raw -echo; echo on; exec sleep 1000")
          yield* until(deaf, "on")
          yield* Effect.forkIn(type(deaf, Buffer.alloc(1024 * 1024)), scope)
          assert.isTrue([...pids, loud.pid, deaf.pid].every(lives))
          yield* Scope.close(scope, Exit.void)
          yield* eventually(
            Effect.sync(() => [...pids, loud.pid, deaf.pid].filter(lives)),
            (left) => assert.deepStrictEqual(left, [])
          )
        }
        yield* eventually(Effect.sync(descriptors), (now) => assert.deepStrictEqual(now, before))
      })
  )

  it.live.skipIf(!isLinux)("is closed to other processes", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      const [one, other] = [yield* sh(host, "exec sleep 1000"), yield* sh(host, "exec sleep 1000")]
      const [pipes, script] = [yield* makeHost("pipes"), "ls -l /proc/$$/fd"]
      assert.notInclude((yield* output(host, script))[0], "ptmx")
      assert.notMatch((yield* output(pipes, script))[0], /ptmx|pts/)
      assert.isFalse(one.hasEnded() || other.hasEnded())
    }))

  it.live.skipIf(!isLinux)("is hung up for those who are left on it", () =>
    Effect.gen(function*() {
      const host = yield* makeHost(way)
      yield* sh(host, "exec sleep 1000")
      const file = Path.join(host.directory, "file")
      const started = yield* sh(
        host,
        `setsid sh -c 'trap "" HUP; : >on; while echo more; do sleep 0.01; done; echo gone >${file}' & ` +
          "while [ ! -e on ]; do sleep 0.05; done"
      )
      yield* rest(started)
      yield* eventually(fileText(file), (text) => assert.strictEqual(text, "gone\n"))
    }))
})

describe.skipIf(process.platform === "win32")("terminals", () => {
  it.live("go by the package, where it runs", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Pty.find(hostPath))?.way, "package")
      assert.strictEqual((yield* Pty.find("/nonexistent"))?.way, "package")
    }))

  it.live.skipIf(!isLinux)("go by the program where it does not, or are not there", () =>
    Effect.gen(function*() {
      vi.doMock("@lydell/node-pty", () => {
        throw new Error("Cannot find package")
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.doUnmock("@lydell/node-pty")))
      assert.isUndefined(yield* Pty.find(hostPath, "package"))
      assert.strictEqual((yield* Pty.find(hostPath))?.way, "script")
      assert.isUndefined(yield* Pty.find("/nonexistent"))
    }))
})
