import { afterAll, assert, it } from "@effect/vitest"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inEachShell } from "./inEachShell.ts"
import { cleanUp, type Ended, isStuck, members, run, type Running, shells, start, until } from "./supervised.ts"

const directory = mkdtempSync(join(tmpdir(), "effect-k8s-"))
afterAll(() => {
  cleanUp()
  rmSync(directory, { recursive: true, force: true })
})

const exited = (ended: Ended, code: number): void => {
  assert.deepStrictEqual(ended.trailers, { stdout: { _tag: "Exited", code }, stderr: { _tag: "Exited", code } })
  assert.strictEqual(ended.code, code)
}

const ready = ["sh", "-c", "echo ready; exec sleep 1000"]

/** What becomes of a command that has said `ready` when its client leaves; nothing of its group is left then. */
const left = async (running: Running): Promise<Ended> => {
  await until(() => running.stdout() === "ready\n", "ready")
  running.hangUp()
  const ended = await running.ended
  await until(() => members(running.pid).length === 0, "the group is empty")
  return ended
}

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129], ["SIGKILL", undefined]] as const) {
  for (
    const [kind, options] of [
      ["with stdin", { stdin: true }],
      ["without stdin", { stdin: false }],
      ["that outlives its session", { stdin: false, endWithSession: false }]
    ] as const
  ) {
    inEachShell(`${signal} to the group of a command ${kind} ends it, and is told`, async (shell) => {
      const running = start(shell, ready, options)
      await until(() => running.stdout() === "ready\n", "ready")
      process.kill(-running.pid, signal)
      if (code === undefined) {
        running.hangUp()
        const ended = await running.ended
        assert.deepStrictEqual(ended.trailers, { stdout: undefined, stderr: undefined })
        assert.strictEqual(ended.signal, "SIGKILL")
      } else {
        const ended = await running.ended
        exited(ended, code)
        assert.strictEqual(ended.stderr.toString(), "")
      }
      await until(() => members(running.pid).length === 0, "the group is empty")
    })
  }
}

inEachShell("a command that does not heed a signal is still supervised", async (shell) => {
  const script = "trap '' TERM INT HUP; echo ready; read -r line; echo \"$line\"; exit 9"
  const running = start(shell, ["sh", "-c", script], { stdin: true })
  await until(() => running.stdout() === "ready\n", "ready")
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.kill(-running.pid, signal)
  await running.write("still here\n")
  const ended = await running.ended
  exited(ended, 9)
  assert.strictEqual(ended.stdout.toString(), "ready\nstill here\n")
})

inEachShell("a command heeds the signals that it would without a supervisor", async (shell) => {
  const running = start(shell, [
    "sh",
    "-c",
    "trap 'echo heeded; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
  ])
  await until(() => running.stdout() === "ready\n", "ready")
  process.kill(-running.pid, "SIGTERM")
  const ended = await running.ended
  exited(ended, 3)
  assert.strictEqual(ended.stdout.toString(), "ready\nheeded\n")
})

inEachShell("the report is the process group, and the command is in it", async (shell) => {
  const running = start(shell, ready)
  assert.strictEqual(await running.started, running.pid)
  await until(() => members(running.pid).some(({ argv }) => argv[0] === "sleep"), "the command is in the group")
  process.kill(-running.pid, "SIGTERM")
  exited(await running.ended, 143)
})

inEachShell("the end of the session ends a command without stdin, and its children", async (shell) => {
  const running = start(shell, ["sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait"])
  const ended = await left(running)
  exited(ended, 143)
  assert.strictEqual(ended.stderr.toString(), "")
})

inEachShell("a command that ends in order at the end of the session tells its own exit code", async (shell) => {
  const script = "trap 'echo goodbye; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
  const running = start(shell, ["sh", "-c", script])
  const ended = await left(running)
  exited(ended, 5)
  assert.strictEqual(ended.stdout.toString(), "ready\ngoodbye\n")
})

inEachShell("what the client sends does not end a command without stdin", async (shell) => {
  const gate = join(directory, `noise-${shell.name}`)
  mkdirSync(gate)
  const running = start(shell, ["sh", "-c", "while [ -d \"$0\" ]; do sleep 0.01; done; exit 4", gate], { fifos: true })
  // More than a pipe holds, so that some of it was read when all of it was taken.
  await running.write("noise\n".repeat(16_000))
  rmSync(gate, { recursive: true })
  exited(await running.ended, 4)
})

inEachShell("a grandchild that does not heed TERM is killed after the grace", async (shell) => {
  const script = "(trap '' TERM; echo ready; while :; do sleep 0.1; done) & sleep 1000"
  const running = start(shell, ["sh", "-c", script])
  exited(await left(running), 143)
})

