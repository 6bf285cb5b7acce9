import * as KillScript from "@effect-k8s/channels/protocol/KillScript"
import { afterAll, assert } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inEachShell } from "./inEachShell.ts"
import { cleanUp, members, type Shell, start, until } from "./supervised.ts"

afterAll(cleanUp)

interface Told {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the script as an exec does: in a session of its own. */
const tell = (
  inShell: Shell,
  [, ...rest]: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv = process.env
): Promise<Told> =>
  new Promise((resolve, reject) => {
    const [program, ...first] = inShell.argv ?? ["sh"]
    const child = spawn(program, [...first, ...rest], {
      detached: true,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      // None takes so long that ends.
      timeout: 60_000,
      killSignal: "SIGKILL"
    })
    let [stdout, stderr] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

/** A pause of the script, and where it gives up. */
const [pause, limit] = ["ek_pause() {\n", "-lt 20 ]; do ek_pause"]

/** Holds the supervisor's script up before a part of it, until the gate is opened. */
const makeGate = (part: string) => {
  const directory = mkdtempSync(join(tmpdir(), "effect-k8s-"))
  const [path, mark] = [join(directory, "gate"), join(directory, "awaited")]
  execFileSync("mkfifo", [path])
  // Both ends, so that neither waits for the other to be opened.
  const gate = openSync(path, constants.O_RDWR)
  return {
    edit: (script: string): string => {
      assert.include(script, part)
      return script.replace(part, () => `read -r ek_l <'${path}'\n${part}`)
    },
    /** Lets the script of a signal wait for as long as it takes, and tell that it does. */
    awaited: (word: string): string =>
      word.replace(pause, () => `${pause}: >'${mark}'\n`).replace(limit, limit.replace("20", "999")),
    isAwaited: (): boolean => existsSync(mark),
    open: (): void => void writeSync(gate, "\n"),
    remove: (): void => {
      closeSync(gate)
      rmSync(directory, { recursive: true })
    }
  }
}

const makeNonce = (): string => randomBytes(16).toString("hex")
const silent = (code: number): Told => ({ code, stdout: "", stderr: "" })

// A child that neither reads stdin nor heeds what it is told, with a child of its own.
const stubborn = "trap '' HUP INT QUIT TERM; sleep 1000 & echo ready; wait; sleep 1000"
const ready = "sleep 1000 & echo ready; exec sleep 1000"

for (const stdin of [true, false]) {
  const kind = stdin ? "with stdin" : "without stdin"
  for (
    const [name, code, script] of [
      ["SIGTERM", 143, ready],
      // A shell without job control lets its background processes ignore it.
      ["SIGINT", 130, "echo ready; exec sleep 1000"],
      ["SIGQUIT", 131, "exec 2>/dev/null; ulimit -c 0; echo ready; exec sleep 1000"],
      ["SIGHUP", 129, ready],
      ["SIGUSR1", 138, ready],
      ["SIGALRM", 142, ready],
      ["SIGKILL", 137, stubborn]
    ] as const
  ) {
    inEachShell(`${name} ends a command ${kind} and its children, and the supervisor tells how`, async (shell) => {
      const nonce = makeNonce()
      const running = start(shell, ["sh", "-c", script], { nonce, stdin })
      await until(() => running.stdout() === "ready\n", "ready")
      const group = { processGroup: running.pid, nonce }
      assert.deepStrictEqual(await tell(shell, KillScript.signal(group, name)), silent(KillScript.Code.Sent))
      const { trailers } = await running.ended
      assert.deepStrictEqual(trailers, { stdout: { _tag: "Exited", code }, stderr: { _tag: "Exited", code } })
      await until(() => members(running.pid).length === 0, "the group is empty")
      // What has gone cannot be signalled.
      assert.deepStrictEqual(await tell(shell, KillScript.signal(group, name)), silent(KillScript.Code.Gone))
    })
  }
}

for (
  const [what, part] of [["its supervisor heeds any", "trap : "], ["its program is there", "exec \"$@\""]] as const
) {
  for (const [name, code] of [["SIGTERM", 143], ["SIGUSR1", 138], ["SIGKILL", 137]] as const) {
    inEachShell(`${name} waits for a command that was reported before ${what}`, async (shell) => {
      const nonce = makeNonce()
      const gate = makeGate(part)
      const running = start(shell, ["sleep", "1000"], { nonce, stdin: true, edit: gate.edit })
      const group = { processGroup: await running.started, nonce }
      const told = tell(shell, KillScript.signal(group, name).map(gate.awaited))
      await until(gate.isAwaited, "it waits")
      gate.open()
      assert.deepStrictEqual(await told, silent(KillScript.Code.Sent))
      const { trailers } = await running.ended
      gate.remove()
      assert.deepStrictEqual(trailers, { stdout: { _tag: "Exited", code }, stderr: { _tag: "Exited", code } })
    })
  }
}

inEachShell("a watcher that is late is not ended by what the command heeds", async (shell) => {
  const nonce = makeNonce()
  const gate = makeGate("trap '' HUP")
  const script = "trap 'echo heeded' TERM; echo ready; while :; do sleep 0.01; done"
  const running = start(shell, ["sh", "-c", script], { nonce, edit: gate.edit })
  await until(() => running.stdout() === "ready\n", "ready")
  await tell(shell, KillScript.signal({ processGroup: running.pid, nonce }, "SIGTERM"))
  await until(() => running.stdout() === "ready\nheeded\n", "heeded")
  gate.open()
  running.hangUp()
  await until(() => members(running.pid).length === 0, "the group is empty")
  gate.remove()
})

inEachShell("a signal that a command heeds is one for it to handle", async (shell) => {
  const nonce = makeNonce()
  const script = "trap 'echo heeded' USR1; trap 'exit 3' USR2; echo ready; while :; do sleep 0.01; done"
  const running = start(shell, ["sh", "-c", script], { nonce, stdin: false })
  await until(() => running.stdout() === "ready\n", "ready")
  const group = { processGroup: running.pid, nonce }
  await tell(shell, KillScript.signal(group, "SIGUSR1"))
  await until(() => running.stdout() === "ready\nheeded\n", "heeded")
  // The watcher lives: the end of the session still ends the command.
  running.hangUp()
  const ended = await running.ended
  assert.deepStrictEqual(ended.trailers.stdout, { _tag: "Exited", code: 143 })
})

inEachShell("a group whose leader has another nonce is left alone", async (shell) => {
  const running = start(shell, ["sh", "-c", ready], { stdin: true })
  await until(() => running.stdout() === "ready\n", "ready")
  const group = { processGroup: running.pid, nonce: makeNonce() }
  for (const argv of [KillScript.signal(group, "SIGKILL"), KillScript.terminate(group)]) {
    assert.deepStrictEqual(await tell(shell, argv), silent(KillScript.Code.Gone))
  }
  assert.strictEqual(members(running.pid).length, 3)
  process.kill(-running.pid, "SIGKILL")
  await running.ended
})

inEachShell("a signal that the shell does not know is refused", async (shell) => {
  const nonce = makeNonce()
  const running = start(shell, ["sh", "-c", ready], { nonce, stdin: true })
  await until(() => running.stdout() === "ready\n", "ready")
  const argv = KillScript.signal({ processGroup: running.pid, nonce }, "SIGINFO")
  assert.deepStrictEqual(await tell(shell, argv), silent(KillScript.Code.Refused))
  assert.strictEqual(members(running.pid).length, 3)
  process.kill(-running.pid, "SIGKILL")
  await running.ended
})

for (const [what, script] of [["heeds", ready], ["does not heed", stubborn]] as const) {
  inEachShell(
    `terminate leaves nothing of a command that ${what} SIGTERM, and says so before the end`,
    async (shell) => {
      const nonce = makeNonce()
      const running = start(shell, ["sh", "-c", script], { nonce, stdin: true })
      await until(() => running.stdout() === "ready\n", "ready")
      const argv = KillScript.terminate({ processGroup: running.pid, nonce })
      assert.deepStrictEqual((await tell(shell, argv)).stdout, "\n")
      await until(() => members(running.pid).length === 0, "the group is empty")
    }
  )
}

inEachShell("terminate leaves a command its grace although the PATH of the image leads to no sleep", async (shell) => {
  const nonce = makeNonce()
  // One process, because many take longer to start on a busy machine than the grace is.
  const goodbye = "sleep 0.3; echo goodbye; exit 5"
  const script = `trap '${goodbye}' TERM; echo ready; while :; do sleep 0.01; done`
  const running = start(shell, ["sh", "-c", script], { nonce, stdin: true })
  await until(() => running.stdout() === "ready\n", "ready")
  await tell(shell, KillScript.terminate({ processGroup: running.pid, nonce }), { PATH: "/nowhere" })
  const ended = await running.ended
  assert.strictEqual(ended.stdout.toString(), "ready\ngoodbye\n")
  assert.strictEqual(ended.code, 5)
})

inEachShell("a process that ends while its files are being read is passed over", async (shell) => {
  const nonce = makeNonce()
  const directory = mkdtempSync(join(tmpdir(), "effect-k8s-"))
  try {
    // Reading what is there no longer is an error, as reading a directory is.
    mkdirSync(join(directory, "7", "stat"), { recursive: true })
    writeFileSync(join(directory, "7", "cmdline"), `\u001e${nonce}`)
    const [sh, c, script = "", ...rest] = KillScript.signal({ processGroup: 7, nonce }, "USR1")
    const other = script.replace("/proc/$1/", `${directory}/$1/`).replace("in /proc/", `in ${directory}/`)
      .replaceAll("#/proc/", `#${directory}/`)
    const argv = [sh, c, other, ...rest].filter((word) => word !== undefined)
    assert.deepStrictEqual(await tell(shell, argv), silent(KillScript.Code.Sent))
  } finally {
    rmSync(directory, { recursive: true })
  }
})
