import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    projects: ["packages/*", { test: { name: "examples", include: ["{scripts,examples}/*.test.ts"] } }],
    testTimeout: 30_000
  }
})
