/**
 * `pnpm bench:types [--rounds N]`: what types and code generation cost, beside `@kubernetes/client-node` and
 * `kubernetes-types`. Everything is measured in its published form, in fresh processes, the best of some rounds.
 */
import { build } from "esbuild"
import { execFileSync, spawnSync } from "node:child_process"
import { globSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import { publish } from "./driver/stage.ts"

const { values } = parseArgs({ options: { rounds: { type: "string", default: "3" } } })
const rounds = Number(values.rounds)

const root = join(import.meta.dirname, "../..")
const folder = join(root, "benchmarks/dist/types")
const compilers = {
  "TypeScript 7": join(root, "node_modules/typescript/bin/tsc"),
  "TypeScript 5.9": join(root, "packages/codegen/node_modules/typescript/bin/tsc")
}

const row = (what: string, value: string, target?: { readonly text: string; readonly reached: boolean }): void => {
  const end = target === undefined ? "" : `  ${target.reached ? "reached" : "MISSED"}: ${target.text}`
  process.stdout.write(`${what.padEnd(52)}${value.padStart(26)}${end}\n`)
}

interface Time {
  readonly wall: number
  readonly cpu: number
}

/** The best of some rounds. Processor time is less moved by what else the machine does. */
const measure = (...args: ReadonlyArray<string>): Time => {
  const best = { wall: Infinity, cpu: Infinity }
  for (let i = 0; i < rounds; i++) {
    const script = "TIMEFORMAT='%R %U %S'; time \"$@\" >/dev/null 2>&1"
    const { status, stderr } = spawnSync("bash", ["-c", script, "bash", process.execPath, ...args], {
      cwd: root,
      encoding: "utf8"
    })
    // What fails is quick.
    if (status !== 0) throw new Error(`it ended with ${status}: node ${args.join(" ")}`)
    const [wall = NaN, user = NaN, system = NaN] = stderr.trim().split(" ").map(Number)
    best.wall = Math.min(best.wall, wall)
    best.cpu = Math.min(best.cpu, user + system)
  }
  return best
}

const text = ({ cpu, wall }: Time): string => `${wall.toFixed(2)} s, CPU ${cpu.toFixed(2)} s`

const node = (...args: ReadonlyArray<string>): void => {
  execFileSync(process.execPath, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
}

/** The packages as users have them: compiled, with declarations. */
const stage = (): void => {
  node(compilers["TypeScript 7"], "-b", "packages/core/tsconfig.src.json", "packages/node/tsconfig.src.json")
  rmSync(folder, { recursive: true, force: true })
  const modules = join(folder, "node_modules")
  for (const name of ["core", "channels", "node"]) publish(name, modules, /\.map$/)
  const require = createRequire(import.meta.url)
  const link = (name: string, from = require): void => {
    const file = from.resolve(`${name}/package.json`)
    mkdirSync(join(modules, name, ".."), { recursive: true })
    symlinkSync(join(file, ".."), join(modules, name))
  }
  link("effect")
  link("@effect/platform-node")
  link("kubernetes-types")
  link("@types/node", createRequire(join(root, "package.json")))
  // It hides its package.json.
  symlinkSync(join(root, "benchmarks/node_modules/@kubernetes"), join(modules, "@kubernetes"))
  writeFileSync(join(folder, "package.json"), `{"type":"module","sideEffects":false}`)
}

const programs = {
  "empty": "export {}\n",
  "effect alone": `import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
export const program = Effect.gen(function*() { return Stream.make(yield* Effect.succeed(1)) })
`,
  "Pod and Deployment": `import * as Api from "@effect-k8s/core/Api"
import { Deployment } from "@effect-k8s/core/apis/apps/v1"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
export const program = Effect.gen(function*() {
  const pod = yield* Api.make(Pod, { namespace: "web" }).get("web-0")
  const deployments = Api.make(Deployment, { namespace: "web" })
  yield* deployments.apply({
    metadata: { name: "web" },
    spec: { template: { spec: { containers: [{ name: "app", image: "app:2" }] } } }
  }, { fieldManager: "me" })
  return [pod.spec.nodeName, Stream.make((yield* deployments.get("web")).spec.replicas)]
})
`,
  "the same with client-node": `import { AppsV1Api, CoreV1Api, KubeConfig } from "@kubernetes/client-node"
const config = new KubeConfig()
export const program = async () => {
  const pod = await config.makeApiClient(CoreV1Api).readNamespacedPod({ namespace: "web", name: "web-0" })
  const deployment = await config.makeApiClient(AppsV1Api).readNamespacedDeployment({ namespace: "web", name: "web" })
  return [pod.spec?.nodeName, deployment.spec?.replicas]
}
`,
  "types of kubernetes-types": `import type { Deployment } from "kubernetes-types/apps/v1.js"
import type { Pod } from "kubernetes-types/core/v1.js"
export const program = (pod: Pod, deployment: Deployment) => [pod.spec?.nodeName, deployment.spec?.replicas]
`
} as const

const compilerOptions = {
  target: "es2023",
  lib: ["es2024", "dom", "dom.iterable"],
  module: "nodenext",
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  noEmit: true,
  types: []
}

const checks = (): void => {
  for (const [version, compiler] of Object.entries(compilers)) {
    let alone: Time = { wall: 0, cpu: 0 }
    for (const [name, contents] of Object.entries(programs)) {
      const project = join(folder, name.replaceAll(" ", "-"))
      mkdirSync(project, { recursive: true })
      writeFileSync(join(project, "main.ts"), contents)
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["main.ts"] }))
      // It says what is wrong, if something is.
      execFileSync(process.execPath, [compiler, "-p", project], { stdio: "inherit" })
      const time = measure(compiler, "-p", project)
      if (name === "effect alone") alone = time
      const more = Math.min(time.wall - alone.wall, time.cpu - alone.cpu)
      row(
        `check with ${version}: ${name}`,
        text(time),
        name === "Pod and Deployment" && version === "TypeScript 7"
          ? { text: `at most 0.05 s more than effect alone: ${more.toFixed(2)} s`, reached: more <= 0.05 }
          : undefined
      )
    }
  }
}

