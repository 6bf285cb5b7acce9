/**
 * A command runs with all of its variables or not at all.
 */
import * as SupervisorScript from "@effect-k8s/channels/protocol/SupervisorScript"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { cleanUp, run, type Shell, shells } from "./supervised.ts"

afterAll(cleanUp)

const nonce = "0123456789abcdef0123456789abcdef"
const command = ["sh", "-c", "echo \"started with A=$A B=$B\""]

const tests = (shell: Shell): void => {
  it("secret variables that come in part, because the client is gone, start nothing", async () => {
    const whole = SupervisorScript.preamble(nonce, [["A", "1"], ["B", "two\nlines"]])
    // All of the record is here without the end of its line.
    for (let length = 0; length < whole.length - 1; length++) {
      const ended = await run(shell, command, {
        nonce,
        preamble: true,
        stdin: length % 2 === 0,
        input: Buffer.from(whole.slice(0, length)),
        endInput: true
      })
      const what = `after ${length} bytes`
      assert.strictEqual(ended.stdout.toString(), "", what)
      assert.strictEqual(ended.stderr.toString(), "", what)
      // Nothing that could be taken for the command's outcome.
      assert.deepStrictEqual(ended.trailers, { stdout: undefined, stderr: undefined }, what)
      assert.strictEqual(ended.code, 1, what)
    }
  })

  const isBash = shell.name.startsWith("bash")
  const readOnly = ["UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO"]
  const withoutEffect = ["GROUPS", "DIRSTACK", "FUNCNAME"]
  const kept = [...readOnly, ...withoutEffect]

  it(isBash ? "variables that it keeps for itself start nothing, and are told" : "keeps no variable", async () => {
    for (const name of kept) {
      const own = [["A", "1"], [name, "5"], ["B", "2"]] as const
      for (const options of [{ env: own }, { secrets: own }, { env: own.slice(0, 1), secrets: own.slice(1) }]) {
        for (const stdin of [true, false]) {
          const ended = await run(shell, ["sh", "-c", `env | grep '^${name}='; exit 3`], { ...options, stdin })
          assert.strictEqual(ended.stderr.toString(), "", name)
          const trailer = isBash ? { _tag: "VariableKept" } as const : { _tag: "Exited", code: 3 } as const
          assert.deepStrictEqual(ended.trailers, { stdout: trailer, stderr: trailer }, name)
          assert.strictEqual(ended.code, isBash ? 126 : 3, name)
          // The shell that the command itself may be does not count.
          if (isBash) assert.strictEqual(ended.stdout.toString(), "", name)
        }
      }
    }
  })

  it("variables that it keeps are known by name", () => {
    assert.deepStrictEqual(SupervisorScript.keptByShells(["A", ...kept, "PATH", "HOME"]), kept)
  })
}

for (const shell of shells) {
  describe.skipIf(shell.argv === undefined)(
    `the supervisor in ${shell.name}${shell.argv === undefined ? " (this machine has none)" : ""}`,
    () => tests(shell)
  )
}

describe("names of variables", () => {
  it("are taken for what they are, and the supervisor keeps its own", () => {
    for (const name of ["A", "_", "a_1", "PATH", "ek", "EK_N", "_ek_n"]) {
      assert.isUndefined(SupervisorScript.nameProblem(name))
    }
    for (const name of ["", "1A", "A-B", "A B", "A=", "Ä", "A\n", "$A", "a.b", "ek_", "ek_n", "ek_other"]) {
      assert.include(SupervisorScript.nameProblem(name), "cannot be", name)
    }
  })

  it("of the supervisor's own are none that a command may have", () => {
    const script = [true, false].flatMap((stdin) =>
      SupervisorScript.argv({
        nonce,
        command,
        stdout: true,
        stderr: true,
        stdin,
        env: [["A", "1"]],
        cwd: "/",
        preamble: true
      })[2]!
    ).join("\n").replaceAll(SupervisorScript.ownPath, "") // Of the watcher alone, which is a process of its own.
    const set = [...script.matchAll(/(?:^|[\s;({])([A-Za-z_]\w*)=/g), ...script.matchAll(/\bread -r (\w+)/g)]
    assert.isAbove(set.length, 10)
    for (const [, name = ""] of set) assert.match(name, /^(ek_\w+|IFS)$/)
  })
})
