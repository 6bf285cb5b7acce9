import * as SupervisorScript from "@effect-k8s/channels/protocol/SupervisorScript"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { cleanUp, type Ended, run, type Shell, shells } from "./supervised.ts"

const directory = mkdtempSync(join(tmpdir(), "effect-k8s-"))
afterAll(() => {
  cleanUp()
  rmSync(directory, { recursive: true, force: true })
})

const file = (name: string, content = "#!/bin/sh\n", mode = 0o755): string => {
  const path = join(directory, name)
  mkdirSync(join(path, ".."), { recursive: true })
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

const link = (bin: string, ...programs: ReadonlyArray<string>): string => {
  const path = join(directory, bin)
  mkdirSync(path, { recursive: true })
  for (const program of programs) {
    const [target] = ["/usr/bin", "/bin"].map((place) => join(place, program))
    symlinkSync(target!, join(path, program))
  }
  return path
}

/** The container's variables, with another PATH. */
const withPath = (PATH: string): Readonly<Record<string, string>> => ({ PATH })

const exited = (ended: Ended, code: number): void => {
  assert.deepStrictEqual(ended.trailers, { stdout: { _tag: "Exited", code }, stderr: { _tag: "Exited", code } })
  assert.strictEqual(ended.code, code)
}

const notStarted = (ended: Ended, tag: "NotFound" | "NotExecutable" | "NoWorkingDirectory", code: number): void => {
  assert.deepStrictEqual(ended.trailers, { stdout: { _tag: tag }, stderr: { _tag: tag } })
  assert.strictEqual(ended.code, code)
  assert.strictEqual(ended.stdout.toString(), "")
  assert.strictEqual(ended.stderr.toString(), "")
}

/** What `printf '%s\0'` printed. */
const words = (bytes: Buffer): ReadonlyArray<string> => bytes.toString().split("\0").slice(0, -1)

/** What `env -0` printed. */
const variables = (bytes: Buffer): Readonly<Record<string, string>> =>
  Object.fromEntries(words(bytes).map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]))

const odd: ReadonlyArray<string> = [
  "",
  " ",
  "a b",
  "'",
  "\"",
  "it's \"quoted\"",
  "'\\''",
  "\\",
  "\\n\\c",
  "a\nb\n",
  "\n",
  "\r\n",
  "\t",
  "*",
  "/*",
  "[a-z]?",
  "~",
  "$HOME",
  "${IFS}",
  "$(echo no)",
  "`echo no`",
  "; exit 9",
  "| cat & #",
  "-",
  "--",
  "-n",
  "-c",
  "=",
  "a=b",
  "%s%n",
  "!",
  "ü \u{1f600}",
  "\x01\x1b\x1e\x7f"
]

