import { defineProject } from "vitest/config"

// What says `deno` in its name runs on Deno only.
const exclude = "Deno" in globalThis ? [] : ["test/**/*.deno.test.ts"]

export default defineProject({
  test: {
    name: "deno",
    include: ["test/**/*.test.ts"],
    exclude,
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 30_000
  }
})
