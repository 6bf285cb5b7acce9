/**
 * Running a measured program: in a group of its own, for so long and no longer, and what it says at its end.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"

/** How a program is run. */
export interface Options {
  /** What it is called where it fails. */
  readonly label: string
  /** How long it may take. */
  readonly limitMillis: number
  /** The environment; that of this process unless told. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

const running = new Set<number>()
let isStopped = false

/** Ends all programs, with all that they have started, and starts no more. */
export const endAll = (): void => {
  isStopped = true
  for (const pid of running) process.kill(-pid, "SIGKILL")
}

/** Runs a program to its end; gives its last line as JSON. Fails when it takes too long, fails, or says nothing. */
export const run = async (
  command: string,
  words: ReadonlyArray<string>,
  { env, label, limitMillis }: Options
): Promise<unknown> => {
  if (isStopped) throw new Error("stopped")
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"], detached: true, env })
  let out = ""
  let complaint = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text
  })
  let isLate = false
  const deadline = setTimeout(() => {
    isLate = true
    // The group: what it has started would hold its output open.
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
  }, limitMillis)
  if (child.pid !== undefined) running.add(child.pid)
  const [code] = await once(child, "close") as [number | null]
  clearTimeout(deadline)
  if (child.pid !== undefined) running.delete(child.pid)
  if (isLate) throw new Error(`${label} has not ended after ${limitMillis / 1000} s`)
  const line = out.trim().split("\n").at(-1) ?? ""
  if (code !== 0 || line === "") {
    const lines = complaint.split("\n")
    // Before the error Node shows the line of code that has thrown it, which may well speak of errors.
    const message = lines.find((text) => /^(error|\w*Error)\b/.test(text)) ??
      lines.find((text) => /error/i.test(text)) ?? complaint.slice(0, 200)
    throw new Error(`${label} ended with ${code}: ${message.trim()}`)
  }
  return JSON.parse(line)
}