const tests = (shell: Shell): void => {
  const test = (name: string, body: () => Promise<void>): void => it(name, body)

  describe("the outcome", () => {
    test("is the exit code of the command, in both trailers and as the shell's own", async () => {
      for (const code of [0, 1, 7, 126, 127, 128, 200, 255]) {
        const ended = await run(shell, ["sh", "-c", `exit ${code}`])
        exited(ended, code)
        assert.strictEqual(ended.stderr.toString(), "")
      }
    })

    test("is 128 and the signal when the command was killed, and no shell remarks on it", async () => {
      for (const [signal, code] of [["KILL", 137], ["TERM", 143], ["SEGV", 139], ["INT", 130], ["HUP", 129]] as const) {
        for (const stdin of [true, false]) {
          const ended = await run(shell, ["sh", "-c", `kill -${signal} $$`], { stdin })
          exited(ended, code)
          assert.strictEqual(ended.stdout.toString(), "")
          assert.strictEqual(ended.stderr.toString(), "")
        }
      }
    })

    test("stands behind the process group in the order of the records", async () => {
      const ended = await run(shell, ["sh", "-c", "printf out; printf err >&2; exit 3"])
      const record = `\x1e${ended.nonce}`
      assert.strictEqual(ended.raw.stdout.toString(), `${record}@${ended.processGroup}\nout${record}:3\n`)
      assert.strictEqual(ended.raw.stderr.toString(), `err${record}:3\n`)
    })

    test("comes with the output that is ignored, without the output", async () => {
      const command = ["sh", "-c", "echo out; echo err >&2; exit 4"]
      for (const [stdout, stderr] of [[true, false], [false, true], [false, false]] as const) {
        const ended = await run(shell, command, { stdout, stderr })
        exited(ended, 4)
        assert.strictEqual(ended.stdout.toString(), stdout ? "out\n" : "")
        assert.strictEqual(ended.stderr.toString(), stderr ? "err\n" : "")
      }
    })

    test("is told although the command closes its outputs early", async () => {
      for (const closed of [">&-", "2>&-", ">&- 2>&-"]) {
        exited(await run(shell, ["sh", "-c", `exec ${closed}; exit 5`]), 5)
      }
    })

    test("is told at once although the command leaves a process behind that holds its outputs", async () => {
      for (const stdin of [true, false]) {
        const ended = await run(shell, ["sh", "-c", "sleep 1000 & echo left; exit 6"], { stdin })
        exited(ended, 6)
        assert.strictEqual(ended.stdout.toString(), "left\n")
      }
    })
  })

  describe("output", () => {
    test("is passed on to the byte, on both sides at once", async () => {
      const bytes = file("bytes", "", 0o644)
      const random = randomBytes(1_000_000)
      writeFileSync(bytes, random)
      const ended = await run(shell, ["sh", "-c", "cat \"$0\" & cat \"$0\" >&2; wait", bytes])
      exited(ended, 0)
      assert.strictEqual(ended.stdout.compare(random), 0)
      assert.strictEqual(ended.stderr.compare(random), 0)
    })

    test("may hold records of other sessions", async () => {
      const other = `\x1e${"0".repeat(32)}:0\n`
      const ended = await run(shell, ["printf", "%s", other])
      assert.strictEqual(ended.stdout.toString(), other)
    })
  })

  describe("what cannot be started", () => {
    test("is told as not found", async () => {
      for (const program of ["no-such-program", "/no/such/program", "./no-such-program", "no/such", "", " "]) {
        for (const stdin of [true, false]) notStarted(await run(shell, [program, "x"], { stdin }), "NotFound", 127)
      }
    })

    test("is told as not executable: a mode, a directory", async () => {
      const plain = file("plain", "", 0o644)
      for (const program of [plain, directory, "/"]) {
        notStarted(await run(shell, [program]), "NotExecutable", 126)
      }
    })

    test("is told so of the only one in the PATH", async () => {
      file("only-plain/plain", "", 0o644)
      mkdirSync(join(directory, "only-plain/folder"), { recursive: true })
      const container = withPath(join(directory, "only-plain"))
      notStarted(await run(shell, ["plain"], { container }), "NotExecutable", 126)
      notStarted(await run(shell, ["folder"], { container }), "NotFound", 127)
    })

    test("is passed over for one behind it in the PATH", async () => {
      file("first/tool", "", 0o644)
      file("second/tool", "#!/bin/sh\nexit 11\n")
      const container = withPath(`${join(directory, "first")}:${join(directory, "second")}`)
      exited(await run(shell, ["tool"], { container }), 11)
    })

    test("is the shell's to tell when the interpreter is missing", async () => {
      const script = file("no-interpreter", "#!/no/such/interpreter\n")
      const ended = await run(shell, [script])
      assert.oneOf(ended.code, [126, 127])
      exited(ended, ended.code ?? -1)
    })
  })

  describe("what a shell has built in", () => {
    const bin = link(`bin-${shell.name}`, "sh", "cat", "sleep")
    test("is no program", async () => {
      const builtins = "exit cd exec : . eval export set trap read return if { ! function time [[ wait kill echo test ["
      for (const builtin of [...builtins.split(" "), "ek_end"]) {
        const ended = await run(shell, [builtin, "0"], { container: withPath(bin) })
        notStarted(ended, "NotFound", 127)
      }
    })

    test("is the program of that name where there is one", async () => {
      const path = join(directory, `own-${shell.name}`)
      // A busybox may prefer its own applets to programs.
      for (const name of ["exit", "exec", "cd", ...(shell.name === "busybox sh" ? [] : ["echo"])]) {
        file(`own-${shell.name}/${name}`, `#!/bin/sh\nprintf '%s' "own ${name} $1"\n`)
        const ended = await run(shell, [name, "x"], { container: withPath(`${path}:/usr/bin:/bin`) })
        exited(ended, 0)
        assert.strictEqual(ended.stdout.toString(), `own ${name} x`)
      }
    })
  })

  describe("arguments", () => {
    test("arrive as they are", async () => {
      for (const options of [{}, { cwd: "/", env: [["A", "b"]] as const }]) {
        const ended = await run(shell, ["printf", "%s\\0", ...odd], options)
        exited(ended, 0)
        assert.deepStrictEqual(words(ended.stdout), odd)
      }
    })

    test("may be a thousand, and long", async () => {
      const many = Array.from({ length: 1000 }, (_, i) => `${i} ${"x".repeat(i % 100)}`)
      const ended = await run(shell, ["printf", "%s\\0", ...many])
      exited(ended, 0)
      assert.deepStrictEqual(words(ended.stdout), many)
    })

    test("are not expanded in a directory full of files", async () => {
      const ended = await run(shell, ["printf", "%s\\0", "*", "?"], { directory: "/" })
      assert.deepStrictEqual(words(ended.stdout), ["*", "?"])
    })
  })

  describe("variables", () => {
    const container = { PATH: process.env["PATH"] ?? "" }

    test("arrive as they are, in the argument list and on stdin", async () => {
      const env = odd.map((value, i) => [`V_${i}`, value] as const)
      for (const options of [{ env }, { secrets: env }]) {
        for (const stdin of [true, false]) {
          const ended = await run(shell, ["env", "-0"], { ...options, stdin, container })
          exited(ended, 0)
          const seen = variables(ended.stdout)
          assert.deepStrictEqual(env.map(([name]) => [name, seen[name]]), env.map(([name, value]) => [name, value]))
        }
      }
    })

    test("replace those of the container, PATH included, which then finds the program", async () => {
      const path = link(`tools-${shell.name}`, "env")
      const ended = await run(shell, ["env", "-0"], {
        container: { ...container, A: "old", PATH: "/nowhere" },
        env: [["A", "new"], ["PATH", path]]
      })
      exited(ended, 0)
      assert.strictEqual(variables(ended.stdout)["A"], "new")
      assert.strictEqual(variables(ended.stdout)["PATH"], path)
    })

    test("may have the names that shells use themselves", async () => {
      const names = ["IFS", "PS1", "PS4", "OPTIND", "ENV", "LANG", "CDPATH", "GLOBIGNORE", "x", "_A1"]
      const env = names.map((name) => [name, "5"] as const)
      for (const options of [{ env }, { secrets: env }]) {
        const ended = await run(shell, ["env", "-0"], { ...options, container })
        exited(ended, 0)
        const seen = variables(ended.stdout)
        assert.deepStrictEqual(names.map((name) => [name, seen[name]]), names.map((name) => [name, "5"]))
      }
    })

    test("of the container reach the command as they are, whatever their names", async () => {
      const own = Object.fromEntries(
        ["n", "r", "h", "w", "s", "l", "p", "c", "e", "i", "x", "a", "nonce", "code", "command"].map((
          name
        ) => [name, ` ${name}'s * value `])
      )
      const bare = await run(shell, ["env", "-0"], { container: { ...container, ...own } })
      exited(bare, 0)
      const seen = variables(bare.stdout)
      assert.deepStrictEqual(Object.keys(own).map((name) => [name, seen[name]]), Object.entries(own))
      const added = Object.keys(seen).filter((name) => !(name in own) && !(name in container))
      // What shells set themselves.
      assert.deepStrictEqual(added.filter((name) => !["HOME", "PWD", "OLDPWD", "SHLVL", "_"].includes(name)), [])
    })

    test("that are secret are in no argument list", async () => {
      const secret = `S3CRET${randomBytes(8).toString("hex")}`
      const ended = await run(
        shell,
        ["sh", "-c", "for p in $PPID $$; do tr '\\0' ' ' < /proc/$p/cmdline; done; printf %s \"$TOKEN\" >&2"],
        { secrets: [["TOKEN", secret]], container }
      )
      exited(ended, 0)
      assert.notInclude(ended.stdout.toString(), secret)
      assert.include(ended.stdout.toString(), "effect-k8s")
      assert.strictEqual(ended.stderr.toString(), secret)
    })

    test("that are secret leave the command its stdin, to the byte", async () => {
      const input = randomBytes(300_000)
      const ended = await run(shell, ["cat"], { stdin: true, secrets: [["A", "b\nc"]], input, endInput: true })
      exited(ended, 0)
      assert.strictEqual(ended.stdout.compare(input), 0)
    })
  })

  describe("the PATH", () => {
    const searched = (name: string): string => {
      file(`${name}/tool`, "#!/bin/sh\nexit 12\n")
      return join(directory, name)
    }

    test("may have spaces and stars in it", async () => {
      const path = `/nowhere:${searched("a b")}:/usr/bin:/bin`
      exited(await run(shell, ["tool"], { container: withPath(path) }), 12)
      const stars = `/*:${searched("s*r")}:/usr/bin:/bin`
      exited(await run(shell, ["tool"], { container: withPath(stars) }), 12)
    })

    test("may be relative, and empty parts of it are the directory", async () => {
      searched("rel")
      for (const path of ["rel:/usr/bin:/bin", "./rel:/usr/bin:/bin"]) {
        exited(await run(shell, ["tool"], { container: withPath(path), directory }), 12)
      }
      for (const path of [":/usr/bin:/bin", "/usr/bin::/bin"]) {
        exited(await run(shell, ["tool"], { container: withPath(path), directory: join(directory, "rel") }), 12)
      }
    })

    test("is searched from the command's own directory", async () => {
      searched("rel")
      exited(
        await run(shell, ["tool"], { container: withPath("rel:/usr/bin:/bin"), directory: "/", cwd: directory }),
        12
      )
      exited(await run(shell, ["rel/tool"], { directory: "/", cwd: directory }), 12)
    })

    test("may be empty or unset: a program with a path runs", async () => {
      const tool = join(searched("abs"), "tool")
      for (const container of [withPath(""), {}]) {
        for (const stdin of [true, false]) {
          exited(await run(shell, [tool], { container, stdin, input: Buffer.from("x\n") }), 12)
        }
        assert.strictEqual((await run(shell, ["no-such-program"], { container })).code, 127)
      }
    })
  })

  describe("the working directory", () => {
    const pwd = async (cwd: string, options: { container?: Record<string, string>; directory?: string } = {}) => {
      const ended = await run(shell, ["pwd", "-P"], { cwd, ...options })
      exited(ended, 0)
      return ended.stdout.toString()
    }

    test("is entered", async () => {
      for (const name of ["plain-dir", "a b", "new\nline", "st*r", "-dash", "$HOME", "'"]) {
        const path = join(directory, "cwd", name)
        mkdirSync(path, { recursive: true })
        assert.strictEqual(await pwd(path), `${path}\n`)
        assert.strictEqual(await pwd(name, { directory: join(directory, "cwd") }), `${path}\n`, name)
      }
    })

    test("that is named like an option of cd is a directory", async () => {
      for (const name of ["-", "--", "-P", "-L"]) {
        const path = join(directory, "odd", name)
        mkdirSync(path, { recursive: true })
        assert.strictEqual(await pwd(name, { directory: join(directory, "odd") }), `${path}\n`, name)
      }
    })

    test("is not looked for in CDPATH, and nothing is printed", async () => {
      const here = join(directory, "here/sub")
      mkdirSync(here, { recursive: true })
      mkdirSync(join(directory, "elsewhere/sub"), { recursive: true })
      const container = { PATH: process.env["PATH"] ?? "", CDPATH: join(directory, "elsewhere") }
      assert.strictEqual(await pwd("sub", { container, directory: join(directory, "here") }), `${here}\n`)
    })

    test("that cannot be entered is told, and nothing was started", async () => {
      for (const cwd of ["/no/such/directory", file("no-dir", "", 0o644), "no-such", " "]) {
        for (const stdin of [true, false]) {
          const ended = await run(shell, ["sh", "-c", "echo started"], { cwd, stdin })
          notStarted(ended, "NoWorkingDirectory", 126)
        }
      }
    })
  })

  describe("stdin", () => {
    test("is passed through to the byte", async () => {
      const input = randomBytes(1 << 20)
      const ended = await run(shell, ["cat"], { stdin: true, input, endInput: true })
      exited(ended, 0)
      assert.strictEqual(ended.stdout.compare(input), 0)
    })

    test("is the command's own until it ends, although the command gives up its outputs", async () => {
      const input = randomBytes(1 << 20)
      const target = join(directory, `copy-${shell.name}`)
      const ended = await run(shell, ["sh", "-c", "exec cat > \"$0\" 2>&-", target], {
        stdin: true,
        input,
        endInput: true
      })
      exited(ended, 0)
      assert.strictEqual((await run(shell, ["cat", target])).stdout.compare(input), 0)
    })

    test("that the command leaves unread is drained", async () => {
      const input = randomBytes(4 << 20)
      const ended = await run(shell, ["head", "-c", "100"], { stdin: true, input })
      exited(ended, 0)
      assert.strictEqual(ended.stdout.compare(input.subarray(0, 100)), 0)
    })

    test("that is unread is drained also before a command that cannot be started", async () => {
      const input = randomBytes(1 << 20)
      notStarted(await run(shell, ["no-such-program"], { stdin: true, input }), "NotFound", 127)
    })

    test("is empty for a command without one", async () => {
      const ended = await run(shell, ["cat"], { input: Buffer.from("not for you\n") })
      exited(ended, 0)
      assert.strictEqual(ended.stdout.toString(), "")
    })

    test("is drained in an image without cat", async () => {
      const container = withPath(link(`no-cat-${shell.name}`, "head"))
      for (const stdin of [true, false]) {
        const ended = await run(shell, ["head", "-c", "3"], { container, stdin, input: randomBytes(100_000) })
        exited(ended, 0)
        assert.strictEqual(ended.stdout.length, stdin ? 3 : 0)
        assert.strictEqual(ended.stderr.toString(), "")
      }
    })
  })
}

