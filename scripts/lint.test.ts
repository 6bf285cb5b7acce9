import { assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const oxlint = join(root, "node_modules/.bin/oxlint")

/** Lines that a file of this place must not have. */
const forbidden: Readonly<Record<string, ReadonlyArray<string>>> = {
  "core/src/internal/x.ts": [
    `import * as Exec from "../../../channels/src/Exec.ts"`,
    `import * as Exec from "../../../../packages/channels/src/Exec.ts"`,
    `import * as Fixtures from "../../test/apiFixtures.ts"`,
    `import * as Pkg from "../../package.json"`,
    `import * as Exec from "@effect-k8s/channels/Exec"`,
    `import * as Api from "@effect-k8s/core/Api"`,
    `import * as Node from "@effect-k8s/node/NodeKube"`,
    `import * as Fs from "fs"`,
    `import * as Fs from "fs/promises"`,
    `import * as Fs from "node:fs"`,
    `import type * as Fs from "node:fs"`,
    `import Ws from "ws"`,
    `import "undici"`,
    `import * as NodePath from "@effect/platform-node/NodePath"`,
    `import * as NodePath from "@effect/platform-node-shared/NodePath"`,
    `import { Effect } from "effect"`,
    `import * as Effect from "effect/index"`,
    `import * as Effect from "effect/dist/Effect"`,
    `import * as Effect from "effect/internal/effect"`,
    `import { HttpClient } from "effect/http"`,
    `export * from "ws"`,
    `export { Exec } from "../../../channels/src/Exec.ts"`,
    `export const fs = () => import("node:fs")`,
    `export type Ws = import("ws").WebSocket`,
    `import { runPromise } from "effect/Effect"`,
    `import { runSync as now } from "effect/Effect"`,
    `export { runFork } from "effect/Effect"`,
    `import * as Effect from "effect/Effect"; Effect.runPromise(Effect.void)`,
    `import * as Effect from "effect/Effect"; Effect.runSyncExitWith`,
    `import * as Effect from "effect/Effect"; Effect["runCallback"]`,
    `import * as Eff from "effect/Effect"; Eff.runFork(Eff.void)`,
    `import * as Effect from "effect/Effect"; export const { runSync } = Effect`,
    `export const home = process.env`,
    `export const home = globalThis.process`,
    `export const home = globalThis["process"]`,
    `export const { process } = globalThis`,
    `export const home = global.process`,
    `export const bytes = Buffer.alloc(1)`,
    `export const bytes = globalThis.Buffer`,
    `export const fs = require("fs")`
  ],
  "channels/src/session/x.ts": [
    `import * as Api from "../../../core/src/Api.ts"`,
    `import * as Server from "../../test/support/execServer.ts"`,
    `import * as Exec from "@effect-k8s/channels/Exec"`,
    `import * as TestCluster from "@effect-k8s/testing/TestCluster"`,
    `import * as Deno from "@effect-k8s/deno/DenoKube"`,
    `import * as Api from "@effect-k8s/core/src/Api"`,
    `import * as Net from "net"`,
    `import * as Net from "node:net"`,
    `import Ws from "ws"`,
    `import { runPromise } from "effect/Effect"`,
    `import { Stream } from "effect"`,
    `export const home = globalThis.process`
  ],
  "channels/src/protocol/x.ts": [
    `import * as Effect from "effect/Effect"`,
    `import * as Exec from "../Exec.ts"`,
    `import * as Status from "@effect-k8s/core/Status"`,
    `import * as Zlib from "node:zlib"`
  ],
  "node/src/internal/x.ts": [
    `import * as Faults from "../../../testing/src/Faults.ts"`,
    `import * as Faults from "@effect-k8s/testing/Faults"`,
    `import * as Deno from "@effect-k8s/deno/DenoKube"`,
    `import * as NodeKube from "@effect-k8s/node/NodeKube"`,
    `import * as Platform from "@effect/platform-node"`,
    `import * as Platform from "@effect/platform-node/index"`,
    `import * as Platform from "@effect/platform-node/dist/index"`,
    `import * as Shared from "@effect/platform-node-shared"`,
    `import * as Net from "net"`,
    `import Ws from "ws"`,
    `import { Effect } from "effect"`,
    `import { runPromise } from "effect/Effect"`
  ],
  "deno/src/internal/x.ts": [
    `import * as Tcp from "../../../node/src/internal/tcp.ts"`,
    `import * as NodeKube from "@effect-k8s/node/NodeKube"`,
    `import * as Faults from "@effect-k8s/testing/Faults"`,
    `import * as NodePath from "@effect/platform-node/NodePath"`,
    `import * as Shared from "@effect/platform-node-shared"`,
    `import * as Fs from "node:fs"`,
    `import * as Fs from "fs"`,
    `import { Effect } from "effect"`,
    `import { runSync } from "effect/Effect"`,
    `export const home = process.env`,
    `export const home = globalThis.process`
  ],
  "testing/src/store/x.ts": [
    `import * as NodeKube from "@effect-k8s/node/NodeKube"`,
    `import * as NodeKube from "../../../node/src/NodeKube.ts"`,
    `import * as NodePath from "@effect/platform-node/NodePath"`,
    `import * as Fs from "fs"`,
    `import Ws from "ws"`,
    `import { Effect } from "effect"`
  ],
  "codegen/src/emit/x.ts": [
    `import * as Exec from "@effect-k8s/channels/Exec"`,
    `import * as Faults from "@effect-k8s/testing/Faults"`,
    `import * as Api from "../../../core/src/Api.ts"`,
    `import { Effect } from "effect"`
  ]
}

/** Lines that it may have. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  "core/src/internal/y.ts": [
    `import * as Effect from "effect/Effect"; export const fork = Effect.runForkWith`,
    `import { runForkWith } from "effect/Effect"; export const fork = runForkWith`,
    `import type * as HttpClient from "effect/http/HttpClient"; export type Client = HttpClient.HttpClient`,
    `export * from "../Api.ts"`,
    `export * from "../apis/core/v1.ts"`,
    `export * from "./retry.ts"`
  ],
  "channels/src/session/y.ts": [
    `export * from "@effect-k8s/core/apis/core/v1"`,
    `export * from "../protocol/ExitStatus.ts"`
  ],
  "channels/src/protocol/y.ts": [`export * from "./ExitStatus.ts"`],
  "node/src/internal/y.ts": [
    `export * from "@effect-k8s/channels/Exec"`,
    `export * from "@effect/platform-node/NodePath"`,
    `export * from "node:net"`,
    `export const home = process.env`
  ],
  "deno/src/internal/y.ts": [
    `export * from "@effect-k8s/core/Transport"`,
    `export * from "@effect/platform-node-shared/NodePath"`,
    `export * from "node:tls"`
  ],
  "testing/src/store/y.ts": [`export * from "node:fs"`, `export * from "pkijs"`],
  "codegen/src/emit/y.ts": [`export * from "@effect-k8s/node/NodeKube"`, `export * from "typescript"`],
  "core/test/y.ts": [
    `export * from "node:fs"`,
    `import { runPromise } from "effect/Effect"; export const run = runPromise`
  ]
}

const rules = /no-restricted-(?:globals|properties)|effect-k8s/

/** The files of the tables, one for each line, and what of each is reported. */
const lint = (folder: string, tables: ReadonlyArray<typeof forbidden>): ReadonlyMap<string, ReadonlyArray<string>> => {
  cpSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"))
  cpSync(join(root, "scripts/lint"), join(folder, "scripts/lint"), { recursive: true })
  const found = new Map<string, Array<string>>()
  for (const [place, lines] of tables.flatMap((table) => Object.entries(table))) {
    lines.forEach((line, index) => {
      const file = `packages/${place.replace(/\.ts$/, `${index}.ts`)}`
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), `${line}\n`)
      found.set(file, [])
    })
  }
  const { stdout } = spawnSync(oxlint, ["-f", "json", "packages"], { cwd: folder, encoding: "utf8" })
  const { diagnostics } = JSON.parse(stdout) as {
    readonly diagnostics: ReadonlyArray<{ readonly filename: string; readonly code: string; readonly message: string }>
  }
  for (const { code, filename, message } of diagnostics) {
    if (rules.test(code)) found.get(filename)?.push(`${code}: ${message}`)
  }
  return found
}

