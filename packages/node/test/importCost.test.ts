import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("support/loadedModules.ts", import.meta.url))

/** The modules that a process of its own loads for these imports. */
const load = (...specifiers: ReadonlyArray<string>): ReadonlyArray<string> =>
  JSON.parse(execFileSync(process.execPath, [program, ...specifiers], { encoding: "utf8" }))

/** From where a module comes: `effect`, `@effect/platform-node`, `node:`, or a package of ours. */
const origin = (url: string): string =>
  /^node:/.exec(url)?.[0] ??
    /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ??
    /\/packages\/[^/]+\//.exec(url)?.[0] ??
    url

// The same as benchmarks/src/programs/listPodsEffect.ts and listPods.ts, whose imports may differ by 1.3 in time.
const effect = load("@effect/platform-node/NodeHttpClient", "effect/Effect", "effect/http/HttpClient")
const listPods = load(
  "@effect-k8s/core/Api",
  "@effect-k8s/core/apis/core/v1",
  "@effect-k8s/node/NodeKube",
  "effect/Effect"
)
const pipeline = load(
  "@effect-k8s/channels/Exec",
  "@effect-k8s/channels/Target",
  "@effect-k8s/node/NodeKube",
  "effect/Effect",
  "effect/process/ChildProcess"
)

describe("what a program imports", () => {
  for (const [name, modules] of [["that lists pods", listPods], ["of a pipeline", pipeline]] as const) {
    it(`a program ${name} loads no barrel`, () => {
      assert.deepStrictEqual(modules.filter((url) => /\/index\.[cm]?[jt]s$/.test(url)), [])
    })

    it(`a program ${name} loads undici when it connects, not before`, () => {
      assert.deepStrictEqual(modules.filter((url) => origin(url) === "undici" || /\/Undici\.[jt]s$/.test(url)), [])
    })
  }

  it("a program that lists pods loads few modules beyond Effect's own HTTP client", () => {
    const known = new Set(effect)
    const more = listPods.filter((url) => !known.has(url))
    const byOrigin = (name: string): ReadonlyArray<string> => more.filter((url) => origin(url) === name)
    // A barrel, or one careless import of a large module, is many times these.
    const limits: ReadonlyArray<readonly [name: string, atMost: number]> = [
      ["/packages/core/", 26],
      ["/packages/channels/", 1],
      ["/packages/node/", 14],
      ["effect", 15],
      ["@effect/platform-node", 5],
      ["@effect/platform-node-shared", 8],
      ["node:", 12]
    ]
    for (const [name, atMost] of limits) {
      const found = byOrigin(name)
      assert.isAtMost(found.length, atMost, `beyond NodeHttpClient, of ${name}:\n${found.join("\n")}\n`)
    }
    const names = new Set(limits.map(([name]) => name))
    assert.deepStrictEqual(more.filter((url) => !names.has(origin(url))), [])
  })

  it("counts what it should: a barrel is seen", () => {
    assert.isTrue(load("effect").some((url) => /\/effect\/(?:src|dist)\/index\.[jt]s$/.test(url)))
  })
})