const bundle = async (name: string, text: string, external: ReadonlyArray<string> = []) => {
  const { metafile, outputFiles } = await build({
    stdin: { contents: text, resolveDir: folder, loader: "ts" },
    bundle: true,
    minify: true,
    splitting: true,
    outdir: folder,
    format: "esm",
    platform: "node",
    external: [...external],
    logLevel: "error",
    metafile: true,
    write: false
  })
  // What is imported when it is needed is no part of the program.
  const needed = new Set<string>()
  const queue = Object.keys(metafile.outputs).filter((path) => path.endsWith("stdin.js"))
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (needed.has(path)) continue
    needed.add(path)
    const imports = metafile.outputs[path]?.imports ?? []
    queue.push(
      ...imports.flatMap(({ external, kind, path }) => external !== true && kind === "import-statement" ? [path] : [])
    )
  }
  const files = outputFiles.filter(({ path }) => [...needed].some((one) => path.endsWith(one)))
  const contents = Buffer.concat(files.map(({ contents }) => contents))
  return { name, bytes: contents.length, gzip: gzipSync(contents).length }
}

const bundles = async (): Promise<void> => {
  const program = (layer: string) =>
    `import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Effect from "effect/Effect"
${layer}
Effect.runPromise(Effect.provide(Effect.map(Api.make(Pod).list(), ({ items }) => console.log(items.length)), layer))`
  const size = ({ bytes, gzip }: { readonly bytes: number; readonly gzip: number }): string =>
    `${(bytes / 1024).toFixed(1)} KiB, gzip ${(gzip / 1024).toFixed(1)} KiB`
  const withoutPlatform = await bundle(
    "core",
    program(`import * as KubeClient from "@effect-k8s/core/KubeClient"
import { platform } from "platform"
import * as Layer from "effect/Layer"
const layer = Layer.provide(KubeClient.layerEndpoint({ url: new URL("https://k8s.example") }), platform)`),
    ["platform"]
  )
  row("bundle of list-pods, without the platform", size(withoutPlatform), {
    text: "at most 60 KiB, gzip",
    reached: withoutPlatform.gzip <= 60 * 1024
  })
  const whole = await bundle(
    "node",
    program(`import * as NodeKube from "@effect-k8s/node/NodeKube"\nconst layer = NodeKube.layer`)
  )
  row("the same on Node, with kubeconfig", size(whole))
  const clientNode = await bundle(
    "client-node",
    `import { CoreV1Api, KubeConfig } from "@kubernetes/client-node"
const config = new KubeConfig(); config.loadFromDefault()
config.makeApiClient(CoreV1Api).listPodForAllNamespaces().then(({ items }) => console.log(items.length))`
  )
  row("the same with client-node", size(clientNode))
  const descriptor = await bundle("descriptor", `export { Pod } from "@effect-k8s/core/apis/core/v1"`)
  row("one descriptor, the richest", `${descriptor.bytes} bytes, gzip ${descriptor.gzip}`, {
    text: "at most 300 bytes",
    reached: descriptor.bytes <= 300
  })
}

const sizes = (): void => {
  const declarations = globSync("**/*.d.ts", { cwd: join(folder, "node_modules/@effect-k8s/core/dist") })
    .reduce((sum, file) => sum + statSync(join(folder, "node_modules/@effect-k8s/core/dist", file)).size, 0)
  row("declarations of core", `${(declarations / 2 ** 20).toFixed(2)} MiB`, {
    text: "at most 5 MiB",
    reached: declarations <= 5 * 2 ** 20
  })
}

const generation = (): void => {
  const cli = "packages/codegen/src/main.ts"
  const documents = join(root, "../shared/openapi")
  const run = (source: string, name: string): Time =>
    measure(cli, "generate", join(documents, source), "--out", join(folder, name))
  const builtIns = run("k8s-1.36/v3", "out-built-ins")
  row("generate all built-in kinds, with words", text(builtIns), {
    text: "at most 2 s of an idle machine",
    reached: Math.min(builtIns.wall, builtIns.cpu) <= 2
  })
  row("generate 27 custom resources", text(run("crds", "out-crds")))
  const bytes = globSync("**/*.ts", { cwd: join(folder, "out-crds") })
    .reduce((sum, file) => sum + statSync(join(folder, "out-crds", file)).size, 0)
  row("their modules", `${(bytes / 1e6).toFixed(2)} MB`, { text: "at most 1.3 MB", reached: bytes <= 1.3e6 })
}

const load = (): string => loadavg().map((one) => one.toFixed(1)).join(" ")
stage()
row("load of the machine before", load())
generation()
sizes()
await bundles()
checks()
row("load of the machine after", load())
