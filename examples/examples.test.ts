import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const run = (file: string, args: ReadonlyArray<string>): string => execFileSync(file, args, { encoding: "utf8" })

it("exec-pipeline runs the main job on a cluster of its own", () => {
  const output = run(process.execPath, [path("exec-pipeline.ts")])
  const stage = (name: string, command: string, end: string): RegExp =>
    new RegExp(`^  [+x] ${name} +${command}.* MB/s *${end}$`, "m")
  assert.match(output, /^ {2}shop-1 +Running/m)
  assert.match(output, stage("shop-0", "cat orders", "exit 0, spdy v4, verified"))
  assert.match(output, stage("local", "gzip -c", "exit 0"))
  assert.match(output, stage("through", "count", ""))
  assert.match(output, stage("vault-0", "sh -c 'gunzip", "exit 0, spdy v4, verified"))
  assert.match(output, /^ {2}StageFailed stage 2: ExitedNonZero\n {2}stderr: vault is sealed$/m)
  assert.match(output, /^ {2}running +\d+ sockets, [1-9]\d* processes in the pod$/m)
  const [before, interrupted] = ["before", "interrupted"].map((when) =>
    new RegExp(`^  ${when} +(.*)$`, "m").exec(output)?.[1]
  )
  assert.strictEqual(interrupted, before)
  assert.match(output, /^ {2}x bare +exit 0, not verified: .* of 32\.0 MiB stored$/m)
  assert.match(output, /^ {2}\+ supervised exit 0, verified: 32\.0 MiB of 32\.0 MiB stored$/m)
  assert.match(output, /^ {2}ContainerNotFound .*no-such-container/m)
  assert.match(output, /^ {2}the server: 400 container no-such-container is not valid for pod vault-0$/m)
}, 120_000)

it("crd reads and writes custom resources by the types of their definition", () => {
  assert.deepStrictEqual(
    run(process.execPath, [path("crd.ts")]).replaceAll(/127\.0\.0\.1:\d+/g, "SERVER").split("\n"),
    [
      "backups.example.com is established",
      "shop: near, far",
      "status: Done, 1 replica",
      "checked: true, and with another database: false",
      "replicas: 3, labels: {}",
      "Conflict: Could not patch backups \"shop\" in namespace \"default\" at https://SERVER: Apply failed with 1 conflict: " +
      "conflict with \"user\": .spec.database; leave these fields out, or take them with force",
      "NotFound: Could not get backups \"nothing\" in namespace \"default\" at https://SERVER: backups.example.com " +
      "\"nothing\" not found; check the name, the namespace and the context",
      ""
    ]
  )
})

it("the types of crd are those that its definition gives", () => {
  const codegen = path("../packages/codegen/src/main.ts")
  const output = run(process.execPath, [codegen, "generate", "--config", path("crd/effect-k8s.yaml"), "--check"])
  assert.strictEqual(output, "apis is up to date: 1 kind in 3 files\n")
})

it("the program of the README has at most 12 lines, and type-checks", () => {
  const program = /```ts\n([^]*?)```/.exec(readFileSync(path("../README.md"), "utf8"))?.[1]
  assert.isDefined(program)
  assert.isAtMost(program.trimEnd().split("\n").length, 12)
  mkdirSync(path(".readme"), { recursive: true })
  writeFileSync(path(".readme/program.ts"), program)
  writeFileSync(
    path(".readme/tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.json", include: ["program.ts"] })
  )
  run("tsc", ["-p", path(".readme")])
})
