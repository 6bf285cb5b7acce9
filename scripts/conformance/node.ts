/**
 * The conformance table on Node.
 */
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import type { Runtime } from "./Runtime.ts"

/** Node. */
export const runtime: Runtime = {
  name: `Node ${process.versions.node}`,
  services: NodeKube.layerServices,
  probe: LeakCheck.nodeProbe,
  testClusterTls: true,
  // Garbage counts for memory taken, so little of it is left lying: see `Memory`.
  runs: (script) => [process.execPath, "--max-semi-space-size=1", "--expose-gc", script]
}
