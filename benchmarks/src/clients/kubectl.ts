/**
 * kubectl as a program runs it: a child process whose output comes through a pipe, or goes nowhere.
 *
 * Its own time cannot be taken from inside, so the driver takes it from the server's clock: from the upgrade to the end
 * of the process. A cluster has no such clock; there it begins with the first bytes that come, or that kubectl takes
 * beyond what a pipe holds, which leaves out its start and its handshake.
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Writable } from "node:stream"
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import * as Words from "../shared/Words.ts"
import type { Report, Work } from "../shared/Work.ts"

const work = JSON.parse(process.argv[2] ?? "{}") as Work
const binary = process.env["BENCH_KUBECTL"] ?? "kubectl"
const pieceBytes = 64 * 1024
const samplingMillis = 5

const temporary = mkdtempSync(join(tmpdir(), "effect-k8s-bench-"))
const base = [
  "--kubeconfig",
  work.kubeconfig,
  "--context",
  work.context,
  "--cache-dir",
  join(temporary, "cache")
]
const exec = (words: ReadonlyArray<string>, stdin: boolean): Array<string> => [
  ...base,
  "--namespace",
  work.pod.namespace,
  "exec",
  ...(stdin ? ["-i"] : []),
  work.pod.name,
  "-c",
  work.pod.container,
  "--",
  ...words
]

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => code === 0 ? resolve() : reject(new Error(`kubectl ended with ${code}`)))
  })

/** Follows the memory and the time of a process, from the moment that data moves. */
const watch = (child: ChildProcess) => {
  let begun: number | undefined
  let before: number | undefined
  let peak = 0
  const timer = setInterval(() => {
    if (child.pid !== undefined) peak = Math.max(peak, Usage.statusBytes(child.pid, "VmHWM") ?? 0)
  }, samplingMillis)
  return {
    begin: () => {
      if (begun !== undefined) return
      begun = performance.now()
      if (child.pid !== undefined) before = Usage.statusBytes(child.pid, "VmRSS")
    },
    end: () => {
      clearInterval(timer)
      return {
        ...(peak === 0 ? {} : { rssBefore: before ?? peak, rssPeak: peak }),
        ...(work.real && begun !== undefined ? { wallMillis: performance.now() - begun } : {})
      }
    }
  }
}

const stdout = async (): Promise<Partial<Report>> => {
  const receiver = Usage.receiver(work.check)
  const words = exec(Words.out(work), false)
  if (work.variant === "shell") {
    const command = [binary, ...words].map((word) => `'${word}'`).join(" ")
    await ended(spawn("sh", ["-c", `${command} | cat >/dev/null`], { stdio: ["ignore", "ignore", "inherit"] }))
    return { bytes: work.bytes }
  }
  const stdio: StdioOptions = ["ignore", work.variant === "null" ? "ignore" : "pipe", "inherit"]
  const child = spawn(binary, words, { stdio })
  const watched = watch(child)
  child.stdout?.on("data", (chunk: Uint8Array) => {
    watched.begin()
    receiver.take(chunk)
  })
  await ended(child)
  return { ...watched.end(), bytes: work.variant === "null" ? work.bytes : receiver.bytes() }
}

/** Writes the pattern. `moves` is called when kubectl takes it. */
const write = async (stdin: Writable, moves: () => void): Promise<void> => {
  stdin.on("error", () => {})
  for (const piece of Pattern.pieces(work.bytes, pieceBytes)) {
    if (stdin.write(piece)) continue
    await new Promise((resolve) => stdin.once("drain", resolve))
    moves()
  }
  stdin.end()
}

const stdin = async (): Promise<Partial<Report>> => {
  const words = exec(Words.into(work), true)
  let answer = ""
  const fromFile = work.variant === "file"
  const path = join(temporary, "input")
  if (fromFile) {
    for (const piece of Pattern.pieces(work.bytes, Pattern.blockBytes)) writeFileSync(path, piece, { flag: "a" })
  }
  const file = fromFile ? openSync(path, "r") : undefined
  const child = spawn(binary, words, { stdio: [file ?? "pipe", "pipe", "inherit"] })
  const watched = watch(child)
  child.stdout?.on("data", (chunk: Uint8Array) => {
    answer += Buffer.from(chunk).toString()
  })
  const done = ended(child)
  if (file !== undefined) closeSync(file)
  if (child.stdin !== null) await write(child.stdin, watched.begin)
  await done
  return { ...watched.end(), ...Words.answerOf(answer, work) }
}

