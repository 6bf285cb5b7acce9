/**
 * `pnpm test`: types, lint, format, type tests, unit, property, contract and conformance tests. The last line counts all
 * of them: `N passed, N failed, N skipped`.
 */
import * as Steps from "./steps.ts"

await Steps.runAll([
  Steps.single("types", "tsc", "-b"),
  Steps.single("lint", "oxlint", "--type-aware"),
  Steps.single("format", "dprint", "check"),
  Steps.single("type tests", "tstyche"),
  Steps.vitest("unit, property, contract", "vitest"),
  Steps.conformance("conformance", "node", "scripts/conformance.ts")
])