for (const shell of shells) {
  describe.skipIf(shell.argv === undefined)(
    `the supervisor in ${shell.name}${shell.argv === undefined ? " (this machine has none)" : ""}`,
    () => tests(shell)
  )
}

describe("the argument list", () => {
  const nonce = "0123456789abcdef0123456789abcdef"
  const supervised = { nonce, command: ["a"], stdin: true, stdout: true, stderr: true }

  it("begins with sh -c, and names who asks", () => {
    const [sh, c, script, name, record, command] = SupervisorScript.argv(supervised)
    assert.deepStrictEqual([sh, c, name, record, command], ["sh", "-c", "effect-k8s", `\x1e${nonce}`, "a"])
    assert.notInclude(script, nonce)
  })

  it("has no more of the script than the command needs", () => {
    const script = (more: Partial<SupervisorScript.Supervised>) => SupervisorScript.argv({ ...supervised, ...more })[2]!
    assert.notInclude(script({}), "trap ek_h")
    assert.include(script({ stdin: false }), "trap ek_h")
    assert.notInclude(script({ stdin: false, endWithSession: false }), "trap ek_h")
    assert.notInclude(script({ env: [] }), "export")
    assert.notInclude(script({}), "cd ")
    assert.notInclude(script({}), "eval")
  })
})
