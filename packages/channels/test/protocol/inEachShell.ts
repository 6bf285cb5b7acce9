/**
 * Tests that run in all shells of this machine.
 */
import { it } from "@effect/vitest"
import { type Shell, shells } from "./supervised.ts"

const present = shells.filter(({ argv }) => argv !== undefined)

/** All shells in one test, and the tests side by side, because they have to wait. */
export const inEachShell = (name: string, body: (shell: Shell) => Promise<void>): void => {
  it.concurrent(name, async () => {
    const results = await Promise.allSettled(present.map(body))
    for (const [i, result] of results.entries()) {
      if (result.status === "rejected") throw new Error(`in ${present[i]?.name}`, { cause: result.reason })
    }
  })
}
