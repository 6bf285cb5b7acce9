/**
 * kubectl as a program runs it: a child process whose output comes through a pipe, or goes nowhere.
 *
 * Its own time cannot be taken from inside, so the driver takes it from the server's clock: from the upgrade to the end
 * of the process.
 */
import { type ChildProcess, execFileSync, spawn, type StdioOptions } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import { Command, type Report, type Work } from "../shared/Work.ts"

const work = JSON.parse(process.argv[2] ?? "{}") as Work
const binary = process.env["BENCH_KUBECTL"] ?? "kubectl"
const pieceBytes = 64 * 1024
const samplingMillis = 5

const temporary = mkdtempSync(join(tmpdir(), "effect-k8s-bench-"))
const base = [
  "--kubeconfig",
  work.kubeconfig,
  "--context",
  work.ca === undefined ? "plain" : "tls",
  "--cache-dir",
  join(temporary, "cache")
]
const exec = (words: ReadonlyArray<string>, stdin: boolean): Array<string> => [
  ...base,
  "--namespace",
  "few",
  "exec",
  ...(stdin ? ["-i"] : []),
  "pod-0",
  "-c",
  "main",
  "--",
  ...words
]

// What processes that have ended used, in clock ticks of 10 ms: kubectl is the only child.
const childrenMillis = (): { readonly user: number; readonly system: number } | undefined => {
  try {
    const fields = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /, "").split(" ")
    return { user: Number(fields[13]) * 10, system: Number(fields[14]) * 10 }
  } catch {
    return undefined
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => code === 0 ? resolve() : reject(new Error(`kubectl ended with ${code}`)))
  })

/** Follows the memory of a process, from the moment that data moves. */
const watchMemory = (child: ChildProcess) => {
  let before: number | undefined
  let peak = 0
  const timer = setInterval(() => {
    if (child.pid !== undefined) peak = Math.max(peak, Usage.statusBytes(child.pid, "VmHWM") ?? 0)
  }, samplingMillis)
  return {
    begin: () => {
      if (before === undefined && child.pid !== undefined) before = Usage.statusBytes(child.pid, "VmRSS")
    },
    end: () => {
      clearInterval(timer)
      return peak === 0 ? {} : { rssBefore: before ?? peak, rssPeak: peak }
    }
  }
}

const stdout = async (): Promise<Partial<Report>> => {
  const receiver = Usage.receiver(work.check)
  const words = exec([Command.Out, String(work.bytes), String(work.messageBytes)], false)
  if (work.variant === "shell") {
    const command = [binary, ...words].map((word) => `'${word}'`).join(" ")
    await ended(spawn("sh", ["-c", `${command} | cat >/dev/null`], { stdio: ["ignore", "ignore", "inherit"] }))
    return { bytes: work.bytes }
  }
  const stdio: StdioOptions = ["ignore", work.variant === "null" ? "ignore" : "pipe", "inherit"]
  const child = spawn(binary, words, { stdio })
  const memory = watchMemory(child)
  child.stdout?.on("data", (chunk: Uint8Array) => {
    memory.begin()
    receiver.take(chunk)
  })
  await ended(child)
  return { ...memory.end(), bytes: work.variant === "null" ? work.bytes : receiver.bytes() }
}

const stdin = async (): Promise<Partial<Report>> => {
  const words = exec([Command.In, String(work.rate), work.check ? "hash" : ""], true)
  let answer = ""
  const fromFile = work.variant === "file"
  const path = join(temporary, "input")
  if (fromFile) {
    for (const piece of Pattern.pieces(work.bytes, Pattern.blockBytes)) writeFileSync(path, piece, { flag: "a" })
  }
  const file = fromFile ? openSync(path, "r") : undefined
  const child = spawn(binary, words, { stdio: [file ?? "pipe", "pipe", "inherit"] })
  const memory = watchMemory(child)
  child.stdout?.on("data", (chunk: Uint8Array) => {
    answer += Buffer.from(chunk).toString()
  })
  const done = ended(child)
  const { stdin } = child
  if (file !== undefined) closeSync(file)
  if (stdin !== null) {
    stdin.on("error", () => {})
    for (const piece of Pattern.pieces(work.bytes, pieceBytes)) {
      if (!stdin.write(piece)) await new Promise((resolve) => stdin.once("drain", resolve))
      memory.begin()
    }
    stdin.end()
  }
  await done
  return { ...memory.end(), bytes: Number(answer) }
}

const stalled = async (): Promise<Partial<Report>> => {
  const child = spawn(binary, exec([Command.Out, String(work.bytes), String(work.messageBytes)], false), {
    stdio: ["ignore", "pipe", "ignore"]
  })
  const memory = watchMemory(child)
  const done = ended(child).catch(() => {})
  await new Promise((resolve) => child.stdout.once("readable", resolve))
  child.stdout.read()
  memory.begin()
  await new Promise((resolve) => setTimeout(resolve, work.stallMillis))
  const used = memory.end()
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
    const child = spawn(binary, exec([Command.Echo], true), { stdio: ["pipe", "pipe", "inherit"] })
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
    case "stalled":
      return stalled()
    case "roundTrips":
      return roundTrips()
    case "lists":
      return processes([...base, "--namespace", work.namespace, "get", "pods", "-o", "json"])
    case "cold":
    case "noops":
      return processes(exec([Command.Noop], false))
  }
}

const { clientVersion } = JSON.parse(
  execFileSync(binary, ["version", "--client", "-o", "json"], { encoding: "utf8" })
) as {
  readonly clientVersion: { readonly gitVersion: string }
}
const before = childrenMillis()
const result = await perform()
const endedAt = performance.timeOrigin + performance.now()
const after = childrenMillis()
const report: Report = {
  bytes: 0,
  ...result,
  endedAt,
  ...(before === undefined || after === undefined ? {} : {
    cpuUserMillis: after.user - before.user,
    cpuSystemMillis: after.system - before.system
  }),
  version: clientVersion.gitVersion
}
rmSync(temporary, { recursive: true, force: true })
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
