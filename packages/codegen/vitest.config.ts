import { defineProject } from "vitest/config"

// Nothing in these tests outlives them, and a process for each file costs more than most of them.
export default defineProject({
  test: { isolate: false, name: "codegen", include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 30_000 }
})
