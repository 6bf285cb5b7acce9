/**
 * A client in a process of its own, for rows that kill it or measure it.
 */
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as ClientProcess from "@effect-k8s/testing/conformance/ClientProcess"
import * as Effect from "effect/Effect"

await Effect.runPromise(Effect.provide(ClientProcess.main(process.argv[2] ?? ""), NodeKube.layerServices))
