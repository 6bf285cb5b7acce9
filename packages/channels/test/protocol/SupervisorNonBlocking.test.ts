/**
 * Commands that leave their streams not blocking, as programs on Node that are killed do. That is a property of what they
 * share with the supervisor, and outlives them.
 */
import { afterAll, assert } from "@effect/vitest"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inEachShell } from "./inEachShell.ts"
import {
  cleanUp,
  type Ended,
  isStuck,
  members,
  type Options,
  type Running,
  type Shell,
  start,
  until
} from "./supervised.ts"

const directory = mkdtempSync(join(tmpdir(), "effect-k8s-"))
const noCat = join(directory, "bin")
mkdirSync(noCat)
for (const program of ["sh", "sleep"]) symlinkSync(join("/usr/bin", program), join(noCat, program))
afterAll(() => {
  cleanUp()
  rmSync(directory, { recursive: true, force: true })
})

const node = (script: string): ReadonlyArray<string> => [process.execPath, "-e", script]
const killSelf = "process.kill(process.pid, 'SIGKILL')"

/** A command that fills an output to the brim is gone, and its supervisor is at the record: it waits, or has given up. */
const flooded = async (shell: Shell, output: "stdout" | "stderr", options: Options): Promise<Running> => {
  const [enough, full] = [
    join(directory, randomBytes(8).toString("hex")),
    join(directory, randomBytes(8).toString("hex"))
  ]
  // The first write is what makes it not blocking.
  const command = node(`
    const [, enough, full] = process.argv
    const zeros = Buffer.alloc(1 << 20)
    const fill = () => { try { while (true) fs.writeSync(process.${output}.fd, zeros) } catch {} }
    process.${output}.write(zeros)
    setInterval(() => {
      const isLast = fs.existsSync(enough)
      fill()
      if (!isLast) return
      fs.writeFileSync(full, "")
      ${killSelf}
    }, 5)
  `)
  const running = start(shell, [...command, enough, full], { ...options, readLater: true })
  // What is read after it is full makes room for the record.
  await until(() => running.isUnread(output), "the output is read no more")
  writeFileSync(enough, "")
  await until(() => existsSync(full), "the output is full")
  await until(() => members(running.pid).every(({ argv }) => argv[0] !== process.execPath), "the command is gone")
  // A test that reads sooner is passed by a supervisor that would fail it.
  await until(() => isStuck(running.pid) || members(running.pid).length === 0, "the supervisor waits, or has left")
  return running
}

const killed = ({ code, trailers }: Ended): void => {
  const trailer = { _tag: "Exited", code: 137 } as const
  assert.deepStrictEqual(trailers, { stdout: trailer, stderr: trailer })
  assert.strictEqual(code, 137)
}

for (const output of ["stdout", "stderr"] as const) {
  for (const stdin of [true, false]) {
    inEachShell(`a full ${output} that is left so takes the record when it is read (stdin ${stdin})`, async (shell) => {
      const running = await flooded(shell, output, { fifos: true, stdin })
      running.read()
      const ended = await running.ended
      killed(ended)
      const other = output === "stdout" ? "stderr" : "stdout"
      assert.isAbove(ended[output].length, 4096)
      assert.isTrue(ended[output].every((byte) => byte === 0))
      assert.strictEqual(ended[other].toString(), "")
      assert.strictEqual(ended.raw[other].toString().match(/:137\n/g)?.length, 1)
    })
  }

  inEachShell(
    `a full ${output} that cannot be opened anew is told by nobody: the supervisor does not wait`,
    async (shell) => {
      // Node's own pipes are sockets.
      const running = await flooded(shell, output, { leaveOpen: true, stdin: true })
      await until(() => members(running.pid).length === 0, "the supervisor has left")
      running.read()
      const ended = await running.ended
      assert.isUndefined(ended.trailers[output])
      assert.strictEqual(ended.code, 137)
      assert.isFalse(running.isTold())
      assert.strictEqual(ended.stderr.filter((byte) => byte !== 0).toString(), "")
    }
  )
}

inEachShell("a stdin that is left so is read to its end, and no sooner does the supervisor leave", async (shell) => {
  const running = start(shell, node(`process.stdin.on('data', () => { ${killSelf} })`), {
    fifos: true,
    leaveOpen: true,
    stdin: true
  })
  await running.write("a line\n")
  await until(running.isTold, "both trailers")
  // More than a pipe holds.
  await running.write(new Uint8Array(1 << 20))
  running.hangUp()
  killed(await running.ended)
})

inEachShell("a stdin whose other end is gone is not waited for, without cat neither", async (shell) => {
  const running = start(shell, ["sleep", "0"], {
    fifos: true,
    endInput: true,
    stdin: true,
    container: { PATH: noCat }
  })
  const ended = await running.ended
  assert.isTrue(running.isTold())
  assert.strictEqual(ended.code, 0)
})