inEachShell("a command that does not heed TERM is killed after the grace, and its supervisor tells", async (shell) => {
  for (const script of ["while :; do sleep 0.1; done", "sleep 1000 & sleep 1000"]) {
    const running = start(shell, ["sh", "-c", `trap '' TERM; echo ready; ${script}`])
    const ended = await left(running)
    exited(ended, 137)
    assert.strictEqual(ended.stderr.toString(), "")
  }
})

inEachShell("a supervisor that cannot tell, because nobody reads, is killed a little later", async (shell) => {
  const running = start(shell, ["sh", "-c", "trap '' TERM; echo ready >&2; exec cat /dev/zero"], { readLater: true })
  // Else the record finds room.
  const isFull = () =>
    running.isUnread("stdout") && members(running.pid).some(({ argv, pid }) => argv[0] === "cat" && isStuck(pid))
  await until(isFull, "the output is full")
  running.hangUp()
  await until(() => members(running.pid).length === 0, "the group is empty")
  running.read()
  const ended = await running.ended
  assert.strictEqual(ended.signal, "SIGKILL")
  assert.isUndefined(ended.trailers.stdout)
})

// A while in which a SIGKILL that comes at once does not miss it. One process, because many take longer to start on a busy
// machine than the grace is.
const slowGoodbye = "/usr/bin/sleep 0.3; echo goodbye; exit 5"

for (
  const [whose, options] of [
    ["the image", { container: { PATH: "/nowhere" } }],
    ["the command", { env: [["PATH", "/nowhere"]] }],
    ["the command, which is secret,", { secrets: [["PATH", ""]] }]
  ] as const
) {
  inEachShell(`a command has its grace although the PATH of ${whose} leads to no sleep`, async (shell) => {
    const script = `trap '${slowGoodbye}' TERM; echo ready; while :; do /usr/bin/sleep 0.01; done`
    const running = start(shell, ["/bin/sh", "-c", script], options)
    const ended = await left(running)
    exited(ended, 5)
    assert.strictEqual(ended.stdout.toString(), "ready\ngoodbye\n")
  })
}

inEachShell(
  "the end of the session ends a command in an image whose PATH has neither sleep nor kill",
  async (shell) => {
    const bin = join(directory, `bin-${shell.name}`)
    mkdirSync(bin)
    symlinkSync("/usr/bin/cat", join(bin, "cat"))
    symlinkSync("/usr/bin/sh", join(bin, "sh"))
    const running = start(shell, ["sh", "-c", "echo ready; /usr/bin/sleep 1000"], { container: { PATH: bin } })
    await left(running)
  }
)

inEachShell(
  "a command that outlives its session does so, and tells its outcome if someone still listens",
  async (shell) => {
    const gate = join(directory, `gate-${shell.name}`)
    mkdirSync(gate)
    const script = "echo ready; while [ -d \"$0\" ]; do sleep 0.01; done; exit 8"
    const running = start(shell, ["sh", "-c", script, gate], { endWithSession: false })
    await until(() => running.stdout() === "ready\n", "ready")
    running.hangUp()
    // A watcher would be a second process of the supervisor's, and act whenever it has its turn.
    assert.lengthOf(members(running.pid).filter(({ argv }) => argv.includes("effect-k8s")), 1)
    // Long enough for anything else to act, had there been something.
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.isAbove(members(running.pid).length, 0)
    rmSync(gate, { recursive: true })
    exited(await running.ended, 8)
  }
)

inEachShell("a command with stdin is left to see the end of it", async (shell) => {
  const running = start(shell, ["sh", "-c", "cat; echo end; exit 2"], { stdin: true })
  await running.write("a")
  await until(() => running.stdout() === "a", "a")
  running.hangUp()
  const ended = await running.ended
  exited(ended, 2)
  assert.strictEqual(ended.stdout.toString(), "aend\n")
})

inEachShell("nothing of the supervisor is left when the command has ended", async (shell) => {
  for (const options of [{ stdin: true }, { stdin: false }, { stdin: false, endWithSession: false }]) {
    const running = start(shell, ["true"], options)
    exited(await running.ended, 0)
    await until(() => members(running.pid).length === 0, "the group is empty")
  }
})

inEachShell("a command that cannot be started leaves nothing", async (shell) => {
  const running = start(shell, ["no-such-program"])
  assert.strictEqual((await running.ended).code, 127)
  await until(() => members(running.pid).length === 0, "the group is empty")
})

inEachShell("commands in a row come to the right end", async (shell) => {
  for (let i = 0; i < 25; i++) {
    const ended = await run(shell, ["sh", "-c", `echo ${i}; exit ${i % 7}`], { stdin: i % 2 === 0 })
    exited(ended, i % 7)
    assert.strictEqual(ended.stdout.toString(), `${i}\n`)
  }
})

for (const { argv, name } of shells) if (argv === undefined) it.skip(`${name}: this machine has none`)
