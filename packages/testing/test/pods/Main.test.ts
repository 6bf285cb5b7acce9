import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { eventually } from "../support/Eventually.ts"

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

const launch = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] })
      const state = { child, out: "", err: "", code: undefined as number | null | undefined }
      child.stdout.on("data", (chunk: Buffer) => (state.out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (state.err += chunk.toString()))
      child.on("close", (code) => (state.code = code))
      return state
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

// The processes whose home is below a directory.
const processesIn = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && Fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(`HOME=${directory}`)
    } catch {
      return false
    }
  })

describe("pnpm testcluster", () => {
  it.live("starts a cluster, says how to reach it, and leaves nothing at a signal", () =>
    Effect.gen(function*() {
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        const state = yield* launch("--era", "1.36")
        yield* eventually(Effect.sync(() => state.out), (out) => assert.include(out, "Ctrl-C ends it"))
        assert.include(state.out, "imitates Kubernetes 1.36")
        assert.include(state.out, "It runs commands on this machine")
        const kubeconfig = /KUBECONFIG=(\S+)/.exec(state.out)?.[1] ?? ""
        assert.strictEqual(Fs.statSync(kubeconfig).mode & 0o777, 0o600)
        const home = yield* eventuallyHome(state.child.pid ?? 0)
        state.child.kill(signal)
        yield* eventually(Effect.sync(() => state.code), (code) => assert.notStrictEqual(code, undefined))
        assert.isFalse(Fs.existsSync(kubeconfig))
        assert.isFalse(Fs.existsSync(Path.dirname(Path.dirname(home))))
        assert.deepStrictEqual(processesIn(home), [])
      }
    }))

  it.live("refuses an era that it does not know", () =>
    Effect.gen(function*() {
      const state = yield* launch("--era", "1.5")
      yield* eventually(Effect.sync(() => state.code), (code) => assert.strictEqual(code, 1))
      assert.include(state.out + state.err, "--era must be one of 1.28, 1.34, 1.36, not 1.5")
    }))
})

// The home of a child of a process: the container's directory.
const eventuallyHome = (pid: number): Effect.Effect<string> =>
  Effect.gen(function*() {
    const find = Effect.sync(() => {
      const children = Fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
      const homes = children.flatMap((child) => {
        try {
          return /(?:^|\0)HOME=([^\0]*testcluster[^\0]*)/.exec(Fs.readFileSync(`/proc/${child}/environ`, "latin1"))
            ?.[1] ?? []
        } catch {
          return []
        }
      })
      return homes[0]
    })
    yield* eventually(find, (home) => assert.isDefined(home))
    return (yield* find) ?? ""
  })

describe("a process that ends without closing its cluster", () => {
  const script = `
    import * as Effect from "effect/Effect"
    import * as TestCluster from "@effect-k8s/testing/TestCluster"
    const program = Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false })
      const row = cluster.registry.catalogue.find("", "v1", "pods")
      yield* cluster.registry.create(row, "default", { metadata: { name: "p" }, spec: { containers: [{ name: "main", image: "x" }] } })
      console.log("ready")
      yield* Effect.never
    })
    Effect.runFork(Effect.scoped(program))
  `
  for (const how of ["SIGTERM", "exit"] as const) {
    it.live(`leaves nothing either (${how})`, () =>
      Effect.gen(function*() {
        const text = how === "exit"
          // It ends when it is told to: who looks at it may be slow to find what it has started.
          ? script.replace(
            "yield* Effect.never",
            "process.stdin.once('data', () => process.exit(5)); yield* Effect.never"
          )
          : script
        const state = yield* Effect.acquireRelease(
          Effect.sync(() => {
            const child = spawn(process.execPath, ["--input-type=module", "-e", text], {
              cwd: Path.dirname(main),
              stdio: ["pipe", "pipe", "inherit"]
            })
            const state = { child, out: "", end: undefined as number | string | null | undefined }
            child.stdout.on("data", (chunk: Buffer) => (state.out += chunk.toString()))
            child.on("close", (code, signal) => (state.end = code ?? signal))
            return state
          }),
          ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
        )
        // A program that starts may take a while; what it leaves has to be gone within the usual time.
        yield* eventually(Effect.sync(() => state.out), (out) => assert.include(out, "ready"), 6000)
        const home = yield* eventuallyHome(state.child.pid ?? 0)
        if (how === "exit") state.child.stdin.write("end\n")
        else state.child.kill(how)
        yield* eventually(Effect.sync(() => state.end), (end) => assert.isDefined(end))
        assert.strictEqual(state.end, how === "exit" ? 5 : how)
        assert.isFalse(Fs.existsSync(Path.dirname(Path.dirname(home))))
        yield* eventually(Effect.sync(() => processesIn(home)), (pids) => assert.deepStrictEqual(pids, []))
      }))
  }
})
