/**
 * `pnpm test`: types, lint, format, type tests, unit, property, contract and conformance tests. The last line counts all
 * of them: `N passed, N failed, N skipped`.
 */
import { inDeno } from "./conformance/Runtime.ts"
import * as Steps from "./steps.ts"

await Steps.runAll([
  Steps.single("types", "tsc", "-b"),
  Steps.single("lint", "oxlint", "--type-aware"),
  Steps.single("format", "dprint", "check"),
  Steps.single("type tests", "tstyche"),
  // The table mostly waits.
  Steps.together(
    Steps.vitest("unit, property, contract", "vitest"),
    Steps.conformance("conformance, one half", "node", "scripts/conformance.ts", "--shard", "1/2"),
    Steps.conformance("conformance, the other half", "node", "scripts/conformance.ts", "--shard", "2/2")
  ),
  Steps.vitest("contract on Deno", ...inDeno("node_modules/vitest/vitest.mjs"), "--project=deno")
])
