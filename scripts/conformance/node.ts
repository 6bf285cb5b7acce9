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
  runs: (script) => [process.execPath, script]
}