describe("lint", () => {
  let found: ReadonlyMap<string, ReadonlyArray<string>> = new Map()
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), "effect-k8s-lint-"))
    try {
      found = lint(folder, [forbidden, allowed])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  for (const [table, expected] of [[forbidden, "forbids"], [allowed, "allows"]] as const) {
    for (const [place, lines] of Object.entries(table)) {
      lines.forEach((line, index) => {
        it(`${expected} in ${dirname(place)}: ${line}`, () => {
          const reports = found.get(`packages/${place.replace(/\.ts$/, `${index}.ts`)}`)
          assert(reports !== undefined)
          if (expected === "forbids") assert.isNotEmpty(reports)
          else assert.deepStrictEqual(reports, [])
        })
      })
    }
  }
})

it("pnpm fix formats what lint cannot mend, and finds what pnpm lint finds", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const folder = mkdtempSync(join(tmpdir(), "effect-k8s-fix-"))
  try {
    cpSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"))
    cpSync(join(root, "scripts/lint"), join(folder, "scripts/lint"), { recursive: true })
    const format = readFileSync(join(root, "dprint.json"), "utf8")
    writeFileSync(join(folder, "dprint.json"), format.replaceAll("\"./node_modules", `"${root}node_modules`))
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ include: ["*.ts"] }))
    // Mended by nobody, and seen only by those who know types.
    writeFileSync(join(folder, "x.ts"), "Promise.resolve( 1 );\n")
    const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}` }
    const { status, stdout } = spawnSync("sh", ["-c", scripts["fix"] ?? ""], {
      cwd: folder,
      env,
      encoding: "utf8",
      timeout: 50_000
    })
    assert.strictEqual(status, 1)
    assert.include(stdout, "no-floating-promises")
    assert.strictEqual(readFileSync(join(folder, "x.ts"), "utf8"), "Promise.resolve(1)\n")
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