/** Both ways at once, with a hash of what comes back. */
const duplex = async (): Promise<Partial<Report>> => {
  const receiver = Usage.hasher()
  const child = spawn(binary, exec(Words.echo(work), true), { stdio: ["pipe", "pipe", "inherit"] })
  const watched = watch(child)
  child.stdout.on("data", receiver.take)
  const done = ended(child)
  await write(child.stdin, watched.begin)
  await done
  return { ...watched.end(), bytes: receiver.bytes(), sha256: receiver.sha256() }
}

/** So many processes at once, each of which reads its part of the output, in whole blocks. */
const concurrent = async (): Promise<Partial<Report>> => {
  const bytes = Words.partOf(work)
  const begun = performance.now()
  const counts = await Promise.all(Array.from({ length: work.count }, async () => {
    const receiver = Usage.receiver(work.check)
    const child = spawn(binary, exec(Words.out({ ...work, bytes }), false), { stdio: ["ignore", "pipe", "inherit"] })
    child.stdout.on("data", receiver.take)
    await ended(child)
    return receiver.bytes()
  }))
  return { bytes: counts.reduce((sum, count) => sum + count, 0), wallMillis: performance.now() - begun }
}

const stalled = async (): Promise<Partial<Report>> => {
  const child = spawn(binary, exec(Words.out(work), false), {
    stdio: ["ignore", "pipe", "ignore"]
  })
  const watched = watch(child)
  const done = ended(child).catch(() => {})
  await new Promise((resolve) => child.stdout.once("readable", resolve))
  child.stdout.read()
  watched.begin()
  await new Promise((resolve) => setTimeout(resolve, work.stallMillis))
  const used = watched.end()
  child.kill("SIGKILL")
  await done
  return { ...used, bytes: 0 }
}

const processes = async (words: ReadonlyArray<string>): Promise<Partial<Report>> => ({
  bytes: 0,
  laps: await Usage.laps(work.count, () => ended(spawn(binary, words, { stdio: ["ignore", "ignore", "inherit"] })))
})

const roundTrips = (): Promise<Partial<Report>> =>
  new Promise((resolve, reject) => {
    const child = spawn(binary, exec(Words.echo(work), true), { stdio: ["pipe", "pipe", "inherit"] })
    const laps: Array<number> = []
    let begun = 0
    const send = (): void => {
      begun = performance.now()
      child.stdin.write(Uint8Array.of(7))
    }
    child.stdout.on("data", () => {
      laps.push(performance.now() - begun)
      if (laps.length < work.count) return send()
      child.stdin.end()
    })
    ended(child).then(() => resolve({ bytes: 0, laps }), reject)
    send()
  })

const perform = (): Promise<Partial<Report>> => {
  switch (work.kind) {
    case "stdout":
      return stdout()
    case "stdin":
      return stdin()
    case "duplex":
      return duplex()
    case "concurrent":
      return concurrent()
    case "stalled":
      return stalled()
    case "roundTrips":
      return roundTrips()
    case "lists":
      return processes([...base, "--namespace", work.namespace, "get", "pods", "-o", "json"])
    case "cold":
    case "noops":
      return processes(exec(Words.noop, false))
    default:
      throw new Error(`This client has no ${work.kind}.`)
  }
}

const before = Usage.cpuOf("self", "children")
const result = await perform()
const endedAt = performance.timeOrigin + performance.now()
const after = Usage.cpuOf("self", "children")
const report: Report = {
  bytes: 0,
  ...result,
  endedAt,
  ...(before === undefined || after === undefined ? {} : {
    cpuUserMillis: after.user - before.user,
    cpuSystemMillis: after.system - before.system
  })
}
rmSync(temporary, { recursive: true, force: true })
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
