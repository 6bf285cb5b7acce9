/**
 * The conformance table on Deno.
 */
import * as DenoKube from "@effect-k8s/deno/DenoKube"
import * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import { inDeno, type Runtime } from "./Runtime.ts"

/** Deno. */
export const runtime: Runtime = {
  name: `Deno ${process.versions["deno"]}`,
  services: DenoKube.layerServices,
  probe: LeakCheck.linuxProbe,
  // A server of node:tls on Deno 2.9 reads without end and misses the ends of connections, so rows about memory and about
  // what is left behind would judge it, and not the adapter. TLS of the adapter is what the contract is for.
  testClusterTls: false,
  // As on Node.
  runs: (script) => inDeno(script, process.execPath, "--v8-flags=--max-semi-space-size=1,--expose-gc")
}
