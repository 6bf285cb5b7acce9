/**
 * What the conformance table must know of a runtime. One file each; everything else is the same.
 */
import type * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import type * as Runner from "@effect-k8s/testing/conformance/Runner"
import type * as Layer from "effect/Layer"

/** A command and its arguments. */
export type Argv = readonly [command: string, ...args: ReadonlyArray<string>]

/** A runtime, seen from within. */
export interface Runtime {
  /** With its version. */
  readonly name: string
  readonly services: Layer.Layer<Runner.Services>
  readonly probe: LeakCheck.Probe
  /** Whether a server of Node's TLS is sound on it: the test cluster runs in the same process, as scripted rows need. */
  readonly testClusterTls: boolean
  /** How to run a script on it. */
  readonly runs: (script: string) => Argv
}

/** How to run a script on Deno, with the dependencies that pnpm has installed. */
export const inDeno = (script: string, deno = "deno", ...flags: ReadonlyArray<string>): Argv => [
  deno,
  "run",
  ...flags,
  "--allow-all",
  "--no-prompt",
  "--node-modules-dir=manual",
  script
]
