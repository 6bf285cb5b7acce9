import { defineConfig } from "vitest/config"

// Timeouts are of each project: what is said here is not theirs.
export default defineConfig({
  test: {
    projects: [
      "packages/*",
      { test: { name: "examples", include: ["{scripts,examples}/*.test.ts"], testTimeout: 120_000 } }
    ]
  }
})
