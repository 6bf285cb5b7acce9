import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { AsyncLocalStorage } from "node:async_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { stopLeak } from "../src/internal/asyncContext.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapUsed = Effect.sync(() => {
  collect()
  return process.memoryUsage().heapUsed
})

it.live("a fiber keeps nothing of its suspensions", () =>
  Effect.gen(function*() {
    stopLeak()
    const suspensions = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })
    yield* suspensions(1000)
    const before = yield* heapUsed
    yield* suspensions(20_000)
    // Each kept about 430 bytes.
    assert.isBelow((yield* heapUsed) - before, 20_000 * 50)
  }))

it("what is suspended otherwise keeps the stores of AsyncLocalStorage", async () => {
  stopLeak()
  const storage = new AsyncLocalStorage<string>()
  const seen = await storage.run("store", async () => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    return storage.getStore()
  })
  assert.strictEqual(seen, "store")
})
