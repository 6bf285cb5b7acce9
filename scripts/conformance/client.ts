/**
 * A client in a process of its own, for rows that kill it or measure it.
 */
import * as ClientProcess from "@effect-k8s/testing/conformance/ClientProcess"
import * as Effect from "effect/Effect"

const { layerServices } = await ("Deno" in globalThis
  ? import("@effect-k8s/deno/DenoKube")
  : import("@effect-k8s/node/NodeKube"))

await Effect.runPromise(Effect.provide(ClientProcess.main(process.argv[2] ?? ""), layerServices))
