/**
 * The conformance table on Deno. The test cluster runs in the same process, as rows that script it need.
 */
import * as DenoKube from "@effect-k8s/deno/DenoKube"
import * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import { inDeno, type Runtime } from "./Runtime.ts"

/** Deno. */
export const runtime: Runtime = {
  name: `Deno ${process.versions["deno"]}`,
  services: DenoKube.layerServices,
  probe: LeakCheck.linuxProbe,
  runs: (script) => inDeno(script, process.execPath)
}
