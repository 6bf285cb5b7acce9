/**
 * `pnpm test`: types, lint, format, type tests, unit, property, contract and conformance tests, on Node and on Deno. The
 * last line counts all of them: `N passed, N failed, N skipped`.
 */
import { inDeno } from "./conformance/Runtime.ts"
import * as Steps from "./steps.ts"

await Steps.runAll([
  Steps.single("types", "tsc", "-b"),
  // The table mostly waits, so there is always something beside it that does not. On Deno it is every other row, on one of
  // the two paths, beside the tests of core and the whole contract of transports; `test:matrix` takes all of them, and the
  // tests of channels.
  Steps.together(
    "tests, tables and lint",
    6,
    ...Steps.vitest("unit, property, contract", 2, "vitest"),
    ...Steps.conformance("Node", 3, "node", "scripts/conformance.ts"),
    ...Steps.conformance("Deno", 1, "node", "scripts/conformance.ts", "--runtime", "deno", "--once", "--shard", "1/2"),
    ...Steps.vitest(
      "unit, contract on Deno",
      1,
      ...inDeno("node_modules/vitest/vitest.mjs"),
      "--project=core",
      "--project=deno"
    ),
    Steps.single("lint", "oxlint", "--type-aware"),
    Steps.single("format", "dprint", "check"),
    // TSTyche runs TypeScript 5.9 and 6.0. Version 7 has no interface for it, so there the compiler itself reads the tests:
    // what must not compile is marked as an error.
    Steps.single("type tests", "tstyche"),
    Steps.single("type tests of core, TypeScript 7", "tsc", "-p", "packages/core/typetest"),
    Steps.single("type tests of channels, TypeScript 7", "tsc", "-p", "packages/channels/typetest")
  )
])
